"""The box of k-space that was sampled: scanners interpolate by padding k-space with zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.modules import move


@dataclass(frozen=True)
class BoxRules:
    """When k-space counts as padded with zeros along an axis."""

    lines: int = 5
    """Sampled lines that the empty border would hold on one side, at their density just inside of it: an undersampled
    scan may miss its outermost lines by chance, but seldom so many."""

    least: int = 32
    """Size of the box, in samples, below which it is a calibration region and no image."""

    def __post_init__(self) -> None:
        check_fields(self)


def sampled_box(sampled: Array, rules: BoxRules) -> Shape:
    """Return the size of the box about the centre n // 2 of the grid in which samples lie, (*grid) booleans.

    Along an axis where the box is not clearly smaller, or too small, its size is that of the grid.  If samples are
    missing on one side of the centre, as in partial Fourier, the box has the size of the other side on both.
    """
    sampled = move(sampled, np)
    if not sampled.any():
        return sampled.shape
    others = (tuple(set(range(sampled.ndim)) - {axis}) for axis in range(sampled.ndim))
    return tuple(_size(np.atleast_1d(sampled.any(axes)), rules) for axes in others)


def _size(lines: Array, rules: BoxRules) -> int:
    """Return the size of the box along an axis, from booleans for its lines."""
    n, (places,) = len(lines), np.nonzero(lines)
    before, after = n // 2 - int(places[0]), int(places[-1]) - n // 2
    size = 2 * before if before > after else 2 * after + 1
    first = n // 2 - size // 2
    border = min(first, n - first - size)
    count = max(lines[first:first + border].sum(), lines[first + size - border:first + size].sum())
    if size < rules.least or count < rules.lines:
        return n
    # The scan ends somewhere before the lines that would have been the next to be sampled: half way there.
    further = round(border / int(count)) - 1
    largest = min(2 * (before + further) + 1, 2 * (after + further) + 2)
    return (size + max(size, largest) + 1) // 2
