"""Weights of samples, and masks of single coils, in the place of a mask of zeros and ones."""

import numpy as np
import pytest
from conftest import psnr, simulate
from properties import assert_adjoint, random_complex
from trajectories import error, grid_points

from bart_pogmdm import Diffusion, recon, to_bart
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel

SHAPE = (12, 9)


def noisy(weights, kspace, rng, noise_std=0.03):
    """K-space with noise of standard deviation noise_std / weight."""
    return (kspace + noise_std * random_complex(rng, kspace.shape) / np.where(weights > 0, weights, np.inf)
            ).astype(np.complex64)


@pytest.mark.parametrize("pattern_shape", [SHAPE, (5, *SHAPE)], ids=["one for all coils", "one for each coil"])
def test_weights_make_an_operator_with_its_adjoint(pattern_shape, rng):
    pattern = rng.uniform(0, 2, pattern_shape) * (rng.random(pattern_shape) < 0.6)
    sampling = CartesianSampling.centred(pattern, float)
    shape = (5, *SHAPE)
    assert_adjoint(sampling.forward, sampling.adjoint, shape, shape, rng, restrict=sampling.mask != 0)
    x = random_complex(rng, shape)
    np.testing.assert_allclose(sampling.normal(x.copy()), sampling.adjoint(sampling.forward(x.copy())), atol=1e-12)
    assert np.isclose(sampling.count * 5, (np.broadcast_to(pattern, shape) > 0).sum())
    np.testing.assert_allclose(sampling.density, (np.broadcast_to(sampling.mask, shape) ** 2).mean(0))
    np.testing.assert_allclose(sampling.sampled_part, (np.broadcast_to(sampling.mask, shape) != 0).mean(0))
    scaled = sampling.equalize(sampling.adjoint(sampling.forward(x.copy())))
    assert np.linalg.norm(scaled) <= np.linalg.norm(x)
    model, image = CoilModel(sampling, random_complex(rng, shape)), random_complex(rng, SHAPE)
    assert_adjoint(model.forward, model.adjoint, SHAPE, shape, rng, restrict=sampling.mask != 0)
    samples = model.forward(image)
    np.testing.assert_allclose(model.gradient(image, 0 * samples)[0], model.normal(image), atol=1e-10)


@pytest.mark.parametrize("factor", [255, 0.5, 1e-9, 1e9])
def test_equal_weights_are_a_mask(factor):
    """The image is the same; noise and residual are those of samples of weight 1."""
    kspace, mask, _ = simulate((24, 20), coils=2)
    expected, result = (recon(kspace, pattern, iterations=2) for pattern in (mask, factor * mask))
    np.testing.assert_array_equal(result.image, expected.image)
    for name in ("noise_std", "residual_std"):
        assert np.isclose(result.info[name], factor * expected.info[name])


@pytest.mark.filterwarnings("ignore:.*it takes two sets:bart_pogmdm.ReconstructionWarning")
def test_weights_tell_good_samples_from_bad_ones(rng):
    """Better than all samples alike by 3 dB, and than the good ones alone; the scale of the weights does not matter."""
    kspace, mask, reference = simulate((64, 56), coils=6)
    weights = mask * np.where(rng.random(mask.shape) < 0.5, 1, 0.1)
    data = noisy(weights, kspace, rng) * mask
    alike, good = recon(data, mask), recon(data, weights == 1)
    weighted, other = recon(data, weights), recon(data, 1000 * weights)
    found = [psnr(result.image, reference) for result in (alike, good, weighted, other)]
    assert found[2] > found[0] + 3 and found[2] > found[1]
    assert error(other.image, weighted.image) < 1e-4
    assert 0.024 < weighted.info["noise_std"] < 0.04
    known = recon(data, 1000 * weights, noise_std=1000 * weighted.info["noise_std"])
    assert error(known.image, weighted.image) < 1e-4


def test_masks_of_coils_go_with_large_images(rng):
    """A cache holds a few of the coils only, and each of them has its own mask."""
    masks = rng.random((5, 400, 320)) < 0.5
    kspace = (random_complex(rng, masks.shape) * masks).astype(np.complex64)
    sampling, samples = CartesianScan(kspace, masks.any(0), masks.astype("f4")).sampled()
    np.testing.assert_allclose(np.fft.fftshift(abs(samples), (1, 2)), abs(kspace), atol=1e-5)
    low, of_low = sampling.low(samples, (40, 32))
    for coil in (slice(number, number + 1) for number in range(5)):
        alone, expected = sampling.of_coils(coil).low(samples[coil], (40, 32))
        np.testing.assert_array_equal(low.mask[coil], alone.mask)
        np.testing.assert_allclose(of_low[coil], expected, atol=1e-6)


