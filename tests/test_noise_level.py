"""The noise level that is estimated from k-space."""

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm.physics.cartesian_scan import CartesianScan
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
