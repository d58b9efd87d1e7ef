"""The Fourier transform at the sampled points of a grid, and convolutions.

Most masks leave out whole lines.  Along these, only the others need a transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, complex_dtype, kernels_for
from ..arrays.threads import joined, share, threads_for

LinesT = TypeVar("LinesT", bound="OnlyLines")
MOST_LINES = 0.8  # Part of the lines with samples beyond which it does not pay to leave the others out.


@dataclass(frozen=True, eq=False)
class Convolution:
    """F^H R F, with the transform F along some of the axes of a grid; on the CPU one compiled loop.

    factor: R, (*grid), of size 1 along an axis where it is constant, or on a larger grid for images filled up with
    zeros; with `lines`, on these only, and F is a transform along them, too.
    """

    shape: Shape
    factor: Array
    axes: tuple[int, ...]
    lines: OnlyLines | None = None

    def of(self, images: Array) -> Array:
        """Return F^H R F x of images (…, *grid); may overwrite x."""
        if array_module(images) is not np:
            return self.by_operations(images)
        from ..arrays.kernels.transforms import NO_LINES, convolve, convolve_padded
        images, lines = np.ascontiguousarray(images, complex_dtype(images.dtype)), self.lines
        stack = images.reshape(-1, *(1,) * (3 - len(self.shape)), *self.shape)
        factor = np.ascontiguousarray(self.factor).reshape(*(1,) * (3 - self.factor.ndim), *self.factor.shape)
        on_lines, numbers, along = stack, np.empty(0, int), NO_LINES
        if lines is not None:
            on_lines = lines.side_by_side(stack[:, None] if len(self.shape) == 3 else stack)
            numbers, along = lines.sampled, 0 if lines.along == -len(self.shape) else 1
        axes, padded = np.array([3 + axis for axis in self.axes]), self._padded

        def work(pieces: list[slice]) -> None:
            part, threads = joined(pieces), threads_for(stack[0])
            if padded:
                convolve_padded(stack[part], factor, threads)
            else:
                convolve(stack[part], factor, axes, on_lines[part], numbers, along, threads)

        share(work, len(stack), np.broadcast_to(stack.dtype.type(), factor.shape) if padded else stack[0])
        return images

    def by_operations(self, images: Array) -> Array:
        """The same in array operations, for a GPU."""
        lines, axes = self.lines, self.axes
        if lines is not None:
            spectra = fftn(images, axes, overwrite=True)
            own = scaled(fftn(lines.taken(spectra), lines.own_axes, overwrite=True), self.factor[None])
            return ifftn(lines.in_place(ifftn(own, lines.own_axes, overwrite=True), spectra), axes, overwrite=True)
        if self._padded:
            return self._of_padded(images)
        return ifftn(scaled(fftn(images, axes, overwrite=True), self.factor[None]), axes, overwrite=True)

    @property
    def _padded(self) -> bool:
        return self.lines is None and any(points > n for points, n in zip(self.factor.shape, self.shape))

    def _of_padded(self, images: Array) -> Array:
        """The same for a larger grid.  Lines that are zero, or not needed, are not transformed."""
        xp, sides = array_module(images), list(zip(self.axes, self.shape, self.factor.shape))
        for axis, n, padded in reversed(sides):
            widths = [(0, 0)] * images.ndim
            widths[axis] = (0, padded - n)
            images = fftn(xp.pad(images, widths), (axis,), overwrite=True)
        kernels_for(images).scale(images, self.factor)
        for axis, n, _ in sides:
            images = ifftn(xp.ascontiguousarray(images), (axis,), overwrite=True)
            images = xp.moveaxis(xp.moveaxis(images, axis, 0)[:n], 0, axis)
        return images


@dataclass(frozen=True, eq=False)
class WholeGrid:
    """M F for a mask of any kind: stacks (J, …, *grid), which are overwritten, and factors (1 or J, *grid) of samples.

    axes: those of the grid.
    """

    axes: tuple[int, ...]

    def forward(self, images: Array, factor: Array) -> Array:
        """M F x."""
        return scaled(fftn(images, self.axes, overwrite=True), factor)

    def adjoint(self, samples: Array) -> Array:
        """F^H z for samples that are zero where the mask is."""
        return ifftn(samples, self.axes, overwrite=True)

    def convolution(self, factor: Array, binary: bool) -> Convolution:
        """F^H M F for a factor (*grid); binary: whether it is 1 for all samples."""
        return Convolution(factor.shape, factor, self.axes)


@dataclass(frozen=True, eq=False)
class OnlyLines:
    """The same for samples on lines along the first or the last axis of the grid, where a mask leaves out the others.

    Samples and factors are kept on these lines only, (J, …, L, n) or (J, …, n, L).
    shape: of the grid; along: axis of the lines, -ndim or -1; sampled: numbers of the lines with samples; whole:
    whether the mask takes all of these lines.
    """

    shape: Shape
    along: int
    sampled: Array
    whole: bool

    @classmethod
    def of(cls: type[LinesT], mask: Array) -> LinesT | None:
        """From a mask (*grid); None where it leaves out few lines or none."""
        for along in (-mask.ndim, -1):  # Lines along an axis between others would not lie side by side.
            taken = (mask != 0).any(along)
            if 0 < float(taken.mean()) <= MOST_LINES:
                whole = bool((taken == (mask != 0).all(along)).all())
                return cls(mask.shape, along, array_module(mask).flatnonzero(taken), whole)
        return None

    @property
    def _across(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(-len(self.shape), 0) if axis != self.along)

    @property
    def own_axes(self) -> tuple[int]:
        """Axis of the lines themselves, once the axes across are one."""
        return (-1,) if self.along == -1 else (-2,)

    def forward(self, images: Array, factor: Array) -> Array:
        """M F x."""
        lines = self.taken(fftn(images, self._across, overwrite=True))
        return scaled(fftn(lines, self.own_axes, overwrite=True), factor)

    def adjoint(self, samples: Array) -> Array:
        """F^H z for samples that are zero where the mask is."""
        lines = self.in_place(ifftn(samples, self.own_axes, overwrite=True))
        return ifftn(lines, self._across, overwrite=True)

    def convolution(self, factor: Array, binary: bool) -> Convolution:
        """F^H M F for a factor of the samples of one coil.  Whole lines with factor 1 are not transformed along."""
        if not (self.whole and binary):
            return Convolution(self.shape, factor, self._across, self)
        across = list(self.shape)
        across[self.along] = 1
        kept = array_module(factor).zeros(across, factor.dtype)
        kept.reshape(-1)[self.sampled] = 1
        return Convolution(self.shape, kept, self._across)

    def side_by_side(self, arrays: Array) -> Array:
        """Return arrays (…, *grid) with the axes across the lines as one."""
        n = self.shape[self.along]
        return arrays.reshape(*arrays.shape[:-len(self.shape)], *((-1, n) if self.along == -1 else (n, -1)))

    def taken(self, arrays: Array) -> Array:
        """Return the lines, (…, L, n) or (…, n, L), of arrays (…, *grid)."""
        return self.side_by_side(arrays).take(self.sampled, -2 if self.along == -1 else -1)

    def in_place(self, lines: Array, out: Array | None = None) -> Array:
        """Return lines where they belong in an array (…, *grid) of zeros, which takes the place of `out` if it can."""
        xp = array_module(lines)
        if out is None or not out.flags.c_contiguous:
            out = xp.empty((*lines.shape[:-2], *self.shape), lines.dtype)
        beside = self.side_by_side(out)
        if self.along == -1:
            beside[...] = 0
            beside[..., self.sampled, :] = lines
        else:
            kernels_for(out).scatter(xp.ascontiguousarray(lines), self.sampled, beside)
        return out


class SampledLines(OnlyLines):
    """The same for samples and factors on the whole grid."""

    def forward(self, images: Array, factor: Array) -> Array:
        """M F x."""
        return self.in_place(super().forward(images, self.taken(factor)))

    def adjoint(self, samples: Array) -> Array:
        """F^H z for samples that are zero where the mask is."""
        return super().adjoint(self.taken(samples))

    def convolution(self, factor: Array, binary: bool) -> Convolution:
        """F^H M F for a factor (*grid)."""
        return super().convolution(self.taken(factor), binary)


def scaled(samples: Array, factor: Array) -> Array:
    """Multiply samples (J, …, *grid) in place by factors (1, *grid) or (J, *grid), and return them."""
    if len(factor) == 1:
        kernels_for(samples).scale(samples, factor[0])
    else:
        samples *= factor.reshape(len(factor), *(1,) * (samples.ndim - factor.ndim), *factor.shape[1:])
    return samples
