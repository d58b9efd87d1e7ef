"""Data units and solver units: the one place where they are converted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from ..arrays.array_types import Array
from ..prior.image_scale import ImageScale

Value = TypeVar("Value", Array, float)


@dataclass(frozen=True)
class Units:
    """An image in data units is `scale` times the image in solver units, where the prior knows it."""

    scale: float = 1.0
    rule: ImageScale = ImageScale()

    def times(self, factor: float) -> Units:
        """Return units larger by a factor."""
        return replace(self, scale=self.scale * factor)

    def to_solver(self, value: Value) -> Value:
        """Convert images, samples or noise levels to solver units."""
        return value / self.scale

    def to_user(self, value: Value) -> Value:
        """Convert images, samples or noise levels to data units."""
        return value * self.scale
