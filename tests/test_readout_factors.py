"""Readouts of another amplitude and phase, and readouts without signal."""

import numpy as np
import pytest
from conftest import psnr
from trajectories import QUICK, measured, scan_of

from bart_pogmdm import ReconstructionWarning, recon
from bart_pogmdm.physics.readout_factors import ReadoutRules, _divided, align, readout_factors
from bart_pogmdm.physics.sensitivity_start import StartRules
from bart_pogmdm.physics.sobolev_maps import SobolevRules
from bart_pogmdm.reconstruction.rules import Rules

pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")


@pytest.fixture(scope="module")
def scan():
    """K-space (coil, samples, spokes), its trajectory, and the RSS image."""
    return measured()


def factors(kspace, traj):
    """The factors of the readouts of k-space (coil, spokes, samples), or None."""
    return readout_factors(scan_of(kspace, traj), ReadoutRules(), SobolevRules(), StartRules())


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
@pytest.mark.slow
def test_readouts_of_another_amplitude_and_phase_are_aligned(scan):
    kspace, traj, reference = scan
    rng = np.random.default_rng(5)
    gains = (1 + 0.1 * rng.standard_normal(24)) * np.exp(0.3j * rng.standard_normal(24))
    disturbed = (kspace * gains).astype(np.complex64).transpose(0, 2, 1)
    ratio = factors(disturbed, traj) / gains
    assert np.abs(ratio / ratio.mean() - 1).max() < 0.1 < 0.3 < np.abs(gains - 1).max()
    aligned, plain = (psnr(recon(samples, traj=traj).image, reference)
                      for samples in (disturbed, kspace.transpose(0, 2, 1)))
    assert aligned > plain - 3  # the remaining error of the factors is larger than the noise
    untouched = recon(disturbed, traj=traj, rules=Rules(readouts=ReadoutRules(aligned=False)))
    assert aligned > 7 + psnr(untouched.image, reference)


@pytest.mark.filterwarnings("ignore:.*so few samples:bart_pogmdm.ReconstructionWarning")
@pytest.mark.slow
def test_dead_readouts_are_left_out(scan):
    """Two of 24 spokes hold noise only: the image is about as good as without these two.

    No failure where all spokes hold noise only.
    """
    kspace, traj, reference = scan
    rng, dead = np.random.default_rng(6), [3, 10]
    samples = kspace.transpose(0, 2, 1).copy()
    samples[:, dead] = 0.005 * (rng.standard_normal((4, 2, samples.shape[2], 2)) @ [1, 1j])
    left = np.delete(samples, dead, 1), np.delete(traj, dead, 2)
    found, without = recon(samples, traj=traj).image, recon(left[0], traj=left[1]).image
    assert psnr(found, reference) > psnr(without, reference) - 0.3
    assert abs(abs(found).mean() / abs(without).mean() - 1) < 0.02  # in the units of the readouts that are left
    with pytest.warns(ReconstructionWarning, match="its centre is not sampled, or hardly"):
        noise = recon(rng.standard_normal((*samples.shape, 2)) @ [1, 1j], traj=traj, **QUICK)
    assert np.isfinite(noise.image).all()


def test_readouts_that_miss_the_centre_are_left_alone(scan):
    kspace, traj, _ = scan
    half = traj.copy()
    half[:, :, 7] += np.array([3, -5, 0])[:, None]
    assert factors(kspace.transpose(0, 2, 1), half) is None
    assert factors(kspace.transpose(0, 2, 1), traj) is not None


def test_divided_readouts_have_the_noise_that_they_had(scan, rng):
    """Their noise is divided by the factor, and the weight takes that back."""
    kspace, traj, _ = scan
    factors = rng.uniform(0.3, 1.6, 24)
    noise = (rng.standard_normal((*kspace.shape, 2)) @ [1, 1j]) * 0.05
    given = scan_of(((kspace * factors + noise).astype(np.complex64)).transpose(0, 2, 1), traj)
    aligned = align(given, ReadoutRules(), SobolevRules(), StartRules())
    assert np.allclose(aligned.weights * np.abs(aligned.samples), np.abs(given.samples), rtol=1e-4)
    exact = _divided(given, factors.astype(np.complex64), 0.25)
    clean = scan_of(kspace.astype(np.complex64).transpose(0, 2, 1), traj)
    assert abs((exact.weights * (exact.samples - clean.samples)).std() / noise.std() - 1) < 0.01
