"""The noise level that is estimated from k-space."""

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex

from bart_pogmdm import ReconstructionWarning, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.metrics import psnr
from bart_pogmdm.evaluate.simulate import noise, phantom, sensitivities
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.fourier import distances, fft2c
from bart_pogmdm.physics.noise_level import NoiseRules, broken_coils, coil_levels, estimate_noise


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


def coils_with_noise(rng, levels, signal=0.0, number=4000):
    """Samples (J, M) that share signal of power |k|^-3 and have noise of some levels, and their distances (M,)."""
    radius = 0.5 * rng.uniform(0.001, 1, number) ** 0.5
    shared = rng.standard_normal((len(levels), 2)) @ (signal * radius**-1.5 * random_complex(rng, (2, number)))
    return shared + np.array(levels)[:, None] * random_complex(rng, (len(levels), number)), radius


@pytest.mark.parametrize("signal", [0, 0.02, 0.1])
@pytest.mark.parametrize("levels", [(1, 1, 1, 6, 1, 1), (0.5, 2, 1, 1, 0.7, 1.4), (1, 1, 1, 1, 0.5, 1)])
def test_levels_of_coils_are_found(levels, signal, rng):
    """As far as the bounds tell: they leave a part of the differences."""
    samples, radius = coils_with_noise(rng, levels, signal)
    found = coil_levels([(samples, radius, 1.0)], NoiseRules(audible=0))
    expected = np.array(levels) / np.exp(np.log(levels).mean())
    np.testing.assert_allclose(found, expected, rtol=0.4)
    assert np.isclose(np.log(found).sum(), 0)


@pytest.mark.parametrize("signal", [0, 0.02, 0.1])
def test_coils_of_the_same_noise_have_no_levels(signal, rng):
    for _ in range(50):
        assert coil_levels([(*coils_with_noise(rng, np.ones(8), signal, 1500), 1.0)], NoiseRules()) is None


@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
def test_noise_that_coils_share_is_not_taken_for_less(part, rng):
    """Each of two coils with noise in common tells the other's, but has as much of it as all others."""
    for _ in range(20):
        (signal, radius), independent = coils_with_noise(rng, np.zeros(6), 0.1), random_complex(rng, (6, 4000))
        independent[1] = part * independent[0] + (1 - part**2) ** 0.5 * independent[1]
        assert coil_levels([(signal + independent, radius, 1.0)], NoiseRules()) is None


def test_levels_follow_the_gain_of_coils(rng):
    samples, radius = coils_with_noise(rng, (1, 1, 1, 4, 1, 1), 0.1)
    gains, rules = np.array([1, 3, 0.2, 1, 1, 7]), NoiseRules(audible=0)
    one, other = (coil_levels([(array, radius, 1.0)], rules) for array in (samples, gains[:, None] * samples))
    assert abs(np.log(other / one / gains)).max() < 0.55  # those that may be the same stay nearer to each other


def test_levels_are_those_of_all_images_that_share_their_coils(rng):
    """Units do not matter, nor how samples are divided among images, if all have the same distances."""
    samples, radius = coils_with_noise(rng, (1, 1, 5, 1, 1), 0.3)
    whole = coil_levels([(samples, radius, 1.0)], NoiseRules())
    halves = [(samples[:, part] / unit, radius[part], unit) for part, unit in ((slice(0, None, 2), 4.0), (
        slice(1, None, 2), 0.5))]
    np.testing.assert_allclose(coil_levels(halves, NoiseRules()), whole, rtol=0.1)


@pytest.mark.parametrize("change, reason", [
    (lambda samples: np.concatenate([samples, samples[:1]]), "a coil that comes twice"),
    (lambda samples: np.concatenate([samples, samples[:2].sum(0)[None]]), "a coil that is the sum of two"),
    (lambda samples: samples[:, :200], "few samples"),
    (lambda samples: np.zeros_like(samples), "no samples")], ids=lambda value: value if isinstance(value, str) else "")
def test_levels_that_samples_do_not_tell(change, reason, rng):
    samples, radius = coils_with_noise(rng, (1, 1, 6, 1), 0.3)
    assert coil_levels([(samples, radius, 1.0)], NoiseRules()) is not None
    samples = change(samples)
    assert coil_levels([(samples, radius[:samples.shape[1]], 1.0)], NoiseRules()) is None


def test_coils_that_are_not_connected_have_the_common_level(rng):
    samples, radius = coils_with_noise(rng, (1, 1, 6, 1), 0.3)
    levels = coil_levels([(samples, radius, 1.0)], NoiseRules())
    padded = coil_levels([(np.insert(samples, 2, 0, axis=0), radius, 1.0)], NoiseRules())
    np.testing.assert_allclose(padded, np.insert(levels, 2, 1))


def scan_with_a_noisy_coil(kind="uniform2", noise_std=0.02):
    """k-space with one coil whose noise is six times that of the others, its mask, the true magnitude, the levels."""
    levels, image = np.ones((6, 1, 1), np.float32), phantom((96, 80))
    levels[2] = 6
    mask, kspace = masks.named(kind, image.shape, 0), fft2c(sensitivities(image.shape, 6) * image)
    measured = mask * (kspace + noise_std * levels * noise(kspace.shape, 1))
    return measured.astype(np.complex64), mask, abs(image), levels


