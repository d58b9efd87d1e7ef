"""The scale of images in the solver: the prior knows images of one scale only."""

from dataclasses import dataclass

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module


@dataclass(frozen=True)
class ImageScale:
    """How data units and the units of the prior are related."""

    quantile: float = 0.999
    """Quantile of the magnitude that measures an image's scale, because the maximum may be a single bright pixel."""

    most_peak: float = 8.0
    """The maximum counts as at most so many times the scale, for images of a few bright points."""

    start: float = 1.2
    """Scale of the start image in the solver: the prior then reconstructs images of maximum about 1 best."""

    one_coil: float = 1.5
    """Scale of the image that is found from one coil: its start image of few samples is too dark."""

    rate: float = 0.1
    """Exponent of the correction of one coil in each iteration; 1 would be unstable."""

    def __post_init__(self) -> None:
        check_fields(self, {}, ["quantile", "most_peak", "start", "one_coil"])

    def of(self, image: Array) -> float:
        """Return the magnitude of the brightest part of an image."""
        xp, magnitude = array_module(image), abs(image)
        return float(xp.maximum(xp.quantile(magnitude, self.quantile), magnitude.max() / self.most_peak))

    def step(self, image: Array, followed: float) -> float:
        """Return the divisor that brings the image of one coil a part of the way to its scale.

        followed: the product of all divisors so far, which is bounded below by start / one_coil.  Without the bound, an
        image that shrinks, because samples are few or noise is strong, is amplified again and again.
        """
        return max((self.of(image) / self.one_coil) ** self.rate, self.start / self.one_coil / followed)
