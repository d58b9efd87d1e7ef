"""Trajectories: this package, `bart nlinv -t` and `bart pics -t` on simulated coils; PSNR.  `speed.py` has the time.

The images are those of complex_t2_images, with 40 spokes, a spiral of 12 arms whose turns are 2 samples apart, or a
spiral of one arm, 2.5 samples; and BART's 3-D phantom, with 150 spokes in all directions or 8 spokes in each plane.
All have 8 coils and noise 0.005 of the maximum.  nlinv takes the best of the steps below.  pics with TV takes the best
of the weights below, 100 iterations, and the true sensitivities, which are unknown in practice.  Needs finufft.
"""

from functools import partial

import numpy as np
from records import Cases, Places, Row, alone, climbed
from volumes_and_series import TV, coils_of

from bart_pogmdm import recon
from bart_pogmdm.evaluate import metrics, simulate
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.toolbox.bart_call import quiet_bart as bart

NEWTON_STEPS = tuple(range(7, 17))
WEIGHTS = (3e-5, 5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2)
IMAGES, SIDE = 2, 24


def radial(size, spokes):
    """Return a trajectory (3, samples, spokes) with twice as many samples on a spoke as the image has pixels."""
    return bart(1, f"traj -x {2 * size} -y {spokes} -D -r -G").real / 2


def spiral(size, arms, apart=2.0):
    """Return a trajectory (3, samples, arms) of evenly rotated Archimedean spirals with turns some samples apart."""
    place = np.linspace(0, 1, 72 * size // arms) ** 0.7
    turns = np.pi * size / apart / arms
    angle = turns * place[:, None] + 2 * np.pi * np.arange(arms) / arms
    radius = (size / 2 - 0.5) * place[:, None]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle])


def kooshball(size, spokes):
    """Return a trajectory (3, samples, spokes) with the directions of a spiral over the sphere."""
    height, angle = 2 * (0.4656 * np.arange(spokes) % 1) - 1, 2 * np.pi * 0.6823 * np.arange(spokes)
    around = np.sqrt(1 - height**2)
    directions = np.stack([around * np.cos(angle), around * np.sin(angle), height])
    return directions[:, None] * np.linspace(-size / 2, size / 2, 2 * size, endpoint=False)[:, None]


def stack_of_stars(size, spokes):
    """Return a trajectory (3, samples, spokes in all planes), other spokes in each plane."""
    turned, plane = radial(size, spokes * size), np.repeat(np.arange(size) - size // 2, spokes)
    return turned + np.array([0, 0, 1])[:, None, None] * plane


def compare(image, sens, traj):
    """Return {method: PSNR} on a simulated scan."""
    sens, axes = sens.astype(np.complex64), image.ndim
    coil_images = (sens * image).astype(np.complex64)
    sampling = Nufft(traj[:axes].reshape(axes, -1), image.shape, np.complex64)
    samples, rng = sampling.forward(coil_images), np.random.default_rng(0)
    samples = samples + 0.005 * (rng.standard_normal(samples.shape) + 1j * rng.standard_normal(samples.shape))
    kspace = np.moveaxis(samples.reshape(-1, *traj.shape[1:]), 0, -1)[None].astype(np.complex64)
    reference, traj = np.abs(image), traj.astype(np.complex64)
    result = recon(kspace, traj=traj, dims=image.shape)
    maps = np.moveaxis(sens, 0, -1).reshape(*image.shape, *(1,) * (3 - axes), -1)

    def psnr(image):
        return metrics.psnr(cropped(image, reference.shape), reference)

    inverted = climbed(lambda steps: psnr(bart(1, f"nlinv -S -i{steps}", kspace, t=traj)), NEWTON_STEPS, 10)
    regularised = climbed(lambda weight: psnr(bart(
        1, f"pics -S {TV}:{2**axes - 1}:0:{weight} -i100", kspace, maps, t=traj)), WEIGHTS, 1e-3)
    return {"pogmdm": psnr(result.image), "nlinv": max(inverted.values()),
            "pics TV, true coils": max(regularised.values())}


def cropped(image, shape):
    """Return an image in BART's order, cropped to the shape of a grid."""
    sides = " ".join(f"{axis} {n}" for axis, n in enumerate(shape))
    return bart(1, f"resize -c {sides}", image).reshape(shape)


def measured(places: Places, number: int, make) -> Row:
    """Return the scores on an image."""
    with np.load(places.data / "dev" / "complex_t2_images.npz") as file:
        image = file["images"][number]
    return rounded(compare(image / np.abs(image).max(), simulate.sensitivities(image.shape, 8), make(len(image))))


def in_three_dimensions(traj) -> Row:
    """Return the scores on BART's 3-D phantom."""
    image = abs(bart(1, f"phantom -3 -x {SIDE}"))
    return rounded(compare(image / image.max(), coils_of(image.shape), traj))


def rounded(scores) -> Row:
    return {name: round(score, 2) for name, score in scores.items()}


def trajectories(places: Places) -> Cases:
    """Return images along spokes and spirals, and volumes along spokes."""
    makers = {"40 spokes": lambda size: radial(size, 40), "spiral, 12 arms": lambda size: spiral(size, 12),
              "spiral, one arm": lambda size: spiral(size, 1, 2.5)}
    found = {f"{name}, image {number}": partial(measured, places, number, make)
             for name, make in makers.items() for number in range(IMAGES)}
    size = " x ".join(3 * [str(SIDE)])
    return found | {f"{size}, 150 spokes in all directions": partial(in_three_dimensions, kooshball(SIDE, 150)),
                    f"{size}, 8 spokes in each plane": partial(in_three_dimensions, stack_of_stars(SIDE, 8))}


if __name__ == "__main__":
    alone(trajectories)
