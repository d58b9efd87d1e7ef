"""What every method offers, and what its options have in common."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ..prior.pogmdm import PoGMDM
from .problem import Problem
from .state import State

Rngs = Sequence[np.random.Generator]
Solver = Callable[[Problem, Any, Any, Rngs], Iterator[State]]
"""An algorithm: (problem, prior, options, rngs) -> States, one after each iteration.

It starts from the start of the problem and has no other effect.  An algorithm that draws runs one chain for each
generator; a chain draws the same numbers whatever the number of chains.
"""


class Method(Protocol):
    """A method of `recon` with its options, a frozen record."""

    @property
    def name(self) -> str:
        """The name by which `recon` knows the method."""

    @property
    def default_samples(self) -> int | None:
        """Number of samples where none is asked for; None for a method that draws none."""

    @property
    def iterations(self) -> int:
        """Number of iterations to the maximum."""

    def with_iterations(self, iterations: int) -> Method:
        """Return the method with another number of iterations to the maximum."""

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice."""

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, and of draws from each."""

    def spread(self, prior: Any, problem: Problem) -> float:
        """Return the factor from the standard deviation of the draws to that of the posterior."""

    def solve(self, problem: Problem, prior: Any, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each iteration; those that are draws say so."""


def reconstructing(prior: Any, problem: Problem) -> Any:
    """Return the form of a PoGMDM for reconstruction from several coils; other priors stay as they are.

    With one coil the learned gains stay: there no other coil would hold detail that the prior removes.
    """
    return prior.reconstructing if isinstance(prior, PoGMDM) and not problem.one_coil else prior


def check_options(options: Any, integers: dict[str, int], positive: Sequence[str]) -> None:
    """Raise ValueError unless fields are integers of at least some size, and others numbers above 0."""
    for name, least in integers.items():
        value = getattr(options, name)
        if not (isinstance(value, (int, np.integer)) and value >= least):
            raise ValueError(f"{name}: expected an integer >= {least}, got {value!r}")
    for name in positive:
        value = getattr(options, name)
        if not (isinstance(value, numbers.Real) and 0 < float(value) < np.inf):
            raise ValueError(f"{name}: expected a number > 0, got {value!r}")


