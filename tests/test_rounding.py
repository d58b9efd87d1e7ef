"""Masks and trajectories with rounding errors are those without."""

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex
from trajectories import radial

from bart_pogmdm import recon
from bart_pogmdm.reconstruction.trajectory_layout import points


@pytest.mark.parametrize("rounded", [lambda m: m * 0.9999999, lambda m: (m * (1 + 1e-8j) + 1e-9j).astype(np.complex64),
                                     lambda m: m.astype(np.float16), lambda m: m.astype(np.uint8)])
def test_a_mask_may_have_rounding_errors(rounded):
    kspace, mask, _ = simulate((24, 20), coils=2)
    expected = recon(kspace, mask, iterations=2).image
    np.testing.assert_array_equal(recon(kspace, rounded(mask), iterations=2).image, expected)


def test_a_trajectory_in_a_plane_may_have_rounding_errors(rng):
    traj = np.array(radial(40, 24))
    traj[2] = 0
    kspace = random_complex(rng, (2, *traj.shape[:0:-1]))
    expected = points(traj, kspace)
    for rounded in (traj + 1e-9 * np.array([0, 0, 1])[:, None, None], traj + 1e-7j, traj.astype(np.complex64)):
        np.testing.assert_allclose(points(rounded, kspace), expected, atol=1e-5)
    for wrong, message in ((traj + np.array([0, 0, 0.5])[:, None, None], "a 3-D trajectory goes with kspace in BART's"),
                           (traj + 0.1j, "got imaginary parts"),
                           (traj * np.array([1, 1e-9, 0])[:, None, None], "zero everywhere")):
        with pytest.raises(ValueError, match=message):
            points(wrong, kspace)
