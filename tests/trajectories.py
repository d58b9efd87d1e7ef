"""What tests of trajectories share: points of k-space, and a phantom measured along radial spokes."""

import numpy as np
from conftest import simulate

from bart_pogmdm.evaluate.simulate import sensitivities
from bart_pogmdm.physics.noncartesian import NonCartesianScan
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.reconstruction import layout, trajectory_layout

QUICK = {"iterations": 4}


def grid_points(mask):
    """The sampled points of a grid, (2, M), in cycles per field of view."""
    return np.stack([axis - n // 2 for axis, n in zip(np.nonzero(mask), mask.shape)]).astype(float)


def radial(samples, spokes):
    """A trajectory (3, samples, spokes) like that of `bart traj -r`."""
    angle = np.pi * np.arange(spokes) / spokes
    k = ((np.arange(samples) + 0.5) / samples - 0.5)[:, None] * samples
    return np.stack([k * np.sin(angle), k * np.cos(angle), 0 * k * angle])


def error(found, expected):
    """Norm of the difference relative to the expected array."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def measured(spokes=24, coils=4, noise_std=0.005, shape=(40, 40)):
    """K-space (coil, samples, spokes) of a phantom, its trajectory, and its RSS image."""
    _, _, reference = simulate(shape, coils)
    rng, traj = np.random.default_rng(3), radial(shape[1], spokes)
    images = sensitivities(shape, coils) * reference
    samples = Nufft(traj[:2].reshape(2, -1), shape, np.complex128).forward(images)
    samples = samples + noise_std * (rng.standard_normal(samples.shape) + 1j * rng.standard_normal(samples.shape))
    return samples.reshape(coils, *traj.shape[1:]).astype(np.complex64), traj, reference


def scan_of(kspace, traj):
    """The slice as it was measured, of k-space (coil, spokes, samples)."""
    return NonCartesianScan(layout.sample_slices(kspace), trajectory_layout.points(traj, kspace), (40, 40),
                            trajectory_layout.readouts(kspace)).acquired_on_grid()
