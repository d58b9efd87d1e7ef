"""The set of images that are reconstructed together."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..arrays.array_types import Shape


@dataclass(frozen=True)
class ImageAxis:
    """An axis of the set of images, in front of the image plane.

    adds_up: the coil images along this axis add up to one set of samples, as for the two images of an object that
    folds over.  Otherwise each image explains samples on its own, as for the chains of a posterior or for frames.
    own_sens: each image has sensitivities of its own, as for sets and chains.  Otherwise the images share them.
    """

    size: int
    adds_up: bool
    own_sens: bool = True


@dataclass(frozen=True)
class ImageSet:
    """Images (…, ny, nx): the grid of one image, and the axes in front of it (none for one image)."""

    grid: Shape
    axes: tuple[ImageAxis, ...] = ()

    @property
    def shape(self) -> Shape:
        """Shape of the array that holds all images."""
        return (*(axis.size for axis in self.axes), *self.grid)

    @property
    def sens_shape(self) -> Shape:
        """Shape of the sensitivities of one coil for all images."""
        return (*(axis.size for axis in self.axes if axis.own_sens), *self.grid)

    @property
    def adds_up(self) -> bool:
        """True if several images contribute to the same samples."""
        return self.sets > 1

    @property
    def sets(self) -> int:
        """Number of images that contribute to the same samples."""
        return math.prod(axis.size for axis in self.axes if axis.adds_up)

    @property
    def independent(self) -> Shape:
        """Sizes of the axes along which every image is a problem of its own."""
        return tuple(axis.size for axis in self.axes if not axis.adds_up)

    def along(self, axis: ImageAxis) -> ImageSet:
        """Return as many such sets as the axis is long."""
        return replace(self, axes=(axis, *self.axes))
