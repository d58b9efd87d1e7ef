"""Images of low resolution times smooth maps, on a grid that goes beyond the field of view."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import index_of
from ..arrays.devices import kept_on_device
from ..arrays.matrix_product import multiplied
from ..arrays.modules import array_module, complex_dtype, real_dtype
from .fourier import axes_of
from .sobolev_maps import SobolevMaps, SobolevRules

BORDER = 6  # Points beyond the field of view: further away, little is left of the blur of a pixel at its border.


@dataclass(frozen=True, eq=False)
class WideGrid:
    """A coarse grid for x c whose low frequencies are those of the product at full resolution.

    An object that reaches the border of the field of view jumps there, from one side to the other.  A coarse pixel at
    the border of the field would hold both sides, which the maps tell apart.  Here the image is zero beyond the field
    before it is blurred to low resolution, the maps go on, and what the blur has brought beyond the field is folded
    back once it is multiplied by them.

    grid: of the field of view; border: points beyond it, at either side of each axis; maps: at all points.
    """

    grid: Shape
    border: Shape
    maps: SobolevMaps

    @classmethod
    def of(cls, grid: Shape, shape: Shape, dtype: np.dtype, rules: SobolevRules, xp: ArrayModule) -> WideGrid:
        """The grid of an image of `shape`; an axis of full resolution needs no border."""
        border = tuple(BORDER if points < n else 0 for points, n in zip(grid, shape))
        return cls(grid, border, SobolevMaps.on_grid(grid, shape, dtype, rules, xp, border))

    def image(self, image: Array) -> Array:
        """Return an image (…, *any grid) at low resolution, and zero beyond the field of view before that.

        Its norm stays as it is, but for the high frequencies that are lost.
        """
        for axis in sorted(axes_of(self.grid), key=lambda axis: axis == -2):  # so that the image is contiguous
            points, border = self.grid[axis], self.border[axis]
            if border or image.shape[axis] != points:
                matrix = _interpolation(image.shape[axis], points, border, real_dtype(image.dtype), array_module(image))
                image = multiplied(matrix, image, axis)
        return image

    def coil_images(self, image: Array, coefficients: Array) -> Array:
        """Return products x E W chat on the field of view, (J, …, *grid), of x (…, *wide grid) and chat (J, …, *modes).

        Several images may have the same maps.  Planes on the CPU take a compiled loop, in the precision of the maps.
        """
        if not self._is_compiled(image):
            return self.folded(image * self.maps.forward(coefficients))
        from ..arrays.kernels.transforms import coil_images
        images, weighted = self._planes(image), self._of_coils(self.maps.weight * coefficients, image)
        out = np.empty((len(coefficients), len(images), *self.grid), images.dtype)
        coil_images(weighted, *self.maps.waves, images, self.border, out)
        return out.reshape(-1, *image.shape[:-2], *self.grid)

    def adjoint(self, image: Array, coil_images: Array) -> Array:
        """Return W E^H (x* y) of coil images y (J, …, *grid) on the wide grid, the adjoint for each image."""
        if not self._is_compiled(image):
            return self.maps.adjoint(image.conj() * self.unfolded(coil_images))
        from ..arrays.kernels.transforms import of_coil_images
        images, modes = self._planes(image), self.maps.weight.shape
        out = np.empty((len(coil_images), len(images), *modes), images.dtype)
        of_coil_images(self._of_coils(coil_images, image), *self._transposed_waves, images, self.border, out)
        out *= self.maps.weight
        return out.reshape(-1, *image.shape[:-2], *modes)

    @cached_property
    def _transposed_waves(self) -> tuple[Array, ...]:
        return tuple(np.ascontiguousarray(wave.T) for wave in self.maps.waves)

    def _is_compiled(self, image: Array) -> bool:
        return array_module(image) is np and len(self.grid) == 2

    def _planes(self, arrays: Array, *leading: int) -> Array:
        """Return arrays (…, n, m) as (*leading, S, n, m) in the precision of the maps."""
        arrays = np.ascontiguousarray(arrays, complex_dtype(self.maps.weight.dtype))
        return arrays.reshape(*leading, -1, *arrays.shape[-2:])

    def _of_coils(self, arrays: Array, image: Array) -> Array:
        """Return arrays (J, …, n, m) as (J, S, n, m), or as (J, 1, n, m) where they are the same for all images."""
        if any(n > 1 for n in arrays.shape[1:-2]) and arrays.shape[1:-2] != image.shape[:-2]:
            arrays = np.broadcast_to(arrays, (len(arrays), *image.shape[:-2], *arrays.shape[-2:]))
        return self._planes(arrays, len(arrays))

    def folded(self, products: Array) -> Array:
        """Return products (…, *wide grid) on the field of view, where points beyond it add to those they fold onto."""
        for axis, n, border in zip(axes_of(self.grid), self.grid, self.border):
            if border:
                before, inside, after = (products[_part(axis, *ends)] for ends in (
                    (0, border), (border, border + n), (border + n, None)))
                products = inside.copy()
                products[_part(axis, n - border, None)] += before
                products[_part(axis, 0, border)] += after
        return products

    def unfolded(self, images: Array) -> Array:
        """Return images (…, *grid) that go on periodically on the wide grid: the adjoint of `folded`."""
        for axis, n, border in zip(axes_of(self.grid), self.grid, self.border):
            if border:
                before, after = images[_part(axis, n - border, None)], images[_part(axis, 0, border)]
                images = array_module(images).concatenate([before, images, after], axis)
        return images


def _part(axis: int, first: int, end: int | None) -> Any:
    """Return the index of a part of an axis, counted from the last."""
    return index_of((slice(first, end), *(slice(None),) * (-1 - axis)))


@kept_on_device(16)
def _interpolation(n: int, points: int, border: int, dtype: DTypeLike, xp: ArrayModule) -> Array:
    """Return the matrix (points + 2 border, n) of sinc interpolation from n pixels of the field of view to `points`."""
    step = n / points
    distance = ((np.arange(-border, points + border) - points // 2) * step)[:, None] - (np.arange(n) - n // 2)
    matrix = np.sinc(distance / max(step, 1)) * (step**0.5 / max(step, 1))
    return xp.asarray(matrix, dtype)
