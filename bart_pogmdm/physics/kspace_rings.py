"""Rings of k-space with equally many samples, from zero frequency outwards: what holds in each on the average."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..arrays.modules import array_module, move

RINGS = 16         # at most,
RING_SAMPLES = 64  # ... and fewer where they would not have so many samples


@dataclass(frozen=True, eq=False)
class Rings:
    """Which samples are in each ring: their order by distance, where each ring ends, and its mean distance."""

    order: np.ndarray
    bounds: tuple
    centres: np.ndarray

    @classmethod
    def of(cls, radius, count):
        """Of samples at a distance `radius` from zero frequency, all but `count` of them infinite.

        Samples at the same distance are in the same ring, so the order of the samples does not matter.
        """
        xp, count = array_module(radius), int(count)
        number = int(np.clip(count // RING_SAMPLES, 1, RINGS))
        order = radius.ravel().argsort()[:count]
        distances = radius.ravel()[order]
        starts = distances[xp.asarray(count * np.arange(number) // number)]
        firsts = np.unique(move(xp.searchsorted(distances, starts), np)).tolist()
        rings = cls(order, (*firsts, count), None)
        return replace(rings, centres=rings.means(radius))

    def means(self, values):
        """Mean of the samples' values in each ring."""
        xp, values = array_module(values), values.ravel()[self.order]
        return xp.stack([values[slice(*ends)].mean(dtype=float) for ends in pairwise(self.bounds)])

    def interpolate(self, means, radius):
        """Values at a distance from zero frequency, linear between the rings and constant beyond."""
        return array_module(radius).interp(radius, self.centres, means)
