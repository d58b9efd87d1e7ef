"""Data units and solver units: the one place where they are converted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..prior.image_scale import ImageScale


@dataclass(frozen=True)
class OneCoilScale:
    """How the unit follows the image that is found from one coil: its start image of few samples is too dark."""

    brighter: float = 1.25
    """Scale of that image, relative to the scale of the start image."""

    rate: float = 0.1
    """Exponent of the correction in each iteration; 1 would be unstable."""

    def __post_init__(self) -> None:
        check_fields(self, rate=0)

    def step(self, image: Array, followed: float, scale: ImageScale) -> float:
        """Return the divisor that brings the image of one coil a part of the way to its scale.

        followed: the product of all divisors so far, which is bounded below by 1 / brighter.  Without the bound, an
        image that shrinks, because samples are few or noise is strong, is amplified again and again.
        """
        wanted = self.brighter * scale.start
        return max((scale.of(image) / wanted) ** self.rate, 1 / (self.brighter * followed))


@dataclass(frozen=True)
class Units:
    """An image in data units is `scale` times the image in solver units, where the prior knows it.

    from_start: the factor that the start image has fixed, for the images of a series (A, 1, …); followed: the factor
    that has followed the image of one coil since then; rule: the scale of the images that the prior knows; one_coil:
    how the unit follows one coil.
    """

    from_start: Any = 1.0
    followed: float = 1.0
    rule: ImageScale = ImageScale()
    one_coil: OneCoilScale = OneCoilScale()

    @property
    def scale(self) -> Any:
        """Data units in a solver unit."""
        return self.from_start * self.followed

    def times(self, factor: Any) -> Units:
        """Return units that are larger by a factor, before the solver begins."""
        return replace(self, from_start=self.from_start * factor)

    def follow(self, step: float) -> Units:
        """Return units that are larger by a step of the solver."""
        return replace(self, followed=self.followed * step)

    def step(self, image: Array) -> float:
        """Return the divisor that brings an image of one coil a part of the way to its scale."""
        return self.one_coil.step(image, self.followed, self.rule)

    def image_of(self, number: int) -> Units:
        """Return the units of one image of a series."""
        factors = np.ravel(self.from_start)
        return replace(self, from_start=float(factors[min(number, len(factors) - 1)]))

    def to_solver(self, value: Any) -> Any:
        """Convert images, samples or noise levels to solver units."""
        return value / self.scale

    def to_user(self, value: Any) -> Any:
        """Convert images, samples or noise levels to data units."""
        return value * self.scale
