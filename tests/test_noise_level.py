"""The noise level that is estimated from k-space."""

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex

from bart_pogmdm.evaluate import masks
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.fourier import distances
from bart_pogmdm.physics.noise_level import NoiseRules, estimate_noise


def estimate(kspace, mask):
    return estimate_noise(*CartesianScan(kspace, mask).acquired(), NoiseRules())


@pytest.mark.parametrize("coils, noise_std", [(8, 0.002), (8, 0.1), (1, 0.02), (1, 0.1)])
def test_noise_estimate(noise_std, coils):
    kspace, mask, _ = simulate((160, 144), coils, noise_std)
    assert 0.5 * noise_std < estimate(kspace, mask) < 2 * noise_std
    kspace[:, :, :10] = 0  # samples that were acquired but are empty
    kspace = np.concatenate([kspace, 0 * kspace])  # coils that are not connected
    assert 0.5 * noise_std < estimate(kspace, np.ones_like(mask)) < 2 * noise_std


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_combinations_of_coils_that_are_rounding_hold_no_noise(dtype):
    """Coils that were compressed and expanded again, a coil that comes twice, and the sum of two."""
    kspace, mask, _ = simulate((160, 144), 8, 0.02)
    kspace = kspace.astype(complex)
    virtual = np.linalg.svd(kspace.reshape(8, -1), full_matrices=False)[0][:, :5]
    expanded = np.einsum("ij,jyx->iyx", virtual @ virtual.conj().T, kspace)
    for coils in (expanded, np.concatenate([kspace, kspace[:1]]), np.concatenate([kspace, kspace[:2].sum(0)[None]])):
        assert 0.015 < estimate(coils.astype(dtype), mask) < 0.03


def test_noise_estimate_does_not_depend_on_the_order():
    kspace, mask, _ = simulate((64, 60), coils=4)
    one = estimate(kspace, mask)
    assert np.isclose(estimate(kspace.swapaxes(1, 2), mask.T), one, rtol=1e-5)
    assert np.isclose(estimate(kspace[::-1], mask), one, rtol=1e-5)


@pytest.mark.parametrize("noise_std", [0.003, 0.01, 0.05])
@pytest.mark.parametrize("kind", ["cartesian4", "partial0.75", "poisson4", "gaussian4", "radial48"])
def test_level_of_one_coil_hardly_depends_on_the_mask(kind, noise_std, rng):
    """Samples with the usual power of a plane, k^-3, and noise."""
    shape = (192, 176)
    radius = distances(*((np.arange(n) - n // 2) / n for n in shape))
    kspace = random_complex(rng, shape) * (3e-5 / (radius + 0.01) ** 3 + noise_std**2) ** 0.5
    of_all, of_mask = (estimate(kspace[None] * mask, mask) for mask in (
        np.ones(shape, bool), masks.named(kind, shape, 0)))
    assert of_all == pytest.approx((3e-5 / (NoiseRules().border + 0.01) ** 3 + noise_std**2) ** 0.5, rel=0.03)
    assert of_mask == pytest.approx(of_all, rel=0.15)


def test_level_of_one_coil_is_right_on_average_where_noise_rules(rng):
    """A difference between inner and outer samples that is chance raises the level as often as it lowers it."""
    mask = masks.named("gaussian8", (96, 96), 0)
    levels = [estimate(random_complex(rng, (1, *mask.shape)) * mask, mask) for _ in range(40)]
    assert np.mean(levels) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rings", [1, 2, 3, 4, 6])
def test_samples_on_few_rings_do_not_lead_the_level_astray(rings, rng):
    """Their distances are the same up to rounding, so that the level at the border would be anything."""
    for _ in range(20):
        radius = np.repeat(rng.uniform(0.05, 0.5, rings), 400)
        radius = (radius * (1 + 1e-7 * rng.standard_normal(radius.size))).astype(np.float32)
        level = estimate_noise(random_complex(rng, (1, radius.size)), radius, NoiseRules())
        assert 0.7 < level < 1.4


@pytest.mark.parametrize("radius", [np.zeros(1), np.zeros(300), np.repeat([0, 0.2], [280, 70])])
@pytest.mark.parametrize("outer_part", [0.15, 0.6, 1])
def test_samples_at_zero_frequency_have_a_level(radius, outer_part):
    level = estimate_noise(np.full((1, radius.size), 1 + 1j), radius, NoiseRules(outer_part=outer_part))
    assert level == pytest.approx(2**0.5 / (2 * np.log(2)) ** 0.5)
