"""Each sampler against a posterior, or a law of its own, in closed form."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import strict_cupy
from conftest import psnr, simulate
from properties import random_complex

from bart_pogmdm import PoGMDM, recon
from bart_pogmdm.algorithms.diffusion import _correct, ascend, diffusion
from bart_pogmdm.algorithms.gibbs import gibbs
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.algorithms.statistics import Moments
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.arrays.fft import _sines, dst1
from bart_pogmdm.evaluate import metrics
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.h1_sensitivities import h1_step, smooth
from bart_pogmdm.prior.smooth_phase import Phase, smooth_phase
from bart_pogmdm import Diffusion, Gibbs

QUICK = Gibbs(chains=2, burn_in=1, thin=2)
FEW = Diffusion(num_levels=5, come_closer=0.3)


@pytest.fixture(scope="module")
def small():
    return simulate((40, 36), coils=4)


@pytest.fixture(scope="module")
def gaussian(prior):
    """The prior with one component in each expert: p_sigma is a Gaussian of precision `curvature`."""
    weights = np.zeros_like(prior.weights)
    weights[:, weights.shape[1] // 2] = 1
    return PoGMDM(prior.lowpass, prior.directional, prior.gains, weights, prior.means, prior.base_std)


def problem(rng, coils, shape=(8, 6), noise_std=0.04):
    """A model, its Data with known sensitivities, and the matrices A and F."""
    sampling = CartesianSampling.centred(rng.random(shape) < 0.5, float)
    sens = np.ones((1, *shape), complex) if coils == 1 else random_complex(rng, (coils, *shape)) / coils
    samples = sampling.mask * random_complex(rng, (coils, *shape))
    model, basis = CoilModel(sampling, sens), np.eye(np.prod(shape), dtype=complex).reshape(-1, *shape)
    matrix = np.stack([model.forward(e).ravel() for e in basis], 1)
    fourier = np.stack([np.fft.fft2(e, norm="ortho").ravel() for e in basis], 1)
    return model, Problem(sampling, samples, noise_std, None), matrix, fourier


@pytest.mark.parametrize("coils", [1, 3])
def test_gibbs_draws_from_a_gaussian_posterior(gaussian, rng, coils, monkeypatch):
    """Mean and variance within Monte-Carlo error of the exact ones; a Gaussian's draws are independent."""
    sigma, sweeps = 0.1, 3000
    model, data, matrix, fourier = problem(rng, coils)
    shape = model.sens.shape[1:]
    phase = np.exp(0.1j * np.add.outer(np.arange(shape[0]), np.arange(shape[1])))
    monkeypatch.setattr(samplers.Phase, "of", lambda image, trusted: Phase(phase))
    monkeypatch.setattr("bart_pogmdm.algorithms.gibbs.DRAW_CG", 12)  # on so small a grid no phase is smooth
    turned = fourier * phase.conj().ravel()
    prior_precision = turned.conj().T @ (gaussian.curvature(shape, sigma).reshape(-1, 1) * turned)
    mean = np.zeros(shape, complex)
    for _ in range(50):  # the variance depends on the residual, and that on the mean
        variance, _ = data.variances(model.gradient(mean, data.samples)[1])
        covariance = np.linalg.inv(prior_precision + matrix.conj().T @ matrix / variance)
        mean = (covariance @ (matrix.conj().T @ data.samples.ravel()) / variance).reshape(shape)
    start = State(mean, model.sens, None)
    chains = rng.spawn(3)
    draws = [(image - mean).ravel() for state in gibbs(gaussian, data, start, chains, sigma=sigma,
                                                                sweeps=sweeps // 3) for image in state.image]
    powers, modes = np.linalg.eigh(covariance * gaussian.exponent(sigma))
    white = np.array(draws) @ modes.conj() / powers**0.5
    assert 0.6 < sweeps * np.mean(np.abs(white.mean(0)) ** 2) / 2 < 1.5
    for part in (white.real, white.imag):
        np.testing.assert_allclose(part.std(0), 1, rtol=6 / (2 * sweeps) ** 0.5)


def test_gibbs_draws_from_a_mixture(prior, rng, monkeypatch):
    """Two pixels, against numerical integration of (p_sigma(e* x) N(z; x, v))^(1/alpha)."""
    sigma, sweeps, shape = 0.05, 20000, (1, 2)
    sampling = CartesianSampling.centred(np.ones(shape, bool), float)
    data = Problem(sampling, np.zeros((1, *shape), complex), 0.2, None)
    target = np.array([[0.15, -0.05]]) + 1j * np.array([[0.02, 0.1]])
    data.samples[0] = sampling.forward(target[None].copy())[0]
    start = State(target, np.ones((1, *shape), complex), None)
    variance, _ = data.variances(np.zeros(shape))
    turn = smooth_phase(target).conj()
    monkeypatch.setattr(samplers.Phase, "of", lambda image, trusted: Phase(smooth_phase(image)))
    states = gibbs(prior, data, start, rng.spawn(4), sigma=sigma, sweeps=sweeps // 4)
    draws = np.array([turn * image for state in states for image in state.image])
    target = turn * target
    axis = np.linspace(-0.45, 0.55, 81)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)[:, :, None]
    potential = prior.potential(grid.reshape(-1, *shape), sigma).reshape(81, 81)
    for part, wanted in ((draws.real, target.real), (draws.imag, target.imag)):
        energy = (potential + ((grid - wanted) ** 2).sum((2, 3)) / (2 * variance)) / prior.exponent(sigma)
        density = np.exp(energy.min() - energy)
        density /= density.sum()
        mean = (density[:, :, None, None] * grid).sum((0, 1))
        std = ((density[:, :, None, None] * (grid - mean) ** 2).sum((0, 1))) ** 0.5
        independent = sweeps / 20
        assert (np.abs(part.mean(0) - mean) < 4 * std / independent**0.5).all()
        np.testing.assert_allclose(part.std(0), std, rtol=4 / (2 * independent) ** 0.5)


def test_drawn_components_follow_their_probabilities(prior):
    sigma, count = 0.03, 40000
    latents, std = prior.experts.latents(sigma), prior.experts.std(sigma)
    for u in (0.0, 0.013, -0.2, 0.48, 0.8):
        values = np.full((20, count), u)
        latents.apply(values, slice(0, 20), [np.uint64(7)])
        means = values * std**2 + u
        weights = prior.weights * np.exp(-((u - prior.means) / std) ** 2 / 2)
        weights /= weights.sum(1, keepdims=True)
        mean = weights @ prior.means
        spread = (weights @ prior.means**2 - mean**2) ** 0.5
        assert (np.abs(means.mean(1) - mean) < 5 * spread / count**0.5 + 1e-4).all()
        np.testing.assert_allclose(means.std(1), spread, rtol=0.05, atol=1e-3)


def test_drawn_score_averages_to_the_score(prior, rng):
    x = random_complex(rng, (24, 20)) / 10
    draws = prior.drawn_score(np.stack([x] * 400), 0.05, rng.spawn(400))
    error = np.abs(draws.mean(0) - prior.score(x, 0.05)) ** 2 / (draws.var(0) / len(draws))
    assert 0.7 < error.mean() < 1.4


def test_draw_is_the_same_in_both_kernels(prior, rng):
    latents = prior.experts.latents(0.05)
    values = rng.standard_normal((20, 500))
    results = []
    for module in (cpu, generic):
        results.append(values.copy())
        module.draw(results[-1], latents.accept, latents.alias, latents.means, latents.radius,
                    latents.inverse_variance, np.uint64(2**63 + 11), 3)
    np.testing.assert_array_equal(*results)


def test_algorithm_1_on_a_gaussian(gaussian, rng):
    """Without corrector it is a linear recursion in each frequency, for one coil: mean and variance in closed form."""
    sigmas, step, runs = [0.5, 0.3, 0.15, 0.05], 0.7, 2000
    model, data, _, _ = problem(rng, 1)
    shape, mask = model.sens.shape[1:], data.sampling.mask
    mean, variance = np.zeros(shape, complex), np.full(shape, sigmas[0] ** 2)
    for sigma, sigma_next in pairwise(sigmas):
        change = sigma**2 - sigma_next**2
        factor = (1 - change * gaussian.curvature(shape, sigma)) * (1 - step * mask)
        mean = factor * mean + step * mask * data.samples[0]
        variance = factor**2 * variance + change * (1 - step * mask) ** 2
    start = State(np.zeros(shape, complex), model.sens, None)
    options = {"sigmas": sigmas, "num_corrector": 0, "likelihood_step": step, "snr": 0.16, "update_sens": None}
    *_, last = diffusion(gaussian, data, start, rng.spawn(runs), **options)
    draws = np.fft.fft2(last.image, norm="ortho")
    assert 0.5 < np.mean(np.abs(draws.mean(0) - mean) ** 2 / (2 * variance / runs)) < 2
    np.testing.assert_allclose(draws.real.std(0), variance**0.5, rtol=6 / (2 * runs) ** 0.5)


def test_the_corrector_leaves_the_prior_as_it_is(gaussian, rng):
    """Langevin steps from draws of a Gaussian p_sigma stay draws of it, but for the size of the step."""
    sigma, shape = 0.1, (32, 30)
    precision = np.maximum(gaussian.curvature(shape, sigma), 1.0)  # the lowest frequencies have next to none
    images = np.fft.ifft2(precision**-0.5 * random_complex(rng, (40, *shape)), norm="ortho")
    before = np.mean(np.abs(np.fft.fft2(images, norm="ortho")) ** 2 * precision)
    chains = rng.spawn(40)
    for _ in range(20):
        images = _correct(gaussian, images, sigma, 0.16, chains)
    power = np.mean(np.abs(np.fft.fft2(images, norm="ortho")) ** 2 * precision, 0)
    bulk = precision > 0.2 * precision.max()
    assert np.isclose(before, 2, rtol=0.05)
    assert np.isclose(power[bulk].mean(), 2, rtol=0.1)


def test_refinement_finds_the_maximum(gaussian, rng):
    model, data, matrix, fourier = problem(rng, 3)
    shape, sigma = model.sens.shape[1:], 0.1
    start = State(model.adjoint(data.samples), model.sens, None)
    variance, _ = data.variances(model.gradient(start.image, data.samples)[1])
    precision = fourier.conj().T @ (gaussian.curvature(shape, sigma).reshape(-1, 1) * fourier)
    normal = precision + matrix.conj().T @ matrix / variance
    exact = np.linalg.solve(normal, matrix.conj().T @ data.samples.ravel() / variance).reshape(shape)
    *_, last = ascend(gaussian, data, start.repeated(2), sigma=sigma, steps=250)
    for image in last.image:
        assert np.linalg.norm(image - exact) < 0.02 * np.linalg.norm(start.image - exact)


def test_smoothing_solves_its_equation(rng):
    maps, weight = random_complex(rng, (2, 9, 8)), 0.3
    smoothed = smooth(maps, weight)
    padded = np.pad(smoothed, ((0, 0), (1, 1), (1, 1)))
    laplacian = 4 * smoothed - (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:])
    np.testing.assert_allclose(smoothed + weight * laplacian, maps, atol=1e-12)


def test_sine_transform_is_orthonormal_and_the_dense_one(rng, monkeypatch):
    x = random_complex(rng, (2, 7, 10))
    np.testing.assert_allclose(dst1(dst1(x)), x, atol=1e-12)
    rows, columns = _sines(7), _sines(10)
    np.testing.assert_allclose(dst1(x), rows @ x @ columns, atol=1e-12)


def test_h1_step_lowers_its_energy(rng):
    model, data, _, _ = problem(rng, 3)
    image, sens = 3 * random_complex(rng, (8, 6)), model.sens

    def energy(sens):
        padded = np.pad(sens, ((0, 0), (1, 1), (1, 1)))
        roughness = sum((np.abs(np.diff(padded, axis=axis)) ** 2).sum() for axis in (1, 2))
        return CoilModel(data.sampling, sens).gradient(image, data.samples)[1].sum() / 2 + roughness / 2

    energies = [energy(sens)]
    for _ in range(5):
        sens = h1_step(data.sampling, data.samples, image, sens, 10.0)
        energies.append(energy(sens))
    assert (np.diff(energies) < 0).all()


def test_moments_are_those_of_all_draws(rng):
    draws = random_complex(rng, (3, 5, 6, 4)) + 2
    moments = Moments(5)
    for images in draws.swapaxes(0, 1):
        for chain, image in enumerate(images):
            moments.add(image, chain)
    np.testing.assert_allclose(moments.mean, draws.mean((0, 1)))
    np.testing.assert_allclose(moments.std, np.abs(draws).reshape(15, 6, 4).std(0, ddof=1))
    rhat, ess = moments.convergence()
    assert 0.7 < rhat < 1.3 and 4 < ess <= 15


@pytest.mark.parametrize("method", [QUICK, FEW])
@pytest.mark.parametrize("coils", [1, 4])
def test_same_seed_same_samples(small, method, coils):
    """The first samples do not depend on how many follow, nor a slice on the others."""
    kspace, mask, _ = small[0][:coils], *small[1:]
    two = recon(kspace, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    again = recon(kspace, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    np.testing.assert_array_equal(two.samples, again.samples)
    np.testing.assert_array_equal(two.std, again.std)
    other = recon(kspace, mask, method=method, samples=2, iterations=3, seed=6)
    assert np.linalg.norm(other.image - two.image) > 0
    stack = np.stack([to_bart(kspace), to_bart(kspace)], -1)
    both = recon(stack, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    assert both.image.shape == (40, 36, 1, 1, 2) and both.samples.shape == (40, 36, 1, 1, 2, *(1,) * 10, 2)
    np.testing.assert_array_equal(both.samples[:, :, 0, 0, 0].reshape(40, 36, 2), np.moveaxis(two.samples, 0, -1))
    assert np.linalg.norm(both.image[..., 1] - both.image[..., 0]) > 0


@pytest.mark.parametrize("method", [QUICK, replace(QUICK, chains=4), FEW,
                                    replace(FEW, sens_update="sobolev", refine=3)])
@pytest.mark.parametrize("coils", [1, 4])
def test_chains_side_by_side_draw_what_each_draws_alone(small, method, coils, monkeypatch):
    kspace, mask = small[0][:coils].astype(complex), small[1]
    monkeypatch.setattr("bart_pogmdm.side_by_side", lambda chains, sens: 1)
    alone = recon(kspace, mask, method=method, samples=4, iterations=3, keep_samples=True)
    together, shapes = gibbs if method.name == "gibbs" else diffusion, set()

    def watched(*arguments, **options):
        for state in together(*arguments, **options):
            shapes.add(state.image.shape[0])
            yield state

    monkeypatch.setattr(methods, together.__name__, watched)
    monkeypatch.setattr("bart_pogmdm.side_by_side", lambda chains, sens: 3)
    result = recon(kspace, mask, method=method, samples=4, iterations=3, keep_samples=True)
    assert shapes == ({2} if method is QUICK else {3, 1})
    for name in ("image", "std", "samples", "sens"):
        np.testing.assert_allclose(getattr(result, name), getattr(alone, name), rtol=1e-6, atol=1e-8)


def test_samples_mean_and_std_belong_together(small):
    kspace, mask, reference = small
    result = recon(kspace, mask, method=Gibbs(chains=3, burn_in=2, thin=1), samples=12, keep_samples=True)
    assert result.samples.shape == (12, 40, 36) and result.std.dtype == np.float32
    np.testing.assert_allclose(result.samples.mean(0), result.image, atol=1e-4)
    inside = reference > 0.3 * reference.max()
    ratio = np.abs(result.samples).std(0, ddof=1)[inside].mean() / result.std[inside].mean()
    assert 0.9 < ratio < 1.1
    assert result.info["method"] == "gibbs" and 0.9 < result.info["rhat"] < 1.5 and 1 < result.info["ess"] <= 12
    assert 0.5 < result.info["residual_std"] / 0.01 < 2
    scaled = recon(1024 * kspace, mask, method=Gibbs(chains=3, burn_in=2, thin=1), samples=12)  # exact in binary
    assert np.linalg.norm(scaled.std / 1024 - result.std) < 1e-3 * np.linalg.norm(result.std)


def test_sampling_methods_reconstruct(phantom):
    kspace, mask, reference = phantom
    best = psnr(recon(kspace, mask).image, reference)
    mean = recon(kspace, mask, samples=10)
    assert mean.info["method"] == "gibbs" and psnr(mean.image, reference) > best - 0.3
    for method in (Diffusion(num_levels=60, come_closer=0.5), Diffusion(num_levels=150, sens_update="sobolev"),
                   Diffusion(num_levels=60, come_closer=0.5, refine=50)):
        assert psnr(recon(kspace, mask, method=method, samples=2).image, reference) > best - 6
    raw = recon(kspace, mask, samples=4, normalize=False, seed=1)
    normal = recon(kspace, mask, samples=4, seed=1)
    rss = np.sqrt((np.abs(raw.sens) ** 2).sum(0))
    np.testing.assert_allclose(raw.std * rss, normal.std, rtol=1e-4, atol=1e-7)


def test_known_sensitivities(small):
    kspace, mask, _ = small
    joint = recon(kspace, mask)
    known = recon(kspace, mask, sens=joint.sens, method=QUICK, samples=4)
    np.testing.assert_allclose(known.sens, joint.sens, rtol=1e-4, atol=1e-6)
    assert (known.std >= 0).all() and known.std.max() > 0


def test_callback_counts_all_iterations(small):
    for method, total in ((QUICK, 3 + 2 * (1 + 2 * 2)), (FEW, 4 * (len(FEW.sigmas) - 1))):
        steps = []
        recon(small[0], small[1], method=method, samples=4, iterations=3, callback=steps.append)
        assert [step.iteration for step in steps] == list(range(1, total + 1))
        assert {step.iterations for step in steps} == {total}


def test_no_numpy_array_meets_a_device_array(small, monkeypatch):
    expected = {name: recon(small[0], small[1], method=method, samples=2, iterations=3)
                for name, method in (("gibbs", QUICK), ("diffusion", FEW))}
    cupy = strict_cupy.install(monkeypatch)
    for name, method in (("gibbs", QUICK), ("diffusion", FEW)):
        result = recon(cupy.asarray(small[0]), cupy.asarray(small[1]), method=method, samples=2, iterations=3)
        assert type(result.image) is type(result.std) is cupy.ndarray
        image = expected[name].image
        assert np.linalg.norm(np.array(result.image) - image) < 0.05 * np.linalg.norm(image)


@pytest.mark.parametrize("arguments, message", [
    ({"samples": 0}, "samples: expected a positive integer, got 0"),
    ({"samples": 1.5}, "samples: expected a positive integer, got 1.5"),
    ({"method": "map", "samples": 3}, "samples: method map draws none"),
    ({"method": "best"}, "method: expected map, gibbs, diffusion"),
    ({"method": 3}, "method: expected map, gibbs, diffusion"),
    ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
    ({"samples": 10**9, "keep_samples": True}, r"samples: keeping 1000000000 needs .* GiB, .* GiB are available"),
])
def test_bad_arguments_are_named(small, arguments, message):
    with pytest.raises((ValueError, MemoryError), match=message):
        recon(small[0], small[1], **arguments)


@pytest.mark.parametrize("options, message", [
    ({"num_levels": 1}, "num_levels: expected an integer >= 2, got 1"),
    ({"num_corrector": -1}, "num_corrector: expected an integer >= 0, got -1"),
    ({"sigma_min": 10.0}, "sigma_min: expected less than sigma_max 10.0, got 10.0"),
    ({"snr": 0}, "snr: expected a number > 0, got 0"),
    ({"come_closer": 20}, "come_closer: expected a number between"),
    ({"sens_update": "tv"}, "sens_update: expected h1 or sobolev, got 'tv'"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Diffusion(**options)
    with pytest.raises(ValueError, match="chains: expected an integer >= 1, got 0"):
        Gibbs(chains=0)


def test_std_is_calibrated_on_real_data(shared):
    """brain8ch_espirit, 24 spokes: see benchmarks/calibration.py for more."""
    with np.load(shared("data/dev/masks.npz")) as masks, np.load(shared("data/dev/brain8ch_espirit.npz")) as data:
        kspace, reference = data["kspace"], data["reference"]
        mask = masks["brain8ch_espirit__radial24__0"]
    result = recon(kspace * mask, mask, samples=10)
    assert metrics.psnr(result.image, reference) > 31.5
    assert 0.8 < metrics.coverage(result.image, result.std, reference) < 0.99
    assert metrics.rank_correlation(result.image, result.std, reference) > 0.4
