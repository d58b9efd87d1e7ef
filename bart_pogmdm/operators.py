"""The forward model z_j = M F (c_j x): centred unitary FFT, sampling, and the coil model."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from . import noise
from .backend import array_module, complex_normal, fftn, ifftn, kernels, real_dtype, share

PLANE = (-2, -1)
DENSITY_PIXELS = 64  # at least so many along each axis of sensitivities for their spectra


def fft2c(image, axes=PLANE):
    """Centred unitary FFT over the last two axes, as `bart fft -u`: fftshift(fft2(ifftshift(x)))."""
    xp = array_module(image)
    return xp.fft.fftshift(fftn(xp.fft.ifftshift(image, axes), axes), axes)


def ifft2c(kspace, axes=PLANE):
    """Inverse and adjoint of `fft2c`."""
    xp = array_module(kspace)
    return xp.fft.fftshift(ifftn(xp.fft.ifftshift(kspace, axes), axes), axes)


def rss(images):
    """Root sum of squares over the coils, the first axis."""
    xp = array_module(images)
    return xp.sqrt((xp.abs(images) ** 2).sum(0))


def resize(array, shape):
    """Crop or zero-pad the last two axes about the centre n // 2."""
    xp = array_module(array)
    out = xp.zeros((*array.shape[:-2], *shape), array.dtype)
    cut = [(slice(max(0, n // 2 - m // 2), n // 2 - m // 2 + m), slice(max(0, m // 2 - n // 2), m // 2 - n // 2 + n))
           for n, m in zip(array.shape[-2:], shape)]
    out[..., cut[0][1], cut[1][1]] = array[..., cut[0][0], cut[1][0]]
    return out


def resample(image, shape):
    """The image at another size: its k-space cropped or zero-padded (unitary, so the adjoint is the way back)."""
    return image if image.shape[-2:] == tuple(shape) else ifft2c(resize(fft2c(image), shape))


@dataclass(frozen=True, eq=False)
class Sampling:
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
        kernels(samples).scale(samples, self.mask)
        return samples

    def adjoint(self, samples):
        """F^H W z for samples that are zero where the mask is; may overwrite z."""
        if self.weights is not None:
            kernels(samples).scale(samples, self.weights)
        return ifftn(samples, overwrite=True)

    def normal(self, images):
        """F^H W M F x; may overwrite x."""
        samples = fftn(images, overwrite=True)
        kernels(samples).scale(samples, self.density)
        return ifftn(samples, overwrite=True)

    def noise(self, rng, samples):
        """Noise of standard deviation W^(-1/2) in real and imaginary part in the place of samples."""
        noise = self.mask * complex_normal(rng, samples)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images):
        """Images F^H z such that no frequency counts more than once: as they are."""
        return images


@dataclass(frozen=True, eq=False)
class Cartesian:
    """One slice as measured: k-space (J, ny, nx), zero frequency at n // 2 and zero outside its mask (ny, nx)."""

    kspace: np.ndarray
    mask: np.ndarray

    @property
    def shape(self):
        """(ny, nx) of the image."""
        return self.mask.shape

    def noise_std(self):
        """Noise per real and imaginary part, estimated."""
        return noise.estimate(self.kspace, self.mask)

    def low(self, grid, cut):
        """The frequencies within a window of size `cut` about zero, on a smaller grid."""
        return Cartesian(resize(self.kspace, grid), resize(resize(self.mask, cut), grid))

    def sampled(self):
        """The sampling and the samples as this gives them."""
        sampling = Sampling.centred(self.mask, real_dtype(self.kspace.dtype))
        return sampling, sampling.forward(ifft2c(self.kspace))


def coil_density(sampling, sens):
    """The diagonal of A^H A in Fourier space, (…, ny, nx), zero frequency first, for sensitivities (J, …, ny, nx).

    sum_jv D(v) |F c_j|^2(v - w) / N: the density of the sampling, smeared by the spectra of the sensitivities; these
    are smooth, and in large images every second, third, … pixel says enough.
    """
    density = sampling.density
    stride = max(1, min(density.shape) // DENSITY_PIXELS)
    sens = sens[..., ::stride, ::stride]
    power = sum(abs(fft2c(coil)) ** 2 for coil in sens) / np.prod(sens.shape[-2:])
    power = array_module(sens).fft.ifftshift(resize(power, density.shape), PLANE)
    density, power = (fftn(spectrum.astype(sens.dtype)) for spectrum in (density, power))
    return density.size**0.5 * ifftn(density * power.conj()).real.clip(0)


def power_of_coils(samples):
    """|z|^2 summed over the coils, the first axis."""
    return (samples.real**2 + samples.imag**2).sum(0)


def coil_model(sampling, sens):
    """The model of one set of sensitivities (J, ny, nx), or of several (J, M, ny, nx)."""
    return CoilModel(sampling, sens) if sens.ndim == 3 else SetsModel(sampling, sens)


@dataclass(frozen=True, eq=False)
class _Model:
    """What both models have: the sampling and the sensitivities."""

    sampling: Sampling
    sens: np.ndarray

    axes = None  # over which one system of equations goes

    @cached_property
    def density(self):
        """The diagonal of A^H A in Fourier space (`coil_density`)."""
        return coil_density(self.sampling, self.sens)


class SetsModel(_Model):
    """A: x_1 .. x_M -> M F sum_m c_jm x_m, images (M, ny, nx), each with its set of sensitivities, (J, M, ny, nx).

    For objects that fold over: what lies behind a pixel is seen through other sensitivities than what lies in it.
    C. Holme et al., Scientific Reports 9, 2019, doi 10.1038/s41598-019-39888-7.
    """

    def _images(self, images):
        return (self.sens * images).sum(1)

    def _combine(self, coil_images):
        return (self.sens.conj() * coil_images[:, None]).sum(0)

    def adjoint(self, samples):
        """A^H z, (M, ny, nx), for samples that are zero where nothing is measured."""
        return self._combine(self.sampling.adjoint(samples.copy()))

    def normal(self, images):
        """A^H A x."""
        return self._combine(self.sampling.normal(self._images(images)))

    def gradient(self, images, samples):
        """Gradient of ||A x - z||^2 / 2, weighted, and |A x - z|^2 of each sample, summed over the coils."""
        difference = self.sampling.forward(self._images(images)) - samples
        power = power_of_coils(difference)
        return self._combine(self.sampling.adjoint(difference)), power


class CoilModel(_Model):
    """A x = M F (c_j x), linear in the image x (ny, nx) for fixed sensitivities c (J, ny, nx).

    Of S chains: x (S, ny, nx), c (J, S, ny, nx), samples (J, S or 1, …).
    """

    @property
    def axes(self):
        """Over which one system of equations goes: of chains, each has its own."""
        return None if self.sens.ndim == 3 else PLANE

    def _images(self, image, coils):
        sens = self.sens[coils]
        images = array_module(image).empty_like(sens)
        kernels(image).expand(sens, image, images)
        return images

    def _combine(self, images_of):
        """sum_j conj(c_j) y_j over pieces y, number = images_of(coils), and the sum of the numbers."""
        like = self.sens[0]

        def work(pieces):
            out, total = array_module(like).zeros_like(like), 0
            for coils in pieces:
                images, number = images_of(coils)
                total = total + number
                kernels(out).combine(self.sens[coils], images, out)
            return out, total

        return map(sum, zip(*share(work, len(self.sens), like)))

    def forward(self, image):
        """A x: the samples of all coils."""
        return self.sampling.forward(self._images(image, slice(None)))

    def adjoint(self, samples):
        """A^H z, (ny, nx), for samples that are zero where nothing is measured."""
        return next(self._combine(lambda coils: (self.sampling.adjoint(samples[coils].copy()), 0)))

    def normal(self, image):
        """A^H A x."""
        return next(self._combine(lambda coils: (self.sampling.normal(self._images(image, coils)), 0)))

    def gradient(self, image, samples):
        """Gradient of ||A x - z||^2 / 2, weighted, and |A x - z|^2 of each sample, summed over the coils; (S, …)."""
        def residual(coils):
            difference = self.sampling.forward(self._images(image, coils)) - samples[coils]
            power = power_of_coils(difference)
            return self.sampling.adjoint(difference), power

        return tuple(self._combine(residual))