def test_coils_may_have_masks_of_their_own(rng):
    """Samples that are missing in some coils are no zeros."""
    kspace, mask, reference = simulate((64, 56), coils=6)
    masks = np.broadcast_to(mask, kspace.shape).copy()
    masks[:3] &= rng.random((3, *mask.shape)) < 0.6
    options = {"iterations": 20}
    whole = recon(kspace, mask, **options)
    np.testing.assert_array_equal(recon(kspace, np.broadcast_to(mask, kspace.shape), **options).image, whole.image)
    result = recon(kspace * masks, masks, **options)
    assert psnr(result.image, reference) > psnr(whole.image, reference) - 1
    bart = recon(to_bart(kspace * masks), to_bart(masks), **options)
    np.testing.assert_array_equal(bart.image.reshape(mask.shape), result.image)
    sampled = recon(kspace * masks, masks, method=Diffusion(num_levels=20), samples=2)
    assert np.isfinite(sampled.image).all() and psnr(sampled.image, reference) > 18


@pytest.mark.filterwarnings("ignore:.*so few samples:bart_pogmdm.ReconstructionWarning")
@pytest.mark.parametrize("part, accuracy", [(0.99, 0.1), (0.8, 0.2), (0.3, 0.4)])
def test_the_noise_is_found_with_masks_of_coils(part, accuracy, rng):
    """From the samples that all coils have, or with few of these from the coils alone."""
    kspace, mask, _ = simulate((128, 120), coils=6)
    noisy = kspace + 0.02 * random_complex(rng, kspace.shape)
    own = mask & (rng.random(kspace.shape) < part)
    noise_std = recon(noisy * own, own, iterations=1).info["noise_std"]
    assert abs(noise_std / recon(noisy * mask, mask, iterations=1).info["noise_std"] - 1) < accuracy


def test_weights_along_dimensions_that_are_looped_over(rng):
    kspace, mask, _ = simulate((24, 20), coils=2)
    weights = np.stack([mask, mask * rng.uniform(0.1, 1, mask.shape)], -1)[:, :, None, None]
    series = np.stack([to_bart(kspace)] * 2, -1)
    result = recon(series, weights, iterations=2)
    for i in range(2):
        alone = recon(to_bart(kspace), weights[..., i], iterations=2)
        np.testing.assert_array_equal(result.image[..., i], alone.image)


def test_weights_along_a_trajectory_are_those_on_the_grid(rng):
    pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    kspace, mask, _ = simulate((40, 36), coils=4)
    weights = mask * rng.uniform(0.2, 2, mask.shape)
    data = noisy(weights, kspace.astype(complex), rng, 0.01).astype(complex) * mask
    expected = recon(data, weights)
    points = np.moveaxis(grid_points(mask), 0, -1)[None]
    for pattern in (weights[mask][None], np.broadcast_to(weights[mask], (4, 1, mask.sum()))):
        result = recon(data[:, None, mask], pattern, traj=points, dims=(40, 36), noise_std=expected.info["noise_std"])
        assert error(result.image, expected.image) < 2e-3
    with pytest.raises(ValueError, match="mask: expected the same weights for all coils along a trajectory"):
        recon(data[:, None, mask], rng.random((4, 1, mask.sum())), traj=points, dims=(40, 36))
    with pytest.raises(ValueError, match=r"mask: expected a shape that broadcasts to \(4, 1, "):
        recon(data[:, None, mask], weights, traj=points, dims=(40, 36))


@pytest.mark.parametrize("wrong, message", [
    (1j, "finite real weights, got others"), (-1, "weights >= 0, got -1"), (np.nan, "finite real weights"),
    (np.inf, "finite real weights")])
def test_what_is_no_weight_is_refused(wrong, message):
    kspace, mask, _ = simulate((24, 20), coils=2)
    with pytest.raises(ValueError, match=f"mask: expected .*{message}"):
        recon(kspace, np.where(mask, wrong, 0))
