"""Samples that estimates have not seen, and that judge them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .problem import Problem


@dataclass(frozen=True)
class KeptRules:
    """Which samples are kept from an estimate."""

    part: float = 0.04
    """Part of the samples: enough to judge by, too few to be missed."""

    centre: float = 8.0
    """Samples up to this frequency, in cycles per field of view, are not kept: the brightness depends on them."""

    def __post_init__(self) -> None:
        check_fields(self, {}, ["part", "centre"])


@dataclass(frozen=True, eq=False)
class KeptSamples:
    """A problem, and which of its samples are kept from the estimates: booleans, in the order of the samples."""

    problem: Problem
    which: Array

    @classmethod
    def drawn(cls, problem: Problem, rules: KeptRules, rng: np.random.Generator) -> KeptSamples:
        """Draw samples at random, the same frequencies for all coils."""
        radius = problem.sampling.radius((1, 1))  # in cycles per field of view
        chosen = array_module(radius).asarray(rng.random(radius.shape) < rules.part)
        return cls(problem, chosen & (radius > rules.centre) & (radius < np.inf))

    @property
    def rest(self) -> Problem:
        """The problem without these samples."""
        return self.problem.without(self.which)

    def weight(self, sens: Array, first: Array, second: Array) -> float:
        """Return the weight w, from 0 to 1, with which (1 - w) first + w second predicts the samples best.

        The misfit is quadratic in w, so its minimum has a closed form.  It is shrunk by 1 - (its standard error / w)^2,
        so that the second image must be better beyond chance to count.
        """
        forward, xp = self.problem.model(sens).forward, array_module(first)
        misfit = (forward(first) - self.problem.samples)[..., self.which]
        change = forward(second - first)[..., self.which]
        ascent, power = -(change.conj() * misfit).real.sum(0), (xp.abs(change) ** 2).sum(0)
        if ascent.size < 2 or not float(power.sum()) > 0:
            return 0.0
        total = float(power.sum())
        weight = float(ascent.sum()) / total
        variance = float(((ascent - weight * power) ** 2).sum()) * ascent.size / (ascent.size - 1) / total**2
        return 0.0 if weight <= variance**0.5 else min(weight, 1.0) * (1 - variance / weight**2)
