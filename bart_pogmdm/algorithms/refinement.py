"""Refinement of samples: the maximum of the posterior near them, for fixed sensitivities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..arrays.modules import array_module
from ..physics.fourier import PLANE
from ..prior.protocol import Prior
from .likelihood import Likelihood
from .method import Rngs
from .problem import Problem
from .schedules import momentum
from .state import State


@dataclass(frozen=True)
class Refinement:
    """Options of `refine`."""

    steps: int
    """Accelerated gradient steps."""

    sigma: float
    """Noise level of the prior, in images of maximum about 1."""

    likelihood: Likelihood = Likelihood()
    """How far the samples are trusted."""


def refine(problem: Problem, prior: Prior, options: Refinement, rngs: Rngs = ()) -> Iterator[State]:
    """Yield the State after each accelerated gradient step to the maximum at fixed sensitivities.

    The problem is one of several chains.  The step is 1 / L, with L a Lipschitz constant of the gradient
    of -log p_sigma(x) + ||A x - z||^2 / (2 v).
    """
    start, samples, likelihood, sigma = problem.start, problem.samples, options.likelihood, options.sigma
    image, previous, xp = start.image, start.image, array_module(start.image)
    sens = start.sens
    model = problem.model(sens)
    variance, _ = likelihood.variances(problem, model.gradient(image, samples)[1])
    of_samples = problem.sampling.norm * (xp.abs(sens) ** 2).sum(0).max(PLANE, keepdims=True)
    lipschitz = prior.curvature(image.shape[-2:], sigma, xp).max() + of_samples / variance
    for factor in momentum(options.steps):
        extrapolated = image + factor * (image - previous)
        gradient, power = model.gradient(extrapolated, samples)
        descent = prior.score(extrapolated, sigma) - gradient / variance
        previous, image = image, extrapolated + descent / lipschitz
        residual_std = likelihood.variances(problem, power)[1] ** 0.5
        yield State(image, start.maps, start.coefficients, start.units).noted(sigma=sigma, residual_std=residual_std)
