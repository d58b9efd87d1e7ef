"""The joint maximum of the posterior of image and sensitivities, by majorise-minimise steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from ..physics.coil_model import coil_model
from ..prior.protocol import Prior
from ..prior.smooth_phase import SmoothPhase
from .likelihood import Likelihood, RingWeights
from .method import Rngs, prior_for
from .problem import Problem
from .quadratic_step import newton_step
from .schedules import MOST_MOMENTUM, SensitivityPenalty, momentum
from .state import State


@dataclass(frozen=True)
class Map:
    """The method "map": the joint maximum of the posterior (`joint_map`)."""

    iterations: int = 40
    """Majorise-minimise steps: fewer leave detail of strongly undersampled images unfinished."""

    sigma: float = 0.015
    """Noise level of the prior, in images of maximum about 1: a smoother prior finds sensitivities better."""

    one_coil_sigma: float = 0.0075
    """Noise level of the prior for one coil, where no sensitivities are to be found."""

    image_cg: int = 3
    """Conjugate gradient steps for each image: with more, errors of the sensitivities are fitted."""

    sens_cg: int = 4
    """Conjugate gradient steps for the sensitivities after each image, started from the previous coefficients."""

    momentum: float = MOST_MOMENTUM
    """Largest factor of Nesterov's extrapolation; with 0 every step lowers the energy, but more steps are needed."""

    phase: SmoothPhase = SmoothPhase()
    """How the smooth phase of the image is found, and how far it is trusted."""

    likelihood: Likelihood = Likelihood()
    """How far the samples are trusted."""

    sens_penalty: SensitivityPenalty = SensitivityPenalty()
    """Penalty on the sensitivities in each iteration."""

    name: ClassVar[str] = "map"
    image_noise: ClassVar[float] = 0.0
    prior_members: ClassVar[tuple[str, ...]] = ("score", "curvature")
    default_samples: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_fields(self, {"iterations": 1, "image_cg": 1, "sens_cg": 1}, ["sigma", "one_coil_sigma"])

    def with_iterations(self, iterations: int) -> Map:
        """Return the method with another number of iterations."""
        return replace(self, iterations=iterations)

    def level(self, problem: Problem) -> float:
        """Return the noise level of the prior."""
        return self.one_coil_sigma if problem.one_coil else self.sigma

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice."""
        return self.iterations

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, and of draws from each: none."""
        return 1, 0

    def spread(self, prior: Prior, problem: Problem) -> float:
        """Return 1: there are no draws."""
        return 1.0

    def solve(self, problem: Problem, prior: Prior, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each step to the maximum."""
        return joint_map(problem, prior_for(problem, prior), self)


def joint_map(problem: Problem, prior: Prior, options: Map, rngs: Rngs = ()) -> Iterator[State]:
    """Yield the State after each majorise-minimise step to the joint maximum of the posterior.

    Each step takes the smooth phase e of the image and minimises the quadratic majoriser of -log p_sigma(e* x) +
    ||A x - z||^2 / (2 v), which is diagonal in Fourier space except for e.  The sensitivities follow.  With one coil
    nothing else absorbs a phase that is not smooth, nor the brightness that the start lacks.  There the phase is
    trusted as far as the image has it (with the same majoriser), and the unit follows the image.
    """
    image, coefficients = problem.start.image, problem.start.coefficients
    previous, model, sigma = image, problem.model(problem.start.sens), options.level(problem)
    hessian = prior.curvature(image.shape[-2:], sigma, array_module(image))
    sens_model = problem.sens_model
    weights = sens_model and RingWeights(problem, sens_model, options.likelihood)
    penalties = options.sens_penalty.weights(options.iterations)
    for factor, penalty in zip(momentum(options.iterations, options.momentum), penalties):
        extrapolated = image + factor * (image - previous)
        gradient, power = model.gradient(extrapolated, problem.samples)
        variance, residual_var = options.likelihood.variances(problem, power)
        phase = options.phase.of(extrapolated, trusted=not problem.one_coil)
        descent = phase.ascent(lambda image: prior.score(image, sigma), extrapolated) - gradient / variance
        previous = image
        image = extrapolated + newton_step(model, hessian, phase.turn, descent, variance, options.image_cg)
        if sens_model and weights:
            sampling, weighted = weights.weighted(power)
            sens_variance = options.likelihood.of_sensitivities(variance, residual_var)
            coefficients = weighted.update(image, coefficients, sens_variance, penalty, options.sens_cg, problem.images)
            model = coil_model(sampling, sens_model.maps.forward(coefficients), problem.images)
        elif problem.one_coil:
            step = problem.units.step(model.sens[0] * image)
            image, previous, problem = image / step, previous / step, problem.follow(step)
            residual_var = residual_var / step**2
        yield State(image, model.sens, coefficients, problem.units).noted(sigma=sigma, residual_std=residual_var**0.5)
