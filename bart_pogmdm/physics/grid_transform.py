"""The Fourier transform at the sampled points of a grid.

Most masks leave out whole lines.  Along these, only the others need a transform.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, kernels_for

LinesT = TypeVar("LinesT", bound="OnlyLines")
MOST_LINES = 0.8  # Part of the lines with samples beyond which it does not pay to leave the others out.


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

    def normal(self, images: Array, factor: Array, equal: bool) -> Array:
        """F^H M F x; equal: whether the factors of all samples are equal."""
        return self.adjoint(self.forward(images, factor))


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
            if float(taken.mean()) <= MOST_LINES:
                whole = bool((taken == (mask != 0).all(along)).all())
                return cls(mask.shape, along, array_module(mask).flatnonzero(taken), whole)
        return None

    @property
    def _across(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(-len(self.shape), 0) if axis != self.along)

    @property
    def _axes(self) -> tuple[int, int]:
        """Axes of the lines themselves and of their numbers, once the axes across are one."""
        return (-1, -2) if self.along == -1 else (-2, -1)

    def forward(self, images: Array, factor: Array) -> Array:
        """M F x."""
        lines = self.taken(fftn(images, self._across, overwrite=True))
        return scaled(fftn(lines, self._axes[:1], overwrite=True), factor)

    def adjoint(self, samples: Array) -> Array:
        """F^H z for samples that are zero where the mask is."""
        lines = self.in_place(ifftn(samples, self._axes[:1], overwrite=True))
        return ifftn(lines, self._across, overwrite=True)

    def normal(self, images: Array, factor: Array, equal: bool) -> Array:
        """F^H M F x.  Along whole lines with one factor no transform is needed, and they stay in their place."""
        spectra = fftn(images, self._across, overwrite=True)
        if self.whole and equal:
            return ifftn(scaled(spectra, self.in_place(factor)), self._across, overwrite=True)
        lines = scaled(fftn(self.taken(spectra), self._axes[:1], overwrite=True), factor)
        lines = ifftn(lines, self._axes[:1], overwrite=True)
        return ifftn(self.in_place(lines, spectra), self._across, overwrite=True)

    def _side_by_side(self, arrays: Array) -> Array:
        """Return arrays (…, *grid) with the axes across the lines as one."""
        n = self.shape[self.along]
        return arrays.reshape(*arrays.shape[:-len(self.shape)], *((-1, n) if self.along == -1 else (n, -1)))

    def taken(self, arrays: Array) -> Array:
        """Return the lines, (…, L, n) or (…, n, L), of arrays (…, *grid)."""
        return self._side_by_side(arrays).take(self.sampled, self._axes[1])

    def in_place(self, lines: Array, out: Array | None = None) -> Array:
        """Return lines where they belong in an array (…, *grid) of zeros, which takes the place of `out` if it can."""
        xp = array_module(lines)
        if out is None or not out.flags.c_contiguous:
            out = xp.empty((*lines.shape[:-2], *self.shape), lines.dtype)
        beside = self._side_by_side(out)
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

    def normal(self, images: Array, factor: Array, equal: bool) -> Array:
        """F^H M F x.  Where no line needs a transform, they stay in their place."""
        if self.whole and equal:
            spectra = scaled(fftn(images, self._across, overwrite=True), factor)
            return ifftn(spectra, self._across, overwrite=True)
        return super().normal(images, self.taken(factor), equal)


def scaled(samples: Array, factor: Array) -> Array:
    """Multiply samples (J, …, *grid) in place by factors (1, *grid) or (J, *grid), and return them."""
    if len(factor) == 1:
        kernels_for(samples).scale(samples, factor[0])
    else:
        samples *= factor.reshape(len(factor), *(1,) * (samples.ndim - factor.ndim), *factor.shape[1:])
    return samples
