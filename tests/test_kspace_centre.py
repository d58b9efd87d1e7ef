"""The centre of k-space is found wherever it is, and the image does not depend on it."""

from functools import cache

import numpy as np
import pytest
from conftest import psnr
from trajectories import measured

from bart_pogmdm import Diffusion, Rules, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import phantom, sensitivities
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.kspace_centre import CentreRules, find_centre, phase_ramp
from bart_pogmdm.physics.noncartesian import NonCartesianScan
from bart_pogmdm.prior.smooth_phase import SmoothPhase, linear_phase

SHAPE = (64, 60)
LOSS = 0.5  # dB


def scan(mask="cartesian3", coils=6, noise_std=0.005):
    """K-space of the phantom, its mask, and the true magnitude."""
    pattern = masks.named(mask, SHAPE, 0)
    return simulate_kspace(phantom(SHAPE), coils, noise_std, 0), pattern, abs(phantom(SHAPE))


@cache
def quality(mask, coils, cycles=(0, 0)):
    """PSNR where the phase of the image turns by so many cycles."""
    kspace, pattern, truth = scan(mask, coils)
    return psnr(recon(moved(kspace, cycles) * pattern, pattern).image, truth)


@cache
def quality_along_spokes(coils, centre=(0, 0)):
    """PSNR where the trajectory misses the centre of k-space."""
    kspace, traj, truth = measured(coils=coils)
    points = traj + np.array([*centre, 0])[:, None, None]
    return psnr(recon(kspace.transpose(0, 2, 1), traj=points, dims=(40, 40)).image, truth)


def moved(kspace, cycles):
    """K-space of an image whose phase turns by (rows, columns) cycles, also parts of one, over the field of view."""
    return fft2c(ifft2c(kspace) * phase_ramp(cycles, kspace))


def rolled(kspace, mask, by):
    return np.roll(kspace, by, (-2, -1)), np.roll(mask, by, (-2, -1))


@pytest.mark.parametrize("shape", [(8, 10), (9, 7)])
def test_a_phase_ramp_moves_kspace(rng, shape):
    image = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    ramp = phase_ramp((3, -2), image)
    assert np.allclose(fft2c(image * ramp), np.roll(fft2c(image), (3, -2), (0, 1)))
    assert np.allclose(abs(ramp), 1)


