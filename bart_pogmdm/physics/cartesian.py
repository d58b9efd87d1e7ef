"""Samples on the Cartesian grid: an FFT and a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn, ifftn
from ..arrays.generators import complex_normal
from ..arrays.modules import array_module, real_dtype
from ..arrays.threads import by_pieces
from .fourier import axes_of, distances, resample, resize
from .grid_transform import Convolution, OnlyLines, SampledLines, WholeGrid, scaled


@dataclass(frozen=True, eq=False)
class CartesianSampling:
    """M F (see `sampling.Sampling`): unitary FFT of (J, …, *grid) images, then the mask.

    mask: (1, *grid), or (J, *grid) if the coils have masks of their own; zeros and ones or, if not `binary`, weights of
    the samples, by which these are multiplied as well.  Zero frequency comes first.
    weights W: (*grid), or None for 1.
    ndim: number of dimensions of the grid, 2 or 3.
    lines: where not None, samples, mask and weights are kept on these lines only, and *grid means these.
    """

    mask: Array
    weights: Array | None = None
    binary: bool = True
    ndim: int = 2
    lines: OnlyLines | None = None

    inexact = 0.0

    @classmethod
    def centred(cls, mask: Array, dtype: DTypeLike, ndim: int = 2) -> CartesianSampling:
        """From a mask (*grid) or (J, *grid), boolean or of weights, with zero frequency at n // 2."""
        xp, axes = array_module(mask), axes_of(mask.shape[-ndim:])
        mask = mask[None] if mask.ndim == ndim else mask
        binary = bool(((mask == 0) | (mask == 1)).all())
        return cls(xp.ascontiguousarray(xp.fft.ifftshift(mask, axes), dtype), binary=binary, ndim=ndim)

    @property
    def on_lines(self) -> CartesianSampling:
        """The same sampling with samples on lines only, where the mask leaves out lines; else the sampling itself."""
        lines = OnlyLines.of(self.mask[0]) if len(self.mask) == 1 and self.lines is None else None
        if lines is None:
            return self
        weights = None if self.weights is None else lines.taken(self.weights)
        return replace(self, mask=lines.taken(self.mask), weights=weights, lines=lines)

    @property
    def _axes(self) -> tuple[int, ...]:
        return axes_of(self.shape)

    def of_coils(self, coils: slice) -> CartesianSampling:
        """Return the sampling of some of the coils."""
        return self if len(self.mask) == 1 else replace(self, mask=self.mask[coils])

    def without(self, which: Array, samples: Array) -> tuple[CartesianSampling, Array]:
        """Return sampling and samples (J, *grid) without some of them, booleans (*grid)."""
        lines = self.lines and replace(self.lines, whole=False)
        return replace(self, mask=self.mask * ~which, lines=lines), samples * ~which

    def low(self, samples: Array, grid: Shape) -> tuple[CartesianSampling, Array]:
        """Return sampling and samples (J, *grid) of the frequencies that a smaller grid holds."""
        weights = None if self.weights is None else self._cropped(self._on_grid(self.weights), grid)
        sampling = replace(self, mask=self._cropped(self._on_grid(self.mask), grid), weights=weights, lines=None)
        sampled = replace(sampling, mask=(sampling.mask != 0).astype(self.mask.dtype))
        sampling = sampling if self.lines is None else sampling.on_lines

        def low(coils: slice) -> Array:
            # By way of the image, whose centre is the pixel n // 2 of either grid.
            images = resample(ifftn(self._on_grid(samples[coils]), self._axes), grid)
            spectra = scaled(fftn(images, self._axes), sampled.of_coils(coils).mask)
            return spectra if sampling.lines is None else sampling.lines.taken(spectra)

        return sampling, by_pieces(low, samples)

    def _on_grid(self, of_samples: Array) -> Array:
        """Return numbers of the samples as an array of the grid, (…, *grid)."""
        return of_samples if self.lines is None else self.lines.in_place(of_samples)

    def _cropped(self, spectrum: Array, grid: Shape) -> Array:
        """Return the low frequencies of (…, *grid), zero frequency first."""
        xp, axes = array_module(spectrum), self._axes
        return xp.ascontiguousarray(xp.fft.ifftshift(resize(xp.fft.fftshift(spectrum, axes), grid), axes))

    def weighted(self, weights: Array) -> CartesianSampling:
        """Return the same sampling with other weights."""
        sampling = replace(self, weights=weights)
        vars(sampling)["_transform"] = self._transform  # the same lines: to look for them, a GPU must be waited for
        return sampling

    @property
    def shape(self) -> Shape:
        """Grid of the images."""
        return self.mask.shape[-self.ndim:] if self.lines is None else self.lines.shape

    @cached_property
    def _square(self) -> Array:
        """M W M."""
        square = self.mask if self.binary else self.mask**2
        return square if self.weights is None else self.weights * square

    @property
    def density(self) -> Array:
        """The diagonal of F^H M W M F in Fourier space, (*grid), the mean of the coils, zero frequency first."""
        return self._on_grid(self._square[0] if len(self._square) == 1 else self._square.mean(0))

    @cached_property
    def coil_part(self) -> Array:
        """The part of the coils that take each sample, of the shape of one coil's samples."""
        return (self.mask != 0).mean(0, dtype=self.mask.dtype)

    @property
    def sampled_part(self) -> Array:
        """The part of the coils that sample each frequency, (*grid), zero frequency first."""
        return self._on_grid(self.coil_part)

    @cached_property
    def count(self) -> float:
        """Number of samples of one coil, the mean of the coils."""
        return float((self.mask != 0).sum()) / len(self.mask)

    def radius(self, shape: Shape) -> Array:
        """Distance of the grid points from zero frequency in cycles per pixel of `shape`; infinite if not sampled."""
        xp, dtype = array_module(self.mask), real_dtype(self.mask.dtype)
        frequencies = (xp.asarray(np.fft.fftfreq(points) * (points / n), dtype)
                       for points, n in zip(self.shape, shape))
        sampled, radius = (self.mask != 0).any(0), distances(*frequencies)
        return xp.where(sampled, radius if self.lines is None else self.lines.taken(radius), xp.inf)

    @cached_property
    def _transform(self) -> WholeGrid | OnlyLines:
        if self.lines is not None:
            return self.lines
        lines = SampledLines.of(self.mask[0]) if len(self.mask) == 1 else None
        return lines or WholeGrid(self._axes)

    def forward(self, images: Array) -> Array:
        """M F x; may overwrite x."""
        return self._transform.forward(images, self.mask)

    def adjoint(self, samples: Array) -> Array:
        """F^H M W z for samples that are zero where the mask is; may overwrite z."""
        if self.weights is not None:
            samples = scaled(samples, self.weights[None])
        if not self.binary:
            samples = scaled(samples, self.mask)
        return self._transform.adjoint(samples)

    def normal(self, images: Array) -> Array:
        """F^H M W M F x; may overwrite x."""
        if self.convolution is None:
            return ifftn(scaled(fftn(images, self._axes, overwrite=True), self._square), self._axes, overwrite=True)
        return self.convolution.of(images)

    @cached_property
    def convolution(self) -> Convolution | None:
        """F^H M W M F for one coil; None if the coils have masks of their own."""
        if len(self._square) > 1:
            return None
        return self._transform.convolution(self._square[0], self.weights is None and self.binary)

    def noise(self, rng: np.random.Generator, samples: Array) -> Array:
        """Noise of standard deviation W^(-1/2) in real and imaginary part, where there are samples."""
        noise = complex_normal(rng, samples, self.mask)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images: Array) -> Array:
        """Return the images, with the frequencies that count more than once, by their weights, divided by these."""
        if self.binary:
            return images
        most = 1 / self._on_grid(self._square.max(0, keepdims=True)).clip(1)
        return ifftn(scaled(fftn(images, self._axes), most), self._axes, overwrite=True)
