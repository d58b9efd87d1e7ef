"""Gibbs sampling of the posterior of image and sensitivities, around its maximum.

M. Kuric et al., The Gaussian latent machine, arXiv 2505.12836.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import at_least
from ..arrays.generators import Rngs, for_each, white_noise
from ..arrays.modules import array_module
from ..physics.fourier import averaged, divide, filtered
from ..physics.sobolev_maps import MapsByCoil
from ..physics.undersampling import acceleration
from ..prior.protocol import LatentPrior
from .chains import batches, chains_that_fit
from .joint_map import Map
from .likelihood import Likelihood, RingWeights
from .posterior_statistics import PosteriorStatistics
from .problem import Problem, prior_for
from .quadratic_step import newton_step
from .state import State

ROUNDING = 1e-5  # Part of the largest variance that averages by FFT may be wrong by.


@dataclass(frozen=True)
class Gibbs:
    """The method "gibbs": posterior mean and standard deviation by Gibbs sampling (`gibbs`).

    The mean is estimated half-way between the maximum and the mean of the draws (`to_mean`).
    """

    chains: int = 4
    """Chains, which all start at the maximum: several show by R-hat whether they agree."""

    burn_in: int = 10
    """First sweeps of each chain, which do not count, because they still remember the maximum."""

    thin: int = 6
    """Sweeps from one sample to the next; mean and standard deviation use all sweeps."""

    sigma: float | None = None
    """Noise level of the prior; None: that of the maximum."""

    draw_cg: int = 6
    """Conjugate gradient steps for each drawn image: components that have not converged have too little variance."""

    sens_cg: int = 5
    """The same for the sensitivities of each coil, which are preconditioned."""

    side_by_side: int | None = None
    """Chains that go together at most; None: as many as the cache of a CPU or the memory of a GPU holds."""

    smoothing: float = 1.5
    """Standard deviation in pixels of the Gaussian window over which the variance of the draws is averaged: that of
    one pixel is known from as many draws only as the chains are worth."""

    to_mean: float = 0.5
    """Part of the way from the maximum to the mean of the draws at which the image is: either may be the worse one.
    Where the maximum has been moved towards the mean already, it is a part of what is left."""

    maximum: Map = Map()
    """Options of the maximum."""

    name: ClassVar[str] = "gibbs"
    image_noise: ClassVar[float] = 0.0
    prior_members: ClassVar[tuple[str, ...]] = ("score", "curvature", "exponent", "drawn_score")
    default_samples: ClassVar[int] = 10

    def __post_init__(self) -> None:
        check_fields(self, ["to_mean"], burn_in=0, to_mean=0)

    @property
    def iterations(self) -> int:
        """Number of iterations to the maximum."""
        return self.maximum.iterations

    @property
    def likelihood(self) -> Likelihood:
        """How far the samples are trusted."""
        return self.maximum.likelihood

    def with_iterations(self, iterations: int) -> Gibbs:
        """Return the method with another number of iterations to the maximum."""
        return replace(self, maximum=self.maximum.with_iterations(iterations))

    def level(self, problem: Problem) -> float:
        """Return the noise level of the prior."""
        return self.sigma or self.maximum.level(problem)

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, at least two so that R-hat is known, and of draws from each."""
        chains = min(self.chains, max(samples, 2))
        return chains, self.thin * -(-samples // chains)

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice at most."""
        chains, draws = self.chain_shape(samples)
        return self.maximum.num_iterations(samples) + chains * (self.burn_in + draws)

    def temperature(self, prior: Any, problem: Problem) -> float:
        """Return the temperature of the draws, the exponent of the prior."""
        return float(prior_for(problem, prior).exponent(self.level(problem)))

    def std(self, draws: PosteriorStatistics, prior: Any, problem: Problem) -> Any:
        """Return the standard deviation of the posterior: that of the draws, times R-hat, calibrated.

        Variances are averaged over a small window.  Where the chains do not agree they have seen only a part of the
        posterior; R-hat, of each window, says how much (1 for a single chain).  1 / temperature^(1/2) undoes the
        temperature of the draws, which is exact where the posterior is Gaussian; the calibration of the prior makes up
        for the rest.  A prior without one is taken as calibrated.
        """
        def smooth(variance: Array) -> Any:
            return at_least(averaged(variance, self.smoothing, problem.images.grid_axes), 0.0)

        variance, parts = smooth(draws.std**2), draws.variances()
        if parts is not None:
            # Where draws hardly vary, the window holds rounding of the FFT alone.
            within, pooled = (smooth(part) + ROUNDING * parts[1].max() for part in parts)
            variance = variance * divide(pooled, within)
        calibration = getattr(prior, "calibration", None)
        factor = calibration.factor(acceleration(problem.sampling.sampled_part), problem.coils) if calibration else 1.0
        return factor * (variance / self.temperature(prior, problem)) ** 0.5

    def solve(self, problem: Problem, prior: LatentPrior, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each step to the maximum, then of each sweep of each chain.

        The chains start at the maximum.  Where that is moved towards the mean, so are the draws.
        """
        state, of_draws = None, prior_for(problem, prior)
        for state in self.maximum.solve(problem, prior, samples, seed):
            yield state
        assert state is not None
        problem, (chains, draws) = problem.started_from(state), self.chain_shape(samples)
        towards_mean = 0 if state.maximum is None else state.image - state.maximum
        problem = replace(problem, start=replace(state, image=state.image - towards_mean))
        grid = problem.images.grid
        shape = (math.prod(state.sens_shape[:-len(grid)]), *grid)
        # The maps of several chains do not repeat along a series as those of one do.
        size = 1 if problem.images.is_series else self.side_by_side or chains_that_fit(chains, shape, state.image)
        for batch, rngs in batches(chains, size, seed):
            for sweep, states in enumerate(islice(gibbs(problem, of_draws, self, rngs), self.burn_in + draws)):
                round_, rest = divmod(sweep - self.burn_in + 1, self.thin)
                for place, chain in enumerate(batch):
                    sample = chain + chains * (round_ - 1)
                    is_draw = sweep >= self.burn_in
                    drawn = states.chain(place)
                    yield replace(drawn, image=drawn.image + towards_mean).noted(
                        chain=chain, is_draw=is_draw,
                        sample=sample if is_draw and rest == 0 and sample < samples else None)


def gibbs(problem: Problem, prior: LatentPrior, options: Gibbs, rngs: Rngs) -> Iterator[State]:
    """Yield draws of image and sensitivities from the posterior at temperature alpha, without end.

    The posterior is (p_sigma(e* x) N(z; A x, v))^(1/alpha) with the phase e of the start and alpha = prior.exponent.
    p_sigma^(1/alpha) is a product of mixtures.  Once the component of every filter response is drawn, the rest is
    Gaussian, and a draw from that is a majorise-minimise step for perturbed samples, by CG.  For one coil, whose phase
    is trusted in part, this holds approximately.
    """
    start, sigma, likelihood = problem.start, options.level(problem), options.likelihood
    hessian, temperature = prior.curvature(problem.images.grid, sigma, array_module(start.image)), prior.exponent(sigma)
    root, axes = hessian**0.5, problem.images.grid_axes
    phase = options.maximum.phase.within(problem.known_radius).of(start.image, axes, trusted=not problem.one_coil)
    power = problem.model(start.sens_by_coil).gradient(start.image, problem.samples)[1]
    variance, residual_var = likelihood.variances(problem, power)
    sens_variance, samples = likelihood.of_sensitivities(problem, variance, residual_var), problem.samples
    if problem.sens_model:
        sampling, sens_model = RingWeights(problem, problem.sens_model, likelihood).weighted(power)
        problem = replace(problem, sampling=sampling, sens_model=sens_model)
    problem = problem.in_chains(len(rngs))

    images_of_chain = math.prod(start.image.shape[:-len(axes)])

    def white() -> Array:
        return filtered(root, white_noise(rngs, start.image), axes)

    def drawn_score(image: Array) -> Array:
        of_each = [rng for rng in rngs for _ in range(images_of_chain)]
        return prior.drawn_score(image.reshape(-1, *problem.images.grid), sigma, of_each).reshape(image.shape)

    image, coefficients, maps = problem.start.image, problem.start.coefficients, problem.start.maps
    grid, model = problem.images.grid, problem.model(problem.start.sens_by_coil)
    penalty = options.maximum.sens_penalty.least(grid)
    while True:
        gradient, power = model.gradient(image, problem.samples)
        noise = for_each(rngs, lambda rng: problem.sampling.noise(rng, samples), 1)
        perturbation: Any = model.adjoint(noise) / variance**0.5 + phase.noise(white)
        drawn = phase.ascent(drawn_score, image)
        descent = drawn - gradient / variance + temperature**0.5 * perturbation
        image = image + newton_step(model, hessian, phase.turn, descent, variance, options.draw_cg)
        if problem.sens_model and coefficients is not None:
            coefficients = problem.sens_model.draw(image, coefficients, sens_variance, penalty, options.sens_cg,
                                                   temperature, rngs, problem.images)
            model = problem.model(problem.sens_model.maps.by_coil(coefficients))
            maps = problem.sens_model.maps if isinstance(model.sens, MapsByCoil) else model.sens
        residual_std = likelihood.variances(problem, power)[1] ** 0.5
        yield State(image, maps, coefficients, problem.units).noted(sigma=sigma, residual_std=residual_std)