@pytest.mark.parametrize("coils", [1, 6])
@pytest.mark.parametrize("mask", ["cartesian4", "gaussian6", "radial20"])
@pytest.mark.parametrize("by", [(0, 0), (4, 0), (0, 5), (-6, 3), (32, 30)])
def test_the_centre_is_found_on_the_grid(coils, mask, by):
    kspace, pattern, _ = scan(mask, coils)
    there = find_centre(CartesianScan(*rolled(kspace * pattern, pattern, by)), CentreRules()).place
    assert all(abs((found - true + n // 2) % n - n // 2) <= 1 for found, true, n in zip(there, by, SHAPE))


def test_the_centre_is_found_along_trajectories():
    kspace, traj, _ = measured()
    points, samples = traj[:2].reshape(2, -1), kspace.reshape(len(kspace), -1)
    along = NonCartesianScan(samples, points, (40, 40))
    assert find_centre(along, CentreRules()).place == (0, 0)
    assert find_centre(along.moved((5, -3)), CentreRules()).place == (-5, 3)


@pytest.mark.parametrize("value", [1e2, 1e6])
def test_a_spike_is_not_the_centre(value):
    kspace, pattern, _ = scan()
    kspace[2, 50, 44] = value
    assert find_centre(CartesianScan(kspace, pattern | True), CentreRules()).place == (0, 0)


@pytest.mark.parametrize("shape", [(8, 8, 8), (16, 16, 16), (8, 32, 32), (16, 64, 56)])
def test_noise_fills_no_volume_with_a_centre(rng, shape):
    """Planes of a small volume are too small to tell noise from a centre."""
    for coils in (1, 8):
        noise = rng.standard_normal((2, coils, *shape))
        assert find_centre(CartesianScan(noise[0] + 1j * noise[1], np.ones(shape, bool)), CentreRules()).fit < 0.39


def test_few_samples_and_those_of_a_point_have_a_centre():
    kspace, pattern, _ = scan()
    few = np.zeros(SHAPE, bool)
    few[30:34, 28:32] = True
    assert np.abs(find_centre(CartesianScan(kspace * few, few), CentreRules()).place).max() <= 1
    point = np.zeros(SHAPE, complex)
    point[20, 31] = 1
    assert find_centre(CartesianScan(fft2c(point)[None], pattern | True), CentreRules()).place == (0, 0)


def test_kspace_moved_with_its_mask_gives_the_same_image_with_the_phase_ramp():
    kspace, pattern, _ = scan()
    here = recon(kspace * pattern, pattern, iterations=5)
    there = recon(*rolled(kspace * pattern, pattern, (7, -4)), iterations=5)
    assert np.allclose(there.image, here.image * phase_ramp((7, -4), here.image), atol=1e-6)
    assert np.allclose(there.sens, here.sens, atol=1e-6)


@pytest.mark.parametrize("by, width", [((1, 0), 4), ((-2, 4), 4), ((5, -3), 6)])
def test_sensitivities_take_the_phase_ramp_of_a_small_shift(by, width):
    """So the phase of the image does not depend on which of two samples is taken for the centre."""
    (kspace, pattern, _), rules = scan(), Rules(centre=CentreRules(width=width))
    here = recon(kspace * pattern, pattern, iterations=5, rules=rules)
    there = recon(*rolled(kspace * pattern, pattern, by), iterations=5, rules=rules)
    assert np.allclose(there.image, here.image, atol=1e-6)
    assert np.allclose(there.sens, here.sens * phase_ramp(by, here.image), atol=1e-6)


@pytest.mark.parametrize("method", ["map", "gibbs", Diffusion(num_levels=6, num_corrector=1)], ids=str)
@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")  # of so few levels
def test_samples_and_known_sensitivities_do_not_depend_on_the_centre(method, coils):
    kspace, pattern, _ = scan(coils=coils)
    options = {"method": method, "sens": sensitivities(SHAPE, coils).astype(np.complex64)}
    if method != "map":
        options |= {"samples": 2, "keep_samples": True}
    if method == "gibbs":
        options |= {"iterations": 4}
    here = recon(kspace * pattern, pattern, **options)
    there = recon(*rolled(kspace * pattern, pattern, (-5, 3)), **options)
    ramp = phase_ramp((-5, 3), here.image)
    assert np.allclose(there.image, here.image * ramp, atol=1e-5)
    if method != "map":
        assert np.allclose(there.std, here.std, atol=1e-5)
        assert np.allclose(there.samples, here.samples * ramp, atol=1e-5)


def test_a_start_image_has_the_phase_of_the_data():
    kspace, pattern, _ = scan()
    first = recon(kspace * pattern, pattern, iterations=12).image
    ramp = phase_ramp((6, 0), first)
    here = recon(kspace * pattern, pattern, start=first, iterations=5)
    there = recon(*rolled(kspace * pattern, pattern, (6, 0)), start=first * ramp, iterations=5)
    assert np.allclose(there.image, here.image * ramp, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("coils", [1, 6])
@pytest.mark.parametrize("mask", ["cartesian3acs20", "gaussian5"])
@pytest.mark.parametrize("cycles", [(0.5, 0), (0.5, 0.5), (5, 0), (-8.5, 0), (0, 3), (-6, -2.5)])
def test_a_phase_ramp_costs_no_quality(coils, mask, cycles):
    """As long as the mask samples the centre: it does not move with the ramp."""
    assert quality(mask, coils, cycles) > quality(mask, coils) - LOSS


@pytest.mark.slow
@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.parametrize("centre", [(0.5, 0), (6, 0), (-3, 4.5)])
def test_a_trajectory_that_misses_the_centre_costs_no_quality(coils, centre):
    assert quality_along_spokes(coils, centre) > quality_along_spokes(coils) - LOSS


def test_the_linear_phase_is_that_of_a_ramp():
    image = abs(phantom(SHAPE)).astype(complex)
    ramp = phase_ramp((2.5, -7.25), image)
    assert np.allclose(linear_phase(image * ramp), ramp)
    stack = np.stack([image, image * ramp])
    assert np.allclose(linear_phase(stack), np.stack([np.ones_like(ramp), ramp]))


def test_the_smooth_phase_follows_a_ramp():
    image, ramp = phantom(SHAPE), phase_ramp((9, -4.5), phantom(SHAPE))
    phase = SmoothPhase()
    assert np.allclose(phase.turn(image * ramp), phase.turn(image) * ramp)
    assert np.allclose(phase.coherence(image * ramp, phase.turn(image) * ramp),
                       phase.coherence(image, phase.turn(image)))
