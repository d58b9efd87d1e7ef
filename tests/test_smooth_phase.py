"""The smooth phase of an image: finding it, its bandwidth, the gain from it, and the trust in it."""

import numpy as np
import pytest
from conftest import coordinates, phantom, psnr, simulate
from phase_rules import FixedPhase, TrustedPhase
from properties import random_complex

from bart_pogmdm import Map, recon
from bart_pogmdm.evaluate import masks, metrics
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.physics.undersampling import known_radius
from bart_pogmdm.prior.smooth_phase import Phase, SmoothPhase

RULE = SmoothPhase()


@pytest.fixture
def turned():
    """A phantom and a phase that turns by two radians across it."""
    y, x = np.meshgrid(np.linspace(-1, 1, 72), np.linspace(-1, 1, 64), indexing="ij")
    _, _, reference = simulate((72, 64), coils=1)
    return reference, np.exp(1j * (x - y / 2 + x * y / 2 + 0.5))


def test_a_slow_phase_is_found_in_part_and_a_global_one_exactly(turned):
    magnitude, phase = turned
    found = RULE.turn(magnitude * phase)
    np.testing.assert_allclose(abs(found), 1, rtol=1e-12)
    error = np.angle(found * phase.conj())[magnitude > 0.1]
    phases = np.angle(phase)[magnitude > 0.1]
    assert error.std() < 0.7 * phases.std()
    np.testing.assert_allclose(RULE.turn(3 * np.exp(0.7j) * magnitude * phase), np.exp(0.7j) * found,
                               atol=1e-10)


def test_no_image_has_no_phase():
    assert (RULE.turn(np.zeros((9, 8), np.complex64)) == 1).all()
    assert RULE.turn(np.ones((9, 8), np.complex64)).dtype == np.complex64
    assert (RULE.coherence(np.zeros((9, 8), np.complex64), np.ones((9, 8), np.complex64)) == 1).all()


def test_images_of_very_different_brightness_have_their_own_phases(turned):
    """Beside a bright image the third power of a dark one has no numbers in single precision."""
    image = np.prod(turned, 0).astype(np.complex64)
    bright, dark = RULE.turn(np.stack([image, np.float32(1e-13) * image]))
    np.testing.assert_array_equal(bright, RULE.turn(image))
    np.testing.assert_allclose(dark, bright, atol=1e-4)


def test_an_image_agrees_with_its_own_phase_and_not_with_others(turned, rng):
    magnitude, phase = turned
    image = (magnitude * phase).astype(np.complex64)
    assert RULE.coherence(image, phase).dtype == np.float32
    np.testing.assert_allclose(RULE.coherence(image, phase), 1, atol=1e-5)
    half = np.arange(72)[:, None] < 36
    agreement = RULE.coherence(image, phase * np.where(half, 1, -1))
    inside = magnitude > 0.1
    assert agreement.min() >= 0
    assert agreement[inside & half].mean() > 0.9 and agreement[inside & ~half].mean() < 0.1
    assert agreement[-1, 0] > 0.7  # dark parts agree with any phase
    np.testing.assert_allclose(RULE.coherence(5 * image, phase), 1, atol=1e-5)


def test_half_a_phase_is_a_prior_of_its_own(prior, turned, rng):
    """The ascent is the gradient of c log p(e* x) + (1 - c) log p(x) for a constant c, by central differences."""
    image, (_, turn), sigma = random_complex(rng, (72, 64)) / 5, turned, 0.1
    direction = random_complex(rng, image.shape) / 5
    phase = Phase(turn, np.full(image.shape, 0.3))

    def energy(image):
        return 0.3 * prior.potential(turn.conj() * image, sigma) + 0.7 * prior.potential(image, sigma)

    slope = -np.vdot(phase.ascent(lambda image: prior.score(image, sigma, exact=True), image), direction).real
    assert np.isclose((energy(image + 1e-5 * direction) - energy(image - 1e-5 * direction)) / 2e-5, slope, rtol=1e-5)
    trusted = RULE.of(image, trusted=True)
    assert trusted.coherence is None
    np.testing.assert_allclose(trusted.ascent(np.copy, image), image, atol=1e-12)


