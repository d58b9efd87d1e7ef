"""The scale of images: a prior knows images of one scale only, in training and in the solver."""

from dataclasses import dataclass

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module


@dataclass(frozen=True)
class ImageScale:
    """How the scale of an image is measured, and which scale a prior knows."""

    quantile: float = 0.999
    """Quantile of the magnitude that measures an image's scale, because the maximum may be a single bright pixel."""

    most_peak: float = 8.0
    """The maximum counts as at most so many times the scale, for images of a few bright points."""

    start: float = 1.2
    """Scale of the start image in the solver: the prior then reconstructs images of maximum about 1 best."""

    def __post_init__(self) -> None:
        check_fields(self, ["quantile"])

    def of(self, image: Array) -> float:
        """Return the scale of an image: the magnitude of its brightest part."""
        xp, magnitude = array_module(image), abs(image)
        return float(xp.maximum(xp.quantile(magnitude, self.quantile), magnitude.max() / self.most_peak))
