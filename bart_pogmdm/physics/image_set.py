"""The set of images that are reconstructed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module
from .fourier import axes_of


@dataclass(frozen=True)
class ImageAxis:
    """An axis of the set of images, in front of the grid.

    alone: each image is a problem of its own where the sensitivities are known.  Otherwise the samples tell all images
    along the axis together.
    adds_up: the coil images along this axis add up to one set of samples.
    own_sens: each image has sensitivities of its own.  Otherwise the images share them.
    """

    size: int
    alone: bool
    adds_up: bool = False
    own_sens: bool = True

    @classmethod
    def sets(cls, size: int) -> ImageAxis:
        """The images of an object that folds over."""
        return cls(size, alone=False, adds_up=True)

    @classmethod
    def chains(cls, size: int) -> ImageAxis:
        """Chains of a posterior, which have the same samples."""
        return cls(size, alone=True)

    @classmethod
    def simultaneous(cls, size: int) -> ImageAxis:
        """Slices that were excited together, and that their sampling tells apart."""
        return cls(size, alone=False)

    @classmethod
    def series(cls, size: int) -> ImageAxis:
        """Images that share their sensitivities and have samples of their own, as frames or echoes."""
        return cls(size, alone=True, own_sens=False)


@dataclass(frozen=True)
class ImageSet:
    """Images (…, *grid): the grid of one image, (ny, nx) or (nz, ny, nx), and the axes in front of it, if any."""

    grid: Shape
    axes: tuple[ImageAxis, ...] = ()

    @property
    def shape(self) -> Shape:
        """Shape of the array that holds all images."""
        return (*(axis.size for axis in self.axes), *self.grid)

    @property
    def sens_shape(self) -> Shape:
        """Shape of the sensitivities of one coil for all images: 1 along axes that share them."""
        return (*(axis.size if axis.own_sens else 1 for axis in self.axes), *self.grid)

    @property
    def adds_up(self) -> bool:
        """True if several images contribute to the same samples."""
        return self.sets > 1

    @property
    def sets(self) -> int:
        """Number of images that contribute to the same samples."""
        return math.prod(axis.size for axis in self.axes if axis.adds_up)

    @property
    def is_series(self) -> bool:
        """True if images share their sensitivities."""
        return any(not axis.own_sens for axis in self.axes)

    @property
    def independent(self) -> Shape:
        """Sizes of the axes along which every image is a problem of its own where the sensitivities are known."""
        return tuple(axis.size for axis in self.axes if axis.alone)

    @property
    def grid_axes(self) -> tuple[int, ...]:
        """Axes of the grid, the last ones of the images."""
        return axes_of(self.grid)

    @property
    def systems(self) -> tuple[int, ...] | None:
        """Axes of the images that belong to one system of equations, where there are several systems; None for all."""
        alone = [axis.alone for axis in self.axes]
        return self._joined([not one for one in alone]) if any(alone) else None

    @property
    def sens_systems(self) -> tuple[int, ...]:
        """Axes of the coefficients (J, …, *modes) that belong to one system of equations: each coil is one or more."""
        return self._joined([not axis.alone or not axis.own_sens for axis in self.axes])

    @property
    def shared(self) -> tuple[int, ...]:
        """Axes of the images that share sensitivities."""
        return tuple(number - len(self.shape) for number, axis in enumerate(self.axes) if not axis.own_sens)

    def along(self, axis: ImageAxis) -> ImageSet:
        """Return as many such sets as the axis is long."""
        return replace(self, axes=(axis, *self.axes))

    def _joined(self, is_joined: list[bool]) -> tuple[int, ...]:
        return (*(number - len(self.shape) for number, joined in enumerate(is_joined) if joined), *self.grid_axes)


def per_image(numbers: Sequence[float], grid: Shape, like: Array) -> Array:
    """Return a number for each image of a series, (A, 1, …), in the precision and on the device of an array."""
    return array_module(like).asarray(numbers, like.real.dtype).reshape(-1, *(1,) * len(grid))


def of_samples(factor: Any, samples: Array) -> Any:
    """Return factors of images, a number or (A, 1, …), with the dimensions that they need beside samples (J, A, …)."""
    return factor if np.ndim(factor) == 0 else factor.reshape(len(factor), *(1,) * (samples.ndim - 2))
