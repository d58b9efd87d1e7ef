"""Data units and solver units: the one place where they are converted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from ..arrays.array_types import Array
from ..prior.image_scale import ImageScale

Value = TypeVar("Value", Array, float)


@dataclass(frozen=True)
class Units:
    """An image in data units is `scale` times the image in solver units, where the prior knows it.

    from_start: the factor that the start image has fixed; followed: the factor that has followed the image of one coil
    since then; rule: the scale that images should have in the solver.
    """

    from_start: float = 1.0
    followed: float = 1.0
    rule: ImageScale = ImageScale()

    @property
    def scale(self) -> float:
        """Data units in a solver unit."""
        return self.from_start * self.followed

    def times(self, factor: float) -> Units:
        """Return units that are larger by a factor, before the solver begins."""
        return replace(self, from_start=self.from_start * factor)

    def follow(self, step: float) -> Units:
        """Return units that are larger by a step of the solver."""
        return replace(self, followed=self.followed * step)

    def step(self, image: Array) -> float:
        """Return the divisor that brings an image of one coil a part of the way to its scale."""
        return self.rule.step(image, self.followed)

    def to_solver(self, value: Value) -> Value:
        """Convert images, samples or noise levels to solver units."""
        return value / self.scale

    def to_user(self, value: Value) -> Value:
        """Convert images, samples or noise levels to data units."""
        return value * self.scale
