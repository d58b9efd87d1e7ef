"""The protocol of methods, and of the solvers behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from .likelihood import Likelihood
from .posterior_statistics import PosteriorStatistics
from .problem import Problem
from .state import State

Rngs = Sequence[np.random.Generator]
"""Random generators, one for each chain: a chain draws the same numbers whatever the number of chains."""


class Method(Protocol):
    """A method of `recon` with its options, a frozen record."""

    @property
    def name(self) -> str:
        """The name by which `recon` knows the method."""

    @property
    def prior_members(self) -> tuple[str, ...]:
        """Names of the members that a prior must have."""

    @property
    def image_noise(self) -> float:
        """Noise that the method leaves in the image, of maximum about 1."""

    @property
    def to_mean(self) -> float:
        """Part of the way from the image before the draws to their mean at which the image of the result is."""

    @property
    def likelihood(self) -> Likelihood:
        """How far the samples are trusted."""

    @property
    def default_samples(self) -> int | None:
        """Number of samples where none is asked for; None for a method that draws none."""

    def with_iterations(self, iterations: int) -> Method:
        """Return the method with another number of iterations to the maximum, if it looks for that."""

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice."""

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, and of draws from each."""

    def temperature(self, prior: Any, problem: Problem) -> float:
        """Return the temperature at which the posterior is sampled."""

    def std(self, draws: PosteriorStatistics, prior: Any, problem: Problem) -> Any:
        """Return the standard deviation of the posterior (*grid), from the statistics of the draws."""

    def solve(self, problem: Problem, prior: Any, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each iteration, from the start of the problem; those that are draws say so."""


def prior_for(problem: Problem, prior: Any) -> Any:
    """Return the form that a prior has for reconstructions from several coils, if it has one, as a PoGMDM.

    With one coil the learned gains stay: there no other coil would hold detail that the prior removes.
    """
    return prior if problem.one_coil else getattr(prior, "reconstructing", prior)
