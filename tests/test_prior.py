"""The prior: score, potential, majoriser and denoising."""

import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from properties import assert_gradient, random_complex

from bart_pogmdm.arrays.kernels import generic

SIGMAS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]


def image(rng, shape=(33, 40)):
    """A real image of steps with a little noise, of maximum about 1."""
    steps = np.cumsum(rng.standard_normal(shape) * (rng.random(shape) < 0.1), 1)
    return steps / np.abs(steps).max() + 0.02 * rng.standard_normal(shape)


@pytest.mark.parametrize("shape", [(33, 40), (24, 25), (64, 64)])
@pytest.mark.parametrize("sigma", [0.02, 0.2, 2.0])
def test_score_is_the_gradient_of_the_potential(prior, rng, sigma, shape):
    for x in (image(rng, shape), image(rng, shape) + 1j * image(rng, shape)):
        assert_gradient(lambda x: -prior.potential(x, sigma), lambda x: prior.score(x, sigma, exact=True), x, rng,
                        step=2e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_fast_score_is_the_exact_one(prior, rng, sigma, dtype):
    x = image(rng) + (1j * image(rng) if np.dtype(dtype).kind == "c" else 0)
    fast, exact = prior.score(x.astype(dtype), sigma), prior.score(x, sigma, exact=True)
    assert fast.dtype == dtype
    assert np.linalg.norm(fast - exact) < 1e-3 * np.linalg.norm(exact)


def test_complex_score_is_that_of_both_parts(prior, rng):
    x = image(rng) + 1j * image(rng)
    parts = prior.score(x.real.copy(), 0.1) + 1j * prior.score(x.imag.copy(), 0.1)
    np.testing.assert_allclose(prior.score(x, 0.1), parts, atol=1e-9 * np.abs(parts).max())
    assert np.isclose(prior.potential(x, 0.1), prior.potential(x.real, 0.1) + prior.potential(x.imag, 0.1))


def test_leading_axes_are_a_batch(prior, rng):
    x = np.stack([image(rng), image(rng)])[None].astype(np.float32)
    np.testing.assert_array_equal(prior.score(x, 0.1)[0, 1], prior.score(x[0, 1], 0.1))
    assert prior.potential(x, 0.1).shape == (1, 2)


def slow_score(prior, image, sigma):
    """The score of a complex image, with the table and all loops in plain array operations."""
    experts, spectra, table = prior.experts, prior.spectra(image.shape).astype(complex), prior.experts.table(sigma)
    means = np.empty_like(table.means)
    nodes = np.linspace(-table.radius, table.radius, means.shape[1])
    generic.mixture_means(nodes, experts.weights, experts.means, experts.std(sigma), means)
    responses = np.fft.ifft2(spectra * np.fft.fft2(image))
    generic.interpolate(responses.view(float).reshape(len(spectra), -1), means, table.radius,
                        1 / experts.std(sigma)**2)
    total = np.zeros(image.shape, complex)
    generic.combine(spectra, np.fft.fft2(responses), total)
    return prior.exponent(sigma) * np.fft.ifft2(total)


def slow_potential(prior, image, sigma):
    """-log p of a complex image, with the mixtures in plain array operations."""
    experts, spectra = prior.experts, prior.spectra(image.shape)
    with np.errstate(divide="ignore"):
        log_weights = np.log(experts.weights)
    energy = 0
    for part in (image.real, image.imag):
        values = np.fft.ifft2(spectra * np.fft.fft2(part)).real.reshape(len(spectra), -1)
        log_density, mean = np.empty_like(values), np.empty_like(values)
        generic.mixture(values, log_weights, experts.means, experts.std(sigma), log_density, mean)
        energy -= log_density.sum()
    return prior.exponent(sigma) * energy


def test_score_and_potential_are_the_slow_ones(prior, rng):
    x = random_complex(rng, (30, 28))
    fast = prior.score(x, 0.07)
    np.testing.assert_allclose(slow_score(prior, x, 0.07), fast, atol=1e-9 * np.abs(fast).max())
    assert np.isclose(prior.potential(x, 0.07), slow_potential(prior, x, 0.07), rtol=1e-12)


HASHES = """
import hashlib
import numpy as np
from bart_pogmdm import Gibbs, load_prior, recon
from bart_pogmdm.evaluate.simulate import kspace, phantom

def show(*arrays):
    print(*(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays))

rng = np.random.default_rng(0)
for shape in SHAPES:
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    show(load_prior().score(x, 0.1))
scan = kspace(phantom((130, 128)), 24, 0.01, 0)  # The coils and the fit of sensitivities are shared, too.
result = recon(scan, method=Gibbs(chains=2, burn_in=1, thin=1), samples=2, iterations=2)
show(result.image, result.sens, result.std)
"""


@pytest.mark.slow
def test_threads_do_not_change_the_score_nor_a_reconstruction(prior, rng):
    shapes = (30, 28), (130, 110)  # Work on the smaller one is not shared among threads.
    found = [subprocess.run([sys.executable, "-c", HASHES.replace("SHAPES", str(shapes))], check=True, text=True,
                            capture_output=True, env={**os.environ, "OMP_NUM_THREADS": threads}).stdout.splitlines()
             for threads in "12"]
    assert found[0] == found[1] and len(found[0]) == 3
    for shape, text in zip(shapes, found[0]):
        x = random_complex(rng, shape)
        many = prior.score(x, 0.1)
        np.testing.assert_array_equal(prior.score(x, 0.1), many)
        assert text == hashlib.sha256(many.tobytes()).hexdigest()


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.5, 1.0, 2.0, 10.0])
def test_denoising_never_amplifies_noise_on_a_flat_image(prior, rng, sigma):
    noise = 1e-3 * prior.experts.std(sigma) * rng.standard_normal((64, 60))
    assert np.linalg.norm(prior.denoise(noise, sigma)) <= np.linalg.norm(noise)
    kappa = prior.experts.peak_curvature(sigma)
    step = 1e-4 * prior.experts.std(sigma)
    slope = (prior.experts.activation(np.full((20, 1), step), sigma) / -step)[:, 0]
    np.testing.assert_allclose(kappa, slope, rtol=1e-3, atol=1e-3 / prior.experts.std(sigma)**2)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.1, 0.5, 1.0, 2.0])
