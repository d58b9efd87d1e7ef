"""The forward model z_j = M F (c_j x): centred unitary FFT, sampling, and the coil model."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays.fft import fftn, ifftn
from ..arrays.generators import complex_normal
from ..arrays.modules import array_module, kernels_for, real_dtype
from .fourier import ifft2c, resize
from .noise_level import estimate


@dataclass(frozen=True, eq=False)
class CartesianSampling:
    """M F: unitary FFT of (J, …, ny, nx) images, zero frequency first, then the mask (ny, nx) of zeros and ones.

    weights W (ny, nx), None for 1, of the samples' inner product: its adjoint is F^H W M.
    """

    mask: np.ndarray
    weights: np.ndarray | None = None

    norm = 1.0          # its largest eigenvalue
    inexact = 0.0       # what of its smallest ones is error

    @classmethod
    def centred(cls, mask, dtype):
        """From a mask with the zero frequency at n // 2."""
        xp = array_module(mask)
        return cls(xp.ascontiguousarray(xp.fft.ifftshift(mask), dtype))

    def weighted(self, weights):
        """The same with other weights."""
        return replace(self, weights=weights)

    @property
    def shape(self):
        """(ny, nx) of the images."""
        return self.mask.shape

    @cached_property
    def density(self):
        """The diagonal of F^H W M F in Fourier space, (ny, nx), zero frequency first."""
        return self.mask if self.weights is None else self.weights * self.mask

    @cached_property
    def count(self):
        """Number of samples of one coil."""
        return float(self.mask.sum())

    def radius(self, shape):
        """Distance of the samples from zero frequency, (ny, nx), in cycles per pixel of an image of `shape`.

        Infinite where nothing is sampled.
        """
        xp, dtype = array_module(self.mask), real_dtype(self.mask.dtype)
        rows, columns = (xp.asarray(np.fft.fftfreq(points) * (points / n), dtype)
                         for points, n in zip(self.shape, shape))
        return xp.where(self.mask > 0, xp.hypot(rows[:, None], columns), xp.inf)

    def forward(self, images):
        """M F x; may overwrite x."""
        samples = fftn(images, overwrite=True)
        kernels_for(samples).scale(samples, self.mask)
        return samples

    def adjoint(self, samples):
        """F^H W z for samples that are zero where the mask is; may overwrite z."""
        if self.weights is not None:
            kernels_for(samples).scale(samples, self.weights)
        return ifftn(samples, overwrite=True)

    def normal(self, images):
        """F^H W M F x; may overwrite x."""
        samples = fftn(images, overwrite=True)
        kernels_for(samples).scale(samples, self.density)
        return ifftn(samples, overwrite=True)

    def noise(self, rng, samples):
        """Noise of standard deviation W^(-1/2) in real and imaginary part in the place of samples."""
        noise = self.mask * complex_normal(rng, samples)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images):
        """Images F^H z such that no frequency counts more than once: as they are."""
        return images


@dataclass(frozen=True, eq=False)
class CartesianScan:
    """One slice as measured: k-space (J, ny, nx), zero frequency at n // 2 and zero outside its mask (ny, nx)."""

    kspace: np.ndarray
    mask: np.ndarray

    @property
    def shape(self):
        """(ny, nx) of the image."""
        return self.mask.shape

    def noise_std(self):
        """Noise per real and imaginary part, estimated."""
        return estimate(self.kspace, self.mask)

    def low(self, grid, cut):
        """The frequencies within a window of size `cut` about zero, on a smaller grid."""
        return CartesianScan(resize(self.kspace, grid), resize(resize(self.mask, cut), grid))

    def sampled(self):
        """The sampling and the samples as this gives them."""
        sampling = CartesianSampling.centred(self.mask, real_dtype(self.kspace.dtype))
        return sampling, sampling.forward(ifft2c(self.kspace))
