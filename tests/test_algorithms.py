"""Each algorithm against a posterior, a law or an equation of its own in closed form."""

from dataclasses import dataclass, replace
from itertools import islice, pairwise

import numpy as np
import pytest
from conftest import simulate
from phase_rules import FixedPhase, TrustedPhase
from properties import random_complex

from bart_pogmdm import Diffusion, Gibbs, Map, PoGMDM
from bart_pogmdm.algorithms.diffusion import correct, diffusion
from bart_pogmdm.algorithms.gibbs import gibbs
from bart_pogmdm.algorithms.joint_map import joint_map
from bart_pogmdm.algorithms.likelihood import Likelihood
from bart_pogmdm.algorithms.posterior_statistics import PosteriorStatistics
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.quadratic_step import newton_step
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.algorithms.units import OneCoilScale, Units
from bart_pogmdm.arrays.kernels import cpu, generic
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.physics.image_set import ImageSet
from bart_pogmdm.physics.undersampling import acceleration
from bart_pogmdm.prior.smooth_phase import SmoothPhase


@pytest.fixture(scope="module")
def gaussian(prior):
    """The prior with one component in each expert: p_sigma is a Gaussian of precision `curvature`."""
    weights = np.zeros_like(prior.weights)
    weights[:, weights.shape[1] // 2] = 1
    return PoGMDM(prior.lowpass, prior.directional, prior.gains, weights, prior.means, prior.base_std)


def small_problem(rng, coils, shape=(8, 6), noise_std=0.04):
    """A Problem with known sensitivities and a start image of zero, and its model."""
    sampling = CartesianSampling.centred(rng.random(shape) < 0.5, float)
    sens = np.ones((1, *shape), complex) if coils == 1 else random_complex(rng, (coils, *shape)) / coils
    samples = sampling.mask * random_complex(rng, (coils, *shape))
    start = State(np.zeros(shape, complex), sens)
    return Problem(sampling, samples, noise_std, None, ImageSet(shape), start), CoilModel(sampling, sens)


def matrices(problem, model):
    """The matrices A of a model and F of the Fourier transform, for small images."""
    shape = problem.images.grid
    basis = np.eye(np.prod(shape), dtype=complex).reshape(-1, *shape)
    return (np.stack([model.forward(e).ravel() for e in basis], 1),
            np.stack([np.fft.fft2(e, norm="ortho").ravel() for e in basis], 1))


def started_at(problem, image):
    return replace(problem, start=State(image, problem.start.sens))


@pytest.mark.slow
@pytest.mark.parametrize("coils", [1, 3])
def test_gibbs_draws_from_a_gaussian_posterior(gaussian, rng, coils):
    """Mean and variance are the exact ones within Monte-Carlo error; the draws of a Gaussian are independent."""
    sigma, sweeps = 0.1, 3000
    problem, model = small_problem(rng, coils)
    matrix, fourier = matrices(problem, model)
    shape = problem.images.shape
    phase = np.exp(0.1j * np.add.outer(np.arange(shape[0]), np.arange(shape[1])))
    # On so small a grid no phase is smooth, so the equations need more steps.
    options = Gibbs(sigma=sigma, draw_cg=12, maximum=Map(phase=FixedPhase(phase)))
    turned = fourier * phase.conj().ravel()
    prior_precision = turned.conj().T @ (gaussian.curvature(shape, sigma).reshape(-1, 1) * turned)
    mean = np.zeros(shape, complex)
    for _ in range(50):  # the variance depends on the residual, and that on the mean
        variance, _ = Likelihood().variances(problem, model.gradient(mean, problem.samples)[1])
        covariance = np.linalg.inv(prior_precision + matrix.conj().T @ matrix / variance)
        mean = (covariance @ (matrix.conj().T @ problem.samples.ravel()) / variance).reshape(shape)
    states = islice(gibbs(started_at(problem, mean), gaussian, options, rng.spawn(30)), sweeps // 30)
    draws = [(image - mean).ravel() for state in states for image in state.image]
    powers, modes = np.linalg.eigh(covariance * gaussian.exponent(sigma))
    white = np.array(draws) @ modes.conj() / powers**0.5
    assert 0.6 < sweeps * np.mean(np.abs(white.mean(0)) ** 2) / 2 < 1.5
    for part in (white.real, white.imag):
        np.testing.assert_allclose(part.std(0), 1, rtol=6 / (2 * sweeps) ** 0.5)


@pytest.mark.slow
def test_gibbs_draws_from_a_mixture(prior, rng):
    """Two pixels, against numerical integration of (p_sigma(e* x) N(z; x, v))^(1/alpha)."""
    sigma, sweeps, shape = 0.05, 20000, (1, 2)
    sampling = CartesianSampling.centred(np.ones(shape, bool), float)
    target = np.array([[0.15, -0.05]]) + 1j * np.array([[0.02, 0.1]])
    start = State(target, np.ones((1, *shape), complex))
    problem = Problem(sampling, sampling.forward(target[None].copy()), 0.2, None, ImageSet(shape), start)
    variance, _ = Likelihood().variances(problem, np.zeros(shape))
    turn = SmoothPhase().turn(target).conj()
    options = Gibbs(sigma=sigma, maximum=Map(phase=TrustedPhase()))
    chains, burn_in = 40, 50
    states = islice(gibbs(problem, prior, options, rng.spawn(chains)), burn_in, burn_in + sweeps // chains)
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


@dataclass(frozen=True)
class GivenLevels(Diffusion):
    """Algorithm 1 with any noise levels."""

    levels: tuple[float, ...] = ()

    @property
    def sigmas(self):
        return list(self.levels)


def test_algorithm_1_on_a_gaussian(gaussian, rng):
    """Without corrector it is a linear recursion in each frequency, for one coil: mean and variance in closed form."""
    sigmas, step, runs = [0.5, 0.3, 0.15, 0.05], 0.7, 2000
    problem, _ = small_problem(rng, 1)
    shape, mask = problem.images.shape, problem.sampling.density
    mean, variance = np.zeros(shape, complex), np.full(shape, sigmas[0] ** 2)
    for sigma, sigma_next in pairwise(sigmas):
        change = sigma**2 - sigma_next**2
        factor = (1 - change * gaussian.curvature(shape, sigma)) * (1 - step * mask)
        mean = factor * mean + step * mask * problem.samples[0]
        variance = factor**2 * variance + change * (1 - step * mask) ** 2
    options = GivenLevels(levels=tuple(sigmas), num_corrector=0, likelihood_step=step)
    *_, last = diffusion(problem, gaussian, options, rng.spawn(runs))
    draws = np.fft.fft2(last.image, norm="ortho")
    assert 0.5 < np.mean(np.abs(draws.mean(0) - mean) ** 2 / (2 * variance / runs)) < 2
    np.testing.assert_allclose(draws.real.std(0), variance**0.5, rtol=6 / (2 * runs) ** 0.5)


def test_the_corrector_leaves_the_prior_as_it_is(gaussian, rng):
    """Langevin steps from draws of a Gaussian p_sigma stay draws of it, except for an error of the step size."""
    sigma, shape = 0.1, (32, 30)
    precision = np.maximum(gaussian.curvature(shape, sigma), 1.0)  # the lowest frequencies have next to none
    images = np.fft.ifft2(precision**-0.5 * random_complex(rng, (40, *shape)), norm="ortho")
    before = np.mean(np.abs(np.fft.fft2(images, norm="ortho")) ** 2 * precision)
    chains = rng.spawn(40)
    for _ in range(20):
        images = correct(gaussian, images, sigma, 0.16, chains)
    power = np.mean(np.abs(np.fft.fft2(images, norm="ortho")) ** 2 * precision, 0)
    bulk = precision > 0.2 * precision.max()
    assert np.isclose(before, 2, rtol=0.05)
    assert np.isclose(power[bulk].mean(), 2, rtol=0.1)


def test_newton_step_is_the_solution_of_its_system(prior, rng):
    mask = rng.random((40, 36)) < 0.4
    sampling = CartesianSampling.centred(mask, float)
    descent, sigma, variance = random_complex(rng, (40, 36)), 0.1, 1e-3
    hessian = prior.curvature((40, 36), sigma)
    one, phase = np.ones((1, 40, 36), complex), np.exp(1j * rng.standard_normal((40, 36)))
    cases = ((one, np.ones((40, 36)), 1), (one, phase, 500), (random_complex(rng, (4, 40, 36)), phase, 500))
    for sens, phase, steps in cases:
        model = CoilModel(sampling, sens)
        d = newton_step(model, hessian, phase, descent, variance, steps)
        applied = model.normal(d) / variance + phase * np.fft.ifft2(hessian * np.fft.fft2(phase.conj() * d))
        np.testing.assert_allclose(applied, descent, atol=1e-6 * np.abs(descent).max())


@dataclass(frozen=True, eq=False)
class ExactPrior:
    """A PoGMDM whose score is that of the mixture itself, not of its table."""

    prior: PoGMDM

    def score(self, image, sigma):
        return self.prior.score(image, sigma, exact=True)

    def curvature(self, shape, sigma, xp=np):
        return self.prior.curvature(shape, sigma, xp)


def test_each_step_lowers_the_posterior_energy(prior, rng):
    """Majorise-minimise without momentum and continuation: -log posterior never rises, whatever the phase."""
    kspace, mask, _ = simulate((48, 40), coils=1)
    scale = np.abs(ifft2c(kspace)).max()
    sampling, noise_std = CartesianSampling.centred(mask, np.float64), 0.05
    images = ifft2c(kspace.astype(complex) / scale)
    start = State(images[0], np.ones((1, 48, 40), complex), units=Units(one_coil=OneCoilScale(rate=0.0)))
    problem = Problem(sampling, sampling.forward(images.copy()), noise_std, None, ImageSet((48, 40)), start)
    phase = np.exp(1j * rng.standard_normal((48, 40)))
    options = Map(iterations=12, one_coil_sigma=0.05, momentum=0, phase=FixedPhase(phase),
                  likelihood=Likelihood(continuation=0.0))
    least, energies = options.likelihood.least(noise_std), []
    for state in joint_map(problem, ExactPrior(prior), options):
        power = CoilModel(sampling, state.sens).gradient(state.image, problem.samples)[1]
        potential = prior.potential(phase.conj() * state.image, 0.05)
        energies.append([potential + power.sum() / (2 * variance) for variance in ((0.5 * noise_std) ** 2, least)])
        assert options.likelihood.variances(problem, power)[0] == least  # so the energy stays the same one
        assert state.units.followed == 1 and state.info.sigma == 0.05
    assert (np.diff(energies, axis=0) < 1e-4).all() and (np.subtract(energies[-1], energies[0]) < 0).all()


def test_std_counts_by_how_much_the_chains_disagree(prior, rng):
    """Half of the pixels are drawn alike by all chains, in the others each chain keeps to values of its own."""
    method, statistics = Gibbs(smoothing=0.01), PosteriorStatistics(400)
    offsets = 10 + np.arange(4.0)[:, None, None] * (np.arange(6) >= 3) + np.zeros((8, 1))
    for chain, offset in enumerate(offsets):
        for _ in range(400):
            statistics.add(offset + 0.1 * rng.standard_normal((8, 6)), chain)
    problem, _ = small_problem(rng, 2)
    factor = prior.calibration.factor(acceleration(problem.sampling.density), 2) / method.temperature(
        prior, problem)**0.5
    found = method.std(statistics, prior, problem) / (factor * statistics.std)
    np.testing.assert_allclose(found[:, :3].mean(), 1, atol=0.02)
    np.testing.assert_allclose(found[:, 3:].mean(), np.var(np.arange(4), ddof=1) ** 0.5 / 0.1, rtol=0.02)


@pytest.mark.parametrize("chains", [1, 4])
def test_std_is_zero_where_nothing_is_drawn(prior, rng, chains):
    """R-hat is then one rounding error over another.  A single chain has none."""
    method, statistics, shape = Gibbs(), PosteriorStatistics(18), (128, 128)
    inside = np.hypot(*np.meshgrid(*2 * [np.arange(-64, 64)])) < 40
    for chain in range(chains):
        for _ in range(18):
            statistics.add((inside * random_complex(rng, shape)).astype(np.complex64), chain)
    found = method.std(statistics, prior, small_problem(rng, 2, shape)[0])
    assert found.dtype == np.float32
    empty = np.hypot(*np.meshgrid(*2 * [np.arange(-64, 64)])) > 55
    assert found[empty].max() < 2e-3 * found[inside].mean()
