"""The forward model z_j = M F (c_j x): centred unitary FFT, sampling, and the coil model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, kernels_for
from ..arrays.threads import share
from .cartesian import CartesianSampling
from .fourier import PLANE, fft2c, resize

DENSITY_PIXELS = 64  # at least so many along each axis of sensitivities for their spectra


def rss(images):
    """Root sum of squares over the coils, the first axis."""
    xp = array_module(images)
    return xp.sqrt((xp.abs(images) ** 2).sum(0))


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

    sampling: CartesianSampling
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
        kernels_for(image).expand(sens, image, images)
        return images

    def _combine(self, images_of):
        """sum_j conj(c_j) y_j over pieces y, number = images_of(coils), and the sum of the numbers."""
        like = self.sens[0]

        def work(pieces):
            out, total = array_module(like).zeros_like(like), 0
            for coils in pieces:
                images, number = images_of(coils)
                total = total + number
                kernels_for(out).combine(self.sens[coils], images, out)
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