@pytest.mark.parametrize("kind", ["uniform2", "poisson4"])
def test_a_noisy_coil_does_not_spoil_the_image(kind):
    """The image is nearly as good as that of coils which are divided by their levels beforehand."""
    kspace, mask, image, levels = scan_with_a_noisy_coil(kind)
    known = recon(kspace / levels, mask, iterations=20)
    known = abs(known.image) * np.sqrt((abs(levels * known.sens) ** 2).sum(0))
    found, spoiled = recon(kspace, mask, iterations=20), recon(kspace, mask, iterations=20, noise_std=0.02)
    ours, theirs, best = (psnr(abs(one), image) for one in (found.image, spoiled.image, known))
    assert ours > best - 1 and ours > theirs + 2.5


def test_results_are_those_of_the_coils_as_they_came():
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    scaled, plain = (recon(kspace, mask, iterations=8, normalize=normalize) for normalize in (True, False))
    np.testing.assert_allclose((abs(scaled.sens) ** 2).sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(plain.image * plain.sens, scaled.image * scaled.sens, atol=1e-5)
    assert psnr(abs(scaled.image), image) > 25


def test_known_sensitivities_stay_as_they_are_given():
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    sens = 3 * sensitivities(image.shape, 6)
    plain, scaled = (recon(kspace, mask, sens=sens, iterations=8, normalize=normalize) for normalize in (False, True))
    np.testing.assert_allclose(plain.sens, sens, atol=1e-5)
    np.testing.assert_allclose(abs(plain.image) * 3, abs(scaled.image), atol=1e-5)
    with pytest.warns(ReconstructionWarning, match="do not explain"):
        spoiled = recon(kspace, mask, sens=sens, iterations=8, noise_std=0.02)
    assert psnr(abs(scaled.image), image) > psnr(abs(spoiled.image), image) + 2


def test_a_quiet_coil_counts_as_its_noise_says():
    """The level is the geometric mean of those of the coils, and no warning says that samples are not explained."""
    kspace, mask, _, levels = scan_with_a_noisy_coil()
    gains = np.where(levels > 1, 1 / 600, 1)  # a hundredth of the noise of the others
    result = recon(kspace * gains.astype(np.float32), mask, iterations=20)
    assert result.info["noise_std"] == pytest.approx(0.02 * 0.01 ** (1 / 6), rel=0.3)
    assert result.info["warnings"] == []


@pytest.mark.parametrize("has_signal", [True, False])
def test_a_broken_coil_is_left_out(has_signal):
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    whole = fft2c(sensitivities(image.shape, 6) * image)
    broken = kspace.copy()
    broken[2] = mask * (has_signal * whole[2] + 0.6 * noise(mask.shape, 3))
    with pytest.warns(ReconstructionWarning, match="noise of a coil is so far above its signal"):
        found = recon(broken, mask, iterations=20)
    others = np.arange(6) != 2
    expected = recon(kspace[others], mask, iterations=20)
    assert (found.sens[2] == 0).all()
    np.testing.assert_allclose((abs(found.sens) ** 2).sum(0), 1, atol=1e-5)
    assert psnr(abs(found.image), abs(expected.image)) > 45
    known = recon(broken, mask, sens=sensitivities(image.shape, 6), iterations=8)
    assert known.sens[2].any()  # where its map is known, it does no harm


def test_many_broken_coils_are_left_out_but_two_are_kept():
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    whole = mask * fft2c(sensitivities(image.shape, 6) * image)
    kspace = whole + mask * np.array([40, 1, 40, 1, 1, 40])[:, None, None] * 0.01 * noise(whole.shape, 2)
    with pytest.warns(ReconstructionWarning, match="noise of a coil is so far above its signal"):
        result = recon(kspace.astype(np.complex64), mask, iterations=10)
    np.testing.assert_array_equal((result.sens != 0).any((1, 2)), [False, True, False, True, True, False])
    assert result.info["noise_std"] == pytest.approx(0.01, rel=0.3)
    scans = [(*coils_with_noise(np.random.default_rng(0), (1, 40), 0.1), 1.0)]
    assert not broken_coils(scans, np.array([1, 40.0]), NoiseRules()).any()


def test_a_spike_in_one_coil_costs_no_coil():
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    kspace, mask = (mask * fft2c(sensitivities(image.shape, 6) * image)).astype(np.complex64), mask
    kspace += 0.002 * mask * noise(kspace.shape, 1)
    kspace[1, 5, np.flatnonzero(mask[5])[3]] += 30
    with pytest.warns(ReconstructionWarning, match="far larger than those about them are left out"):
        found = recon(kspace.astype(np.complex64), mask, iterations=20)
    assert len(found.info["warnings"]) == 1 and psnr(abs(found.image), image) > 35


def test_draws_with_a_noisy_coil():
    """The band holds the truth, and the sensitivities of the noisy coil are those that are known least."""
    kspace, mask, image, _ = scan_with_a_noisy_coil()
    result = recon(kspace, mask, samples=4, iterations=15, keep_samples=True)
    raw = recon(kspace, mask, samples=4, iterations=15, normalize=False)
    brightness = np.median(abs(raw.sens).mean(0) / abs(result.sens).mean(0))
    assert np.median(raw.sens_std / result.sens_std) == pytest.approx(brightness, rel=0.1)
    inside = image > 0.05
    assert (abs(abs(result.image) - image) < 1.645 * result.std)[inside].mean() > 0.8
    assert result.sens_std.mean((1, 2)).argmax() == 2
    assert abs(abs(result.samples).mean(0) - image)[inside].mean() < 0.05
