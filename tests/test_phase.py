"""The smooth phase: found where it is slow, and worth taking out."""

import numpy as np
import pytest
from conftest import psnr, simulate

from bart_pogmdm import recon, samplers
from bart_pogmdm.operators import fft2c
from bart_pogmdm.phase import smooth_phase


@pytest.fixture
def turned():
    """A phantom and a phase that turns by two radians across it."""
    y, x = np.meshgrid(np.linspace(-1, 1, 72), np.linspace(-1, 1, 64), indexing="ij")
    _, _, reference = simulate((72, 64), coils=1)
    return reference, np.exp(1j * (x - y / 2 + x * y / 2 + 0.5))


def test_a_slow_phase_is_found_in_part_and_a_global_one_exactly(turned):
    magnitude, phase = turned
    found = smooth_phase(magnitude * phase)
    np.testing.assert_allclose(abs(found), 1, rtol=1e-12)
    error = np.angle(found * phase.conj())[magnitude > 0.1]
    phases = np.angle(phase)[magnitude > 0.1]
    assert error.std() < 0.7 * phases.std()
    np.testing.assert_allclose(smooth_phase(3 * np.exp(0.7j) * magnitude * phase), np.exp(0.7j) * found,
                               atol=1e-10)


def test_no_image_has_no_phase():
    assert (smooth_phase(np.zeros((9, 8), np.complex64)) == 1).all()
    assert smooth_phase(np.ones((9, 8), np.complex64)).dtype == np.complex64


@pytest.mark.parametrize("pattern", ["lines", "dots"])
def test_an_image_with_a_slow_phase_is_better_without_it(turned, pattern, rng, monkeypatch):
    """One coil: than where the prior sees real and imaginary part as they are."""
    magnitude, phase = turned
    mask = np.zeros(magnitude.shape, bool)
    mask[30:42, slice(None) if pattern == "lines" else slice(26, 38)] = True
    mask |= rng.random(mask.shape if pattern == "dots" else (len(mask), 1)) < 0.35
    noise = 0.01 * (rng.standard_normal(mask.shape) + 1j * rng.standard_normal(mask.shape))
    kspace = mask * (fft2c(magnitude * phase) + noise)
    taken_out = recon(kspace, mask, noise_std=0.01)
    monkeypatch.setattr(samplers, "smooth_phase", np.ones_like)
    seen = recon(kspace, mask, noise_std=0.01)
    assert psnr(taken_out.image, magnitude) > psnr(seen.image, magnitude) + 0.5