def test_noise_has_the_variance_of_its_draws(turned, rng):
    _, turn = turned
    noise = Phase(turn, rng.random(turn.shape)).noise(lambda: random_complex(rng, turn.shape))
    assert abs(noise.real.std() - 1) < 0.05 and abs(noise.imag.std() - 1) < 0.05


@pytest.mark.parametrize("pattern", ["lines", "dots"])
def test_an_image_with_a_slow_phase_is_better_without_it(turned, pattern, rng):
    """One coil, compared with a prior that sees real and imaginary part as they are."""
    magnitude, phase = turned
    mask = np.zeros(magnitude.shape, bool)
    mask[30:42, slice(None) if pattern == "lines" else slice(26, 38)] = True
    mask |= rng.random(mask.shape if pattern == "dots" else (len(mask), 1)) < 0.35
    kspace = mask * (fft2c(magnitude * phase) + 0.01 * random_complex(rng, mask.shape))
    taken_out = recon(kspace, mask, noise_std=0.01)
    seen = recon(kspace, mask, noise_std=0.01, method=Map(phase=FixedPhase(np.ones_like(kspace))))
    assert psnr(taken_out.image, magnitude) > psnr(seen.image, magnitude) + 0.3


@pytest.mark.slow
def test_a_phase_that_is_not_smooth_is_better_not_trusted(turned, rng):
    """One coil whose phase turns about a point in the image: the mean over two points and two masks."""
    magnitude, _ = turned
    y, x = np.meshgrid(np.linspace(-1, 1, 72), np.linspace(-1, 1, 64), indexing="ij")
    scans = []
    for point in (0.15 - 0.1j, -0.3 + 0.2j):
        around = y + 1j * x - point
        for seed in range(2):
            mask = masks.gaussian(magnitude.shape, 6, seed)
            image = magnitude * around / abs(around)
            scans.append((mask * (fft2c(image) + 0.01 * random_complex(rng, mask.shape)), mask))
    doubted = [psnr(recon(*scan, noise_std=0.01).image, magnitude) for scan in scans]
    trusting = Map(phase=TrustedPhase())
    trusted = [psnr(recon(*scan, noise_std=0.01, method=trusting).image, magnitude) for scan in scans]
    assert np.mean(doubted) > np.mean(trusted) + 0.5


@pytest.mark.slow
def test_a_coil_whose_phase_is_not_smooth(shared):
    """knee_l1_espirit, Gaussian mask: with its smooth phase trusted everywhere the result has 19.4 dB."""
    with np.load(shared("data/dev/knee_l1_espirit.npz")) as data:
        kspace, reference = data["kspace"], data["reference"]
    mask = masks.gaussian(reference.shape, 8, 1)
    assert metrics.psnr(recon(kspace * mask, mask).image, reference) > 24


@pytest.mark.parametrize("word, expected", [
    ("full", 69), ("uniform2acs16", 11), ("cartesian4acs0", 3), ("gaussian8", 1), ("partial0.625", 16)])
def test_the_radius_is_that_of_the_fully_sampled_centre(word, expected):
    density = np.fft.ifftshift(masks.named(word, (96, 96), 0)).astype("f4")
    assert abs(known_radius(density, 2, 1) - expected) <= max(1, 0.15 * expected)
    series = np.stack([np.ones_like(density), density])
    assert known_radius(series, 2, 1) == known_radius(density, 2, 1)
    assert known_radius(np.ones((8, 96, 96)), 3, 1) > 8
    assert known_radius(density, 2, 8) == known_radius(density, 2, 2) >= known_radius(density, 2, 1)


def test_the_bandwidth_has_bounds():
    assert [RULE.within(radius).cycles for radius in (0, 5, 50)] == [RULE.cycles, 5, RULE.most_cycles]


def test_a_finer_phase_predicts_the_half_of_kspace_that_is_missing():
    shape = (96, 96)
    y, x = coordinates(shape)
    image = abs(phantom(shape)) * np.exp(0.6j * np.sin(12 * x + 8 * y))
    mask = masks.named("partial0.625", shape, 0)
    kspace = (fft2c(image[None]) * mask).astype(np.complex64)
    coarse, fine = (recon(kspace, mask, method=Map(phase=SmoothPhase(most_cycles=cycles))) for cycles in (3, 10))
    assert psnr(fine.image, abs(image)) > psnr(coarse.image, abs(image)) + 1
