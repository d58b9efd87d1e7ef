"""Algorithm 1 of the paper: predictor-corrector sampling down the noise levels of the prior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import at_least, inner
from ..arrays.generators import Rngs, white_noise
from ..physics.fourier import PLANE
from ..physics.h1_sensitivities import h1_step
from ..prior.protocol import ScorePrior
from .chains import batches, chains_that_fit
from .joint_map import Map
from .likelihood import Likelihood
from .posterior_statistics import PosteriorStatistics
from .problem import Problem
from .schedules import SensitivityPenalty, exponential, sensitivity_steps
from .state import State


@dataclass(frozen=True)
class Diffusion:
    """The method "diffusion": samples by Algorithm 1 of the paper, with its values (`diffusion`)."""

    num_levels: int = 1000
    """Number N of noise levels of the prior."""

    num_corrector: int = 1
    """Corrector steps M at each noise level."""

    sigma_min: float = 0.01
    """Lowest noise level of the prior, in images of maximum about 1."""

    sigma_max: float = 10.0
    """Highest noise level of the prior."""

    likelihood_step: float = 1.0
    """Step lambda of the likelihood; 1 is the inverse of the Lipschitz constant for sensitivities of RSS 1."""

    sens_step: float = 10.0
    """Inverse step mu of the sensitivity update "h1"."""

    snr: float = 0.16
    """Ratio r of noise and score that sets the step of the corrector."""

    come_closer: float | None = None
    """Start at this noise level, from the noised start image (by default a few steps of least squares)."""

    sens_update: str = "h1"
    """"h1": a gradient step of 1 / mu and the paper's smoothing; "sobolev": the update of the other methods."""

    side_by_side: int | None = None
    """Samples drawn together at most; None: as many as the cache of a CPU or the memory of a GPU holds."""

    sens_cg: int = Map.sens_cg
    """Conjugate gradient steps of the sensitivity update "sobolev" for a plane; for a volume twice as many."""

    sens_penalty: SensitivityPenalty = SensitivityPenalty()
    """Penalty on the sensitivities in the update "sobolev": its last value."""

    likelihood: Likelihood = Likelihood()
    """How far the samples are trusted in the update "sobolev"."""

    name: ClassVar[str] = "diffusion"
    default_samples: ClassVar[int] = 10
    to_mean: ClassVar[float] = 1.0
    prior_members: ClassVar[tuple[str, ...]] = ("score",)

    def __post_init__(self) -> None:
        check_fields(self, num_levels=2, num_corrector=0)
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min: expected less than sigma_max {self.sigma_max}, got {self.sigma_min}")
        if self.come_closer is not None and not self.sigma_min < self.come_closer <= self.sigma_max:
            raise ValueError(f"come_closer: expected a number between sigma_min {self.sigma_min}"
                             f" and sigma_max {self.sigma_max}, got {self.come_closer!r}")
        if self.sens_update not in ("h1", "sobolev"):
            raise ValueError(f"sens_update: expected h1 or sobolev, got {self.sens_update!r}")

    @property
    def sigmas(self) -> list[float]:
        """The noise levels, falling."""
        levels = exponential(self.sigma_min, self.sigma_max, self.num_levels)
        return levels if self.come_closer is None else [self.come_closer, *(s for s in levels if s < self.come_closer)]

    @property
    def image_noise(self) -> float:
        """Noise that is left in a draw, that of the last level."""
        return self.sigma_min

    def with_iterations(self, iterations: int) -> Diffusion:
        """Return the method as it is: it does not look for the maximum."""
        return self

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, and of draws from each: every sample has a chain of its own."""
        return samples, 1

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice."""
        return samples * (len(self.sigmas) - 1)

    def temperature(self, prior: Any, problem: Problem) -> float:
        """Return 1, the temperature of the samples."""
        return 1.0

    def std(self, draws: PosteriorStatistics, prior: Any, problem: Problem) -> Any:
        """Return the standard deviation of the samples as it is."""
        return draws.std

    def solve(self, problem: Problem, prior: ScorePrior, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each noise level of each sample; the last of each is a draw."""
        last = self.num_iterations(1) - 1
        size = self.side_by_side or chains_that_fit(samples, problem.start.sens_shape, problem.start.image)
        for batch, rngs in batches(samples, size, seed):
            for step, states in enumerate(diffusion(problem, prior, self, rngs)):
                for place, sample in enumerate(batch):
                    yield states.chain(place).noted(chain=sample, is_draw=step == last,
                                                    sample=sample if step == last else None)


def diffusion(problem: Problem, prior: ScorePrior, options: Diffusion, rngs: Rngs) -> Iterator[State]:
    """Yield the State of all chains after each noise level of Algorithm 1."""
    sigmas, step, likelihood = options.sigmas, options.likelihood_step, options.likelihood
    problem, grid = problem.in_chains(len(rngs)), problem.images.grid
    penalty, sens_cg = options.sens_penalty.least(grid), sensitivity_steps(options.sens_cg, grid)
    image, sens, coefficients = problem.start.image, problem.start.sens, problem.start.coefficients
    image = image + sigmas[0] * white_noise(rngs, image[0])                                         # line 1
    for sigma, sigma_next in pairwise(sigmas):                                                      # 2
        model = problem.model(sens)
        image = predict(prior, image, sigma, sigma_next, rngs)                                      # 3-5
        gradient, power = model.gradient(image, problem.samples)
        image = image - step * problem.sampling.equalize(gradient)                                  # 6
        for _ in range(options.num_corrector):                                                      # 7
            image = correct(prior, image, sigma_next, options.snr, rngs)                            # 8-10
            gradient, power = model.gradient(image, problem.samples)
            image = image - step * problem.sampling.equalize(gradient)                              # 11
        variance, residual_var = likelihood.variances(problem, power)
        if problem.sens_model and options.sens_update == "h1":                                      # 12
            sens, coefficients = h1_step(problem.sampling, problem.samples, image, sens, options.sens_step), None
        elif problem.sens_model:
            sens_variance = likelihood.of_sensitivities(problem, variance, residual_var)
            coefficients = problem.sens_model.update(image, coefficients, sens_variance, penalty, sens_cg,
                                                     problem.images)
            sens = problem.sens_model.maps.forward(coefficients)
        yield State(image, sens, coefficients, problem.units).noted(sigma=sigma_next, residual_std=residual_var**0.5)


def predict(prior: ScorePrior, image: Array, sigma: float, sigma_next: float, rngs: Rngs) -> Array:
    """Take a step of the reverse diffusion: x + (sigma^2 - sigma_next^2) score(x, sigma) + noise of that variance."""
    variance = sigma**2 - sigma_next**2
    return image + variance * prior.score(image, sigma) + variance**0.5 * white_noise(rngs, image[0])


def correct(prior: ScorePrior, image: Array, sigma: float, snr: float, rngs: Rngs) -> Array:
    """Take a Langevin step at a noise level, of size 2 (snr ||n|| / ||score||)^2.

    Y. Song et al., Score-based generative modeling through stochastic differential equations, arXiv 2011.13456.
    """
    score, noise = prior.score(image, sigma), white_noise(rngs, image[0])
    step = 2 * snr**2 * inner(noise, noise, PLANE) / at_least(inner(score, score, PLANE), 1e-30)
    return image + step * score + (2 * step) ** 0.5 * noise