def test_denoising_never_overshoots(prior, shared, sigma):
    rng = np.random.default_rng(0)
    for image in validation_images(shared):
        noisy = image + sigma * rng.standard_normal(image.shape)
        assert np.linalg.norm(prior.denoise(noisy, sigma) - image) <= np.linalg.norm(noisy - image)


def test_denoising_of_the_validation_images(prior, shared):
    """The PSNR is at least that of the model card."""
    images, rng = validation_images(shared), np.random.default_rng(0)
    for sigma, least in ((0.025, 37.1), (0.05, 32.9), (0.1, 29.3), (0.2, 25.4)):
        psnr = [-10 * np.log10(np.mean((prior.denoise(image + sigma * rng.standard_normal(image.shape), sigma) - image)
                                       ** 2)) for image in images]
        assert np.mean(psnr) > least


def validation_images(shared):
    """Up to six images of the validation data."""
    import h5py
    with h5py.File(shared("data/train/validation.h5")) as file:
        return [image for name in sorted(file["ms"]) for image in file["ms"][name][2::6]][:6]


@pytest.mark.parametrize("sigma", [0.02, 0.1, 1.0])
def test_majoriser_majorises_and_touches(prior, rng, sigma):
    x = image(rng, (40, 33))
    hessian, energy = prior.curvature(x.shape, sigma), prior.potential(x, sigma)
    slope = -prior.score(x, sigma, exact=True)
    for step in (1e-3, 0.03, 0.3, 1.0):
        for d in (rng.standard_normal(x.shape), image(rng, (40, 33)), -x):
            spectrum = np.fft.fft2(step * d, norm="ortho")
            bound = energy + step * (slope * d).sum() + (hessian * np.abs(spectrum) ** 2).sum() / 2
            assert prior.potential(x + step * d, sigma) <= bound + 1e-6 * abs(energy)
    d = 1e-4 * rng.standard_normal(x.shape)
    assert abs(prior.potential(x + d, sigma) - energy - (slope * d).sum()) < \
        (hessian * np.abs(np.fft.fft2(d, norm="ortho")) ** 2).sum() / 2 + 1e-9 * abs(energy)


def test_denoising_helps(prior, rng):
    clean = np.zeros((64, 64))
    clean[16:48, 20:40] = 1
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    denoised = prior.denoise(noisy, 0.1)
    assert np.linalg.norm(denoised - clean) < 0.6 * np.linalg.norm(noisy - clean)


def test_prior_is_immutable(prior):
    with pytest.raises(dataclasses.FrozenInstanceError):
        prior.base_std = 1.0
    with pytest.raises(ValueError, match="read-only"):
        prior.gains[0] = 1.0


def test_score_names_a_bad_image(prior):
    with pytest.raises(ValueError, match=r"image: expected .* got float64 \(5,\)"):
        prior.score(np.ones(5), 0.1)
    with pytest.raises(ValueError, match="got int64"):
        prior.potential(np.ones((5, 5), int), 0.1)
    with pytest.raises(TypeError, match="image: expected an array, got list"):
        prior.score([[1.0]], 0.1)
    for sigma in (np.nan, -1, "a"):
        with pytest.raises(ValueError, match="sigma: expected a number >= 0"):
            prior.score(np.ones((5, 5)), sigma)


def test_foreign_byte_order(prior, rng):
    x = random_complex(rng, (20, 20), np.complex64)
    for dtype in (">c8", ">c16"):
        score = prior.score(x.astype(dtype), 0.1)
        assert score.dtype == np.dtype(dtype)
        np.testing.assert_allclose(score, prior.score(x, 0.1), rtol=1e-3, atol=1e-3)
