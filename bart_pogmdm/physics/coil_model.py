"""The forward model of all coils, z_j = M F (c_j x)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import index_of
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, kernels_for
from ..arrays.threads import share_arrays, shares
from .fourier import axes_of, fft2c, power_of_coils, resize
from .image_set import ImageSet
from .sampling import Sampling
from .sobolev_maps import MapsByCoil

DENSITY_PIXELS = 64  # along each axis, of the sensitivities that `coil_density` takes the spectra of: they are smooth


def rss(images: Iterable[Array]) -> Array:
    """Return the root sum of squares over the coils, the first axis."""
    power: Any = sum(abs(image) ** 2 for image in images)
    return array_module(power).sqrt(power)


def coil_density(sampling: Sampling, sens: Array | MapsByCoil) -> Array:
    """Return the diagonal of A^H A in Fourier space, (…, *grid), zero frequency first, for sens (J, …, *grid).

    sum_jv D(v) |F c_j|^2(v - w) / N: the density D of the sampling, smeared by the spectra of the sensitivities.
    In large images it uses every second, third, … pixel of the smooth sensitivities.
    """
    density, grid, axes = sampling.density, sampling.shape, axes_of(sampling.shape)
    stride = max(1, min(grid) // DENSITY_PIXELS)
    sens = (sens.every(stride, len(grid)) if isinstance(sens, MapsByCoil) else
            sens[index_of((slice(None, None, stride),) * len(grid))])
    pixels = np.prod(sens.shape[-len(grid):])
    power: Array = sum(abs(fft2c(coil, axes)) ** 2 for coil in sens) / pixels
    power = array_module(sens).fft.ifftshift(resize(power, grid), axes)
    density, power = (fftn(spectrum.astype(sens.dtype), axes) for spectrum in (density, power))
    return float(np.prod(grid)) ** 0.5 * ifftn(density * power.conj(), axes).real.clip(0)


def coil_model(sampling: Sampling, sens: Array | MapsByCoil, images: ImageSet) -> CoilModel | SetsModel:
    """Return the model of a set of images with their sensitivities (J, …, *grid)."""
    return (SetsModel if images.adds_up else CoilModel)(sampling, sens, images.systems, images.shape)


@dataclass(frozen=True, eq=False)
class _Model:
    """The part that both models share: the sampling and the sensitivities.

    axes: the axes of one system of equations, where the images are several systems; None for all axes.
    shape: of the images; None if it is that of the sensitivities of a coil.
    """

    sampling: Sampling
    sens: Array | MapsByCoil
    axes: tuple[int, ...] | None = None
    shape: Shape | None = None

    @cached_property
    def density(self) -> Array:
        """The diagonal of A^H A in Fourier space (`coil_density`)."""
        return coil_density(self.sampling, self.sens)


class SetsModel(_Model):
    """A: x_1 .. x_M -> M F sum_m c_jm x_m for images (M, ny, nx), each with sensitivities of its own, (J, M, ny, nx).

    For S chains: images (S, M, ny, nx), sensitivities (J, S, M, ny, nx), samples (J, S or 1, …).

    It is for objects larger than the field of view: folded tissue is seen through other sensitivities than the tissue
    at the pixel itself.  C. Holme et al., Scientific Reports 9, 2019, doi 10.1038/s41598-019-39888-7.
    """

    sens: Array

    def _coil_images(self, images: Array) -> Array:
        return (self.sens * images).sum(-3)

    def _combine(self, coil_images: Array) -> Array:
        return (self.sens.conj() * coil_images[..., None, :, :]).sum(0)

    def forward(self, images: Array) -> Array:
        """A x: the samples of all coils."""
        return self.sampling.forward(self._coil_images(images))

    def adjoint(self, samples: Array) -> Array:
        """A^H z, (…, M, ny, nx), for samples that are zero where nothing is measured."""
        return self._combine(self.sampling.adjoint(samples.copy()))

    def normal(self, images: Array) -> Array:
        """A^H A x."""
        return self._combine(self.sampling.normal(self._coil_images(images)))

    def gradient(self, images: Array, samples: Array) -> tuple[Array, Array]:
        """Return the gradient of ||A x - z||^2 / 2, and |A x - z|^2 of each sample, summed over the coils."""
        difference = self.forward(images) - samples
        power = power_of_coils(difference)
        return self._combine(self.sampling.adjoint(difference)), power


class CoilModel(_Model):
    """A x = M F (c_j x), linear in the image x (*grid) for fixed sensitivities c (J, *grid).

    For S chains: x (S, *grid), c (J, S, *grid), samples (J, S or 1, …).  For a series: x (A, *grid), c (J, 1, *grid),
    samples (J, A, …).
    """

    def _combine(self, xp: ArrayModule, images_of: Callable[[slice, Array], tuple[Array, Any]]) -> tuple[Array, Any]:
        """Return sum_j conj(c_j) y_j and the sum of the numbers, where y, number = images_of(coils, their c)."""
        like = xp.broadcast_to(xp.zeros((), self.sens.dtype), self.shape or self.sens.shape[1:])

        def work(pieces: list[slice]) -> tuple[Array, Any]:
            out, total = xp.zeros(like.shape, like.dtype), 0
            for coils in pieces:
                sens = self.sens[coils]
                images, number = images_of(coils, sens)
                total = total + number
                kernels_for(out).combine(sens, images, out)
            return out, total

        outcomes = shares(work, len(self.sens), like)
        combined, total = next(outcomes)
        for of_share, number in outcomes:
            combined += of_share
            total += number
            del of_share, number  # the next ones come beside them otherwise
        return combined, total

    def forward(self, image: Array) -> Array:
        """A x: the samples of all coils."""
        return share_arrays(lambda coils: self.sampling.of_coils(coils).forward(_expanded(self.sens[coils], image)),
                            len(self.sens), image)

    def adjoint(self, samples: Array) -> Array:
        """A^H z, (*grid), for samples that are zero where nothing is measured."""
        return self._combine(array_module(samples), lambda coils, _: (
            self.sampling.of_coils(coils).adjoint(samples[coils].copy()), 0))[0]

    def normal(self, image: Array) -> Array:
        """A^H A x."""
        def normal(coils: slice, sens: Array) -> tuple[Array, int]:
            return self.sampling.of_coils(coils).normal(_expanded(sens, image)), 0

        return self._combine(array_module(image), normal)[0]

    def gradient(self, image: Array, samples: Array) -> tuple[Array, Array]:
        """Return the gradient of ||A x - z||^2 / 2, and |A x - z|^2 of each sample, summed over the coils; (S, …)."""
        def residual(coils: slice, sens: Array) -> tuple[Array, Array]:
            sampling = self.sampling.of_coils(coils)
            difference = sampling.forward(_expanded(sens, image)) - samples[coils]
            power = power_of_coils(difference)
            return sampling.adjoint(difference), power

        return self._combine(array_module(image), residual)


def _expanded(sens: Array, image: Array) -> Array:
    """Return c_j x."""
    images = array_module(image).empty((len(sens), *image.shape), sens.dtype)
    kernels_for(image).expand(sens, image, images)
    return images


def least_squares(model: CoilModel | SetsModel, samples: Array, iterations: int) -> Array:
    """Return the image, or images, of a few CG steps on ||A x - z||^2."""
    inexact = model.sampling.inexact
    return conjugate_gradients(lambda image: model.normal(image) + inexact * image, model.adjoint(samples),
                               iterations=iterations, axes=model.axes)
