"""Samples on the Cartesian grid: an FFT and a mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn, ifftn
from ..arrays.generators import complex_normal
from ..arrays.modules import array_module, kernels_for, real_dtype
from .fourier import PLANE, ifft2c, power_of_coils, resize


@dataclass(frozen=True, eq=False)
class CartesianSampling:
    """M F (see `sampling.Sampling`): unitary FFT of (J, …, ny, nx) images, then the mask (ny, nx) of zeros and ones.

    Zero frequency comes first.  weights W: (ny, nx), or None for 1.
    """

    mask: Array
    weights: Array | None = None

    norm = 1.0
    inexact = 0.0

    @classmethod
    def centred(cls, mask: Array, dtype: DTypeLike) -> CartesianSampling:
        """From a mask with zero frequency at n // 2."""
        xp = array_module(mask)
        return cls(xp.ascontiguousarray(xp.fft.ifftshift(mask), dtype))

    def weighted(self, weights: Array) -> CartesianSampling:
        """Return the same sampling with other weights."""
        return replace(self, weights=weights)

    @property
    def shape(self) -> Shape:
        """(ny, nx) of the images."""
        return self.mask.shape

    @cached_property
    def density(self) -> Array:
        """The diagonal of F^H W M F in Fourier space, (ny, nx), zero frequency first."""
        return self.mask if self.weights is None else self.weights * self.mask

    @cached_property
    def count(self) -> float:
        """Number of samples of one coil."""
        return float(self.mask.sum())

    def radius(self, shape: Shape) -> Array:
        """Distance of the grid points from zero frequency in cycles per pixel of `shape`; infinite if not sampled."""
        xp, dtype = array_module(self.mask), real_dtype(self.mask.dtype)
        rows, columns = (xp.asarray(np.fft.fftfreq(points) * (points / n), dtype)
                         for points, n in zip(self.shape, shape))
        return xp.where(self.mask > 0, xp.hypot(rows[:, None], columns), xp.inf)

    def forward(self, images: Array) -> Array:
        """M F x; may overwrite x."""
        samples = fftn(images, overwrite=True)
        kernels_for(samples).scale(samples, self.mask)
        return samples

    def adjoint(self, samples: Array) -> Array:
        """F^H W z for samples that are zero where the mask is; may overwrite z."""
        if self.weights is not None:
            kernels_for(samples).scale(samples, self.weights)
        return ifftn(samples, overwrite=True)

    def normal(self, images: Array) -> Array:
        """F^H W M F x; may overwrite x."""
        samples = fftn(images, overwrite=True)
        kernels_for(samples).scale(samples, self.density)
        return ifftn(samples, overwrite=True)

    def noise(self, rng: np.random.Generator, samples: Array) -> Array:
        """Noise of standard deviation W^(-1/2) in real and imaginary part, where there are samples."""
        noise = self.mask * complex_normal(rng, samples)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images: Array) -> Array:
        """Return the images as they are: on the grid each frequency counts once."""
        return images


@dataclass(frozen=True, eq=False)
class CartesianScan:
    """A slice (see `sampling.Scan`): k-space (J, ny, nx), zero frequency at n // 2, and its mask (ny, nx).

    k-space is zero outside the mask.
    """

    kspace: Array
    mask: Array

    @property
    def shape(self) -> Shape:
        """(ny, nx) of the image."""
        return self.mask.shape

    def acquired(self) -> tuple[Array, Array]:
        """Return the acquired samples (J, M) and their distance (M,) from zero frequency, in cycles per pixel."""
        xp = array_module(self.kspace)
        rows, columns = ((xp.arange(n) - n // 2) / n for n in self.mask.shape)
        return self.kspace[:, self.mask], xp.hypot(rows[:, None], columns)[self.mask]

    def power(self) -> tuple[Array, Array]:
        """Return the power of the samples, summed over the coils, and the mask, both (ny, nx)."""
        return power_of_coils(self.kspace), self.mask

    def moved(self, centre: Shape) -> CartesianScan:
        """Return the scan with the frequency `centre`, in whole samples, in the place of zero frequency."""
        xp, back = array_module(self.kspace), tuple(-d for d in centre)
        return CartesianScan(xp.roll(self.kspace, back, PLANE), xp.roll(self.mask, back, PLANE))

    def low(self, grid: Shape, cut: Shape) -> CartesianScan:
        """Return the frequencies within a window of size `cut` about zero, on a smaller grid."""
        return CartesianScan(resize(self.kspace, grid), resize(resize(self.mask, cut), grid))

    def sampled(self) -> tuple[CartesianSampling, Array]:
        """Return the sampling, and the samples in the form that it gives them."""
        sampling = CartesianSampling.centred(self.mask, real_dtype(self.kspace.dtype))
        return sampling, sampling.forward(ifft2c(self.kspace))
