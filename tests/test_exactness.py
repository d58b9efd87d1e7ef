"""The posterior's draws against posteriors that are known: by quadrature, and by the ranks of truths from the prior."""

from dataclasses import replace
from itertools import islice

import numpy as np
from scipy.stats import chi2
from test_algorithms import FixedPhase, small_problem
from test_solvers import problem_for

from bart_pogmdm import Gibbs, Map
from bart_pogmdm.algorithms.gibbs import gibbs
from bart_pogmdm.algorithms.likelihood import Likelihood
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.prior.experts import Experts

MIXTURE = Experts(np.array([[0.3, 0.4, 0.3]]), np.array([-1.0, 0.0, 1.0]), 0.25, 0.0)
BINS = 8


class OfNoise(Likelihood):
    """The variance that the likelihood assumes is that of the noise, whatever the residual."""

    def variances(self, problem, power):
        return problem.noise_std**2, super().variances(problem, power)[1]


class Bridge:
    """A prior of one expert: a mixture for each response of a filter, given by its spectrum, at temperature 1."""

    def __init__(self, spectrum):
        self.spectrum, self.std, self.latents = spectrum, MIXTURE.std(0.1), MIXTURE.latents(0.1)

    def exponent(self, sigma):
        return 1.0

    def curvature(self, shape, sigma, xp=np):
        return abs(self.spectrum) ** 2 / self.std**2

    def drawn_score(self, images, sigma, rngs):
        responses = np.fft.ifft2(self.spectrum * np.fft.fft2(images))[None]
        self.latents.apply(responses, slice(0, 1), [rng.integers(2**64, dtype=np.uint64) for rng in rngs])
        return np.fft.ifft2(self.spectrum.conj() * np.fft.fft2(responses[0]))


def exact_gibbs(shape, **options):
    """Gibbs sampling of the posterior as it is, without a phase: CG converges on so small a grid."""
    maximum = Map(phase=FixedPhase(np.ones(shape, complex)), likelihood=OfNoise())
    return Gibbs(sigma=0.1, draw_cg=12, maximum=maximum, **options)


def draws(problem, prior, rngs, first, last, step):
    """Every `step`-th draw of all chains, (draw, chain, *grid)."""
    states = gibbs(problem, prior, exact_gibbs(problem.images.grid), rngs)
    return np.array([state.image for state in islice(states, first, last, step)])


def test_a_bridge_of_mixtures_is_that_of_quadrature(rng):
    """Two pixels in each row, whose difference is a mixture on either side of the periodic border."""
    shape, noise_std = (12, 2), 0.5
    problem, *_ = small_problem(rng, 1, shape, noise_std)
    problem = replace(problem, sampling=CartesianSampling.centred(np.ones(shape, bool), float))
    seen = rng.choice([-1.0, 0.2, 1.0], shape) + 1j * rng.choice([-0.7, 0.1, 0.9], shape)
    problem = replace(problem, samples=np.fft.fft2(seen, norm="ortho")[None])
    found = draws(problem, Bridge(1 - np.exp(-2j * np.pi * np.fft.fftfreq(2))[None] * np.ones((12, 1))),
                  rng.spawn(16), 20, 220, 1).reshape(-1, *shape)
    grid = np.linspace(-3.5, 3.5, 281)
    one, two = np.meshgrid(grid, grid, indexing="ij")
    bridge = 2 * MIXTURE.log_density((one - two)[None], 0.1)[0]
    for part in ("real", "imag"):
        for row in range(shape[0]):
            left, right = getattr(seen[row], part)
            log = bridge - ((one - left) ** 2 + (two - right) ** 2) / (2 * noise_std**2)
            density = np.exp(log - log.max())
            density /= density.sum()
            mean = (one * density).sum()
            std = ((one - mean) ** 2 * density).sum() ** 0.5
            values = getattr(found[:, row, 0], part)
            assert abs(values.mean() - mean) < 0.25 * std and abs(values.std() / std - 1) < 0.2


def ranks(seed, shrink=1.0, scans=8, kept=BINS - 1, burn_in=20):
    """Ranks of the parts of true pixels among thinned draws, of scans whose truth is drawn from the prior.

    shrink: what is wrong with the standard deviation of the draws, for the power of the test.
    """
    shape, rng, found = (8, 8), np.random.default_rng(seed), []
    prior = Bridge(np.ones(shape, complex))
    for _ in range(scans):
        problem, model, *_ = small_problem(rng, 2, shape, 0.3)
        means = rng.choice(MIXTURE.means, (2, *shape), p=MIXTURE.weights[0])
        parts = means + MIXTURE.std(0.1) * rng.standard_normal((2, *shape))
        truth = parts[0] + 1j * parts[1]
        noise = problem.sampling.noise(rng, problem.samples)
        problem = replace(problem, samples=model.forward(truth) + 0.3 * noise)
        images = draws(problem, prior, rng.spawn(kept), burn_in, burn_in + 1, 1)[0]  # of independent chains
        images = images.mean(0) + shrink * (images - images.mean(0))
        found += [(images.real < truth.real).sum(0).ravel(), (images.imag < truth.imag).sum(0).ravel()]
    return np.concatenate(found)


def statistic(found):
    """The chi-squared statistic of ranks from 0 to BINS - 1, which should be uniform."""
    counts = np.bincount(found, minlength=BINS)
    return ((counts - counts.mean()) ** 2).sum() / counts.mean()


def test_ranks_of_truths_from_the_prior_are_uniform():
    """Simulation-based calibration (S. Talts et al., arXiv 1804.06788), by a chi-squared test of level 0.001."""
    limit = chi2(BINS - 1).isf(1e-3)
    assert statistic(ranks(0)) < limit < statistic(ranks(0, shrink=0.8))


def sens_draws(iterations, rng, count=40, chains=8, variance=1e-3, weight=0.05, temperature=0.4):
    """A model, its image, and draws of its coefficients (draw, chain, J, *modes) for that image."""
    problem = problem_for(4)
    model, chained = problem.sens_model, problem.in_chains(chains)
    image, found, rngs = chained.start.image, [chained.start.coefficients], rng.spawn(chains)
    for _ in range(count):
        found.append(model.draw(image, found[-1], variance, weight, iterations, temperature, rngs, chained.images))
    return model, problem.start.image, np.moveaxis(np.array(found[count // 4:]), 2, 1)


def test_sensitivities_vary_as_their_posterior(rng):
    """E |<z, A (c - c^)>|^2 / v^2 = 2 T <z, A w> / v with w the minimum for samples z: along what the samples tell."""
    model, image, found = sens_draws(Gibbs().sens_cg, rng)
    shape = model.samples.shape
    other = replace(model, samples=rng.standard_normal(shape) + 1j * rng.standard_normal(shape))
    solved = other.update(image, None, 1e-3, 0.05, 500)

    def seen(coefficients):
        return np.vdot(other.samples, model.sampling.forward(model.predicted(image, coefficients)))

    values = np.array([[seen(one) for one in chains] for chains in found])
    assert abs((abs(values - values.mean()) ** 2).mean() / (2 * 0.4 * 1e-3 * seen(solved).real) - 1) < 0.3


def test_sensitivities_vary_where_the_samples_say_little(rng):
    """The spread of all modes, by a few preconditioned steps and by many."""
    few, many = (np.var(sens_draws(iterations, rng)[2], (0, 1)).sum() for iterations in (Gibbs().sens_cg, 200))
    assert 0.6 < few / many < 1.1
