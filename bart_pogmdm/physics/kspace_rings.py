"""Rings of k-space with equally many samples, and averages over them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module, move


@dataclass(frozen=True)
class RingRules:
    """How k-space is divided into rings."""

    number: int = 16
    """Number of rings at most: 8 and 32 rings gave about the same images."""

    least_samples: int = 64
    """Samples in a ring at least: an average over fewer would be mostly noise."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, eq=False)
class Rings:
    """The order of the samples by distance from zero frequency, the end of each ring, and its mean distance."""

    order: Array
    bounds: tuple[int, ...]
    centres: Array

    @classmethod
    def of(cls, radius: Array, rules: RingRules) -> Rings:
        """Rings of the samples whose distance `radius` from zero frequency is finite.

        Samples at the same distance are in the same ring, so the order of the samples does not matter.
        """
        xp, count = array_module(radius), int(array_module(radius).isfinite(radius).sum())
        number = int(np.clip(count // rules.least_samples, 1, rules.number))
        order = radius.ravel().argsort()[:count]
        distances = radius.ravel()[order]
        starts = distances[xp.asarray(count * np.arange(number) // number)]
        firsts = np.unique(move(xp.searchsorted(distances, starts), np)).tolist()
        rings = cls(order, (*firsts, count), distances)
        return replace(rings, centres=rings.means(radius))

    def means(self, values: Array) -> Array:
        """Average of the samples' values over each ring."""
        xp, values = array_module(values), values.ravel()[self.order]
        return xp.stack([values[slice(*ends)].mean(dtype=float) for ends in pairwise(self.bounds)])

    def weights(self, excess: Array, radius: Array) -> Array:
        """Weights 1 / max(1, excess of the ring) at a distance from zero frequency.

        Their logarithm is linear between the rings and constant beyond them.
        """
        xp = array_module(radius)
        return xp.exp(-xp.interp(radius, self.centres, xp.log(xp.maximum(excess, 1))))
