"""The bandwidth of the smooth phase, which the samples decide."""

import numpy as np
import pytest
from conftest import coordinates, phantom, psnr

from bart_pogmdm import Map, recon
from bart_pogmdm.evaluate.masks import named
from bart_pogmdm.physics.acceleration import known_radius
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.prior.smooth_phase import SmoothPhase


@pytest.mark.parametrize("word, expected", [
    ("full", 69), ("uniform2acs16", 11), ("cartesian4acs0", 3), ("gaussian8", 1), ("partial0.625", 16)])
def test_the_radius_is_that_of_the_fully_sampled_centre(word, expected):
    density = np.fft.ifftshift(named(word, (96, 96), 0)).astype("f4")
    assert abs(known_radius(density, 2, 1) - expected) <= max(1, 0.15 * expected)
    series = np.stack([np.ones_like(density), density])
    assert known_radius(series, 2, 1) == known_radius(density, 2, 1)
    assert known_radius(np.ones((8, 96, 96)), 3, 1) > 8
    assert known_radius(density, 2, 8) == known_radius(density, 2, 2) >= known_radius(density, 2, 1)


def test_the_bandwidth_has_bounds():
    rule = SmoothPhase()
    assert [rule.within(radius).cycles for radius in (0, 5, 50)] == [rule.cycles, 5, rule.most_cycles]


def test_a_finer_phase_predicts_the_half_of_kspace_that_is_missing():
    shape = (96, 96)
    y, x = coordinates(shape)
    image = abs(phantom(shape)) * np.exp(0.6j * np.sin(12 * x + 8 * y))
    mask = named("partial0.625", shape, 0)
    kspace = (fft2c(image[None]) * mask).astype(np.complex64)
    coarse, fine = (recon(kspace, mask, method=Map(phase=SmoothPhase(most_cycles=cycles))) for cycles in (3, 10))
    assert psnr(fine.image, abs(image)) > psnr(coarse.image, abs(image)) + 1
