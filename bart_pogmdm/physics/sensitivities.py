"""Coil sensitivities that are sought: smooth maps, fitted to the centre of k-space.

Smooth maps are known from the low frequencies.  The fit therefore works on a small grid, and only the finished maps
have full size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.fft import next_fast_len

from ..arrays.array_types import Array, Shape
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.generators import complex_normal, for_each
from ..arrays.modules import array_module
from ..arrays.threads import joined, pieces, share, share_arrays
from .fourier import field_size
from .image_set import ImageAxis, ImageSet, of_samples
from .sampling import Sampling, Scan
from .series import SeriesSampling, SimultaneousSampling
from .sobolev_maps import SobolevMaps, SobolevRules
from .wide_grid import BORDER, WideGrid

FIT_IMAGES = 8  # The fit of a coil's sensitivities takes about as long as other loops take for so many images.


@dataclass(frozen=True, eq=False)
class SensitivityModel:
    """The unknown sensitivities c_j = E W chat_j: low frequencies of k-space, and the maps at low and full resolution.

    The samples end one bandwidth of the maps before the border of the grid, so that products c x do not wrap around.
    low: for images of low resolution; wide: for those of full resolution, which it brings to the low one.
    """

    sampling: Sampling
    samples: Array
    low: SobolevMaps
    wide: WideGrid
    maps: SobolevMaps
    rules: SobolevRules

    @classmethod
    def of(cls, scan: Scan, rules: SobolevRules, on_lines: bool = False) -> SensitivityModel:
        """From one slice as it was measured, its samples kept as `Scan.sampled` says.

        ValueError if there are no samples near the centre of k-space.
        """
        shape = scan.shape
        highest = min(rules.box, rules.box_cycles / field_size(shape))
        half = [int(np.ceil((highest + margin) * n)) for n, margin in zip(shape, rules.bandwidth(shape))]
        coarse = [2 * next_fast_len(points) for points in half]
        grid = tuple(points if points + 2 * BORDER < n else n for n, points in zip(shape, coarse))
        inside = tuple(n if n <= 2 * points else 2 * int(highest * n) + 1 for n, points in zip(shape, half))
        sampling, samples = scan.low(grid, inside).sampled(on_lines)
        if not bool((samples != 0).any()):
            raise ValueError("kspace: expected samples near its centre, where the sensitivities are found, got none")
        xp = array_module(samples)
        low, maps = (SobolevMaps.on_grid(points, shape, samples.dtype, rules, xp) for points in (grid, shape))
        return cls(sampling, samples, low, WideGrid.of(grid, shape, samples.dtype, rules, xp), maps, rules)

    @classmethod
    def together(cls, models: Sequence[SensitivityModel],
                 kind: type[SeriesSampling] | type[SimultaneousSampling]) -> SensitivityModel:
        """The model of a series, whose images share their sensitivities, or of simultaneous slices, from each."""
        sampling, samples = kind.of([model.sampling for model in models], [model.samples for model in models])
        return replace(models[0], sampling=sampling, samples=samples)

    def image_of(self, number: int) -> SensitivityModel:
        """Return the model of one image of a series."""
        assert isinstance(self.sampling, SeriesSampling)
        return replace(self, sampling=self.sampling.parts[number], samples=self.samples[:, number])

    def on_grid(self, grid: Shape) -> SensitivityModel:
        """Return the model with finished maps of another resolution."""
        samples = self.samples
        maps = SobolevMaps.on_grid(grid, self.maps.shape, samples.dtype, self.rules, array_module(samples))
        return replace(self, maps=maps)

    def in_units(self, unit: Any) -> SensitivityModel:
        """Return the model for images divided by `unit`, a number or (A, 1, …)."""
        return replace(self, samples=self.samples / of_samples(unit, self.samples))

    def weighted(self, weights: Array) -> SensitivityModel:
        """Return the model with weights of the samples."""
        return replace(self, sampling=self.sampling.weighted(weights))

    @cached_property
    def _zero_filled(self) -> Array:
        """F^H W M z, which is the same in every update."""
        return self.sampling.adjoint(self.samples.copy())

    @property
    def zero_filled(self) -> Callable[[slice], Array]:
        """F^H W M z of some coils; those of a plane are found once, those of a volume are large."""
        if len(self.low.shape) > 2:
            return lambda coils: self.sampling.of_coils(coils).adjoint(self.samples[coils].copy())
        return self._zero_filled.__getitem__

    @property
    def images(self) -> ImageSet:
        """The images of low resolution: one, or those of a series or of simultaneous slices."""
        images, sampling = ImageSet(self.sampling.shape), self.sampling
        if isinstance(sampling, SeriesSampling):
            return images.along(ImageAxis.series(len(sampling.parts)))
        if isinstance(sampling, SimultaneousSampling):
            return images.along(ImageAxis.simultaneous(len(sampling.parts)))
        return images

    @property
    def shape(self) -> Shape:
        """Shape of the coefficients, (J, *modes), for a series (J, 1, *modes)."""
        return (len(self.samples), *self.images.sens_shape[:-len(self.low.shape)], *self.low.weight.shape)

    def predicted(self, image: Array, coefficients: Array) -> Array:
        """Return the coil images (J, *low grid) of an image of full size."""
        return self.wide.coil_images(self.wide.image(image), coefficients)

    def coil_images(self, predicted: Array, iterations: int) -> Array:
        """Return coil images (J, *low grid) that fit the samples, and are the predicted ones elsewhere.

        CG steps on ||M F y_j - z_j||^2 lead to them from the predicted ones.
        """
        residual = self.samples - self.sampling.forward(predicted.copy())
        return predicted + conjugate_gradients(
            lambda change: self.sampling.normal(change.copy()) + self.sampling.inexact * change,
            self.sampling.adjoint(residual), iterations=iterations)

    def update(self, image: Array, coefficients: Array | None, variance: Array | float, weight: float, iterations: int,
               images: ImageSet | None = None, steeper: float = 0.0) -> Array:
        """Take CG steps on (||M F (x E W chat) - z||^2 / variance + weight ||chat||^2) / 2, with x of full size.

        They start from the coefficients, or for None from zero.  Several images (M, *grid) with coefficients
        (J, M, *modes) explain the samples as the set of `images` says: together, or each on its own.  With `steeper`
        the steps are those for smoother maps, W^(1 + steeper).
        """
        image, factor = self.wide.image(image), self.low.factor(steeper) if steeper else None
        return self._solve(image, coefficients, variance, weight, iterations, None, images, factor=factor)

    def draw(self, image: Array, coefficients: Array, variance: Array | float, weight: float, iterations: int,
             temperature: float, rngs: Sequence[np.random.Generator], images: ImageSet) -> Array:
        """Draw from exp(-energy / temperature) for the energy of `update`, as its minimum for perturbed samples.

        For chains: image (S, …, *grid), coefficients (J, S, …, *modes), and a generator for each.  Modes that have not
        converged would vary too little, so the CG steps are preconditioned.
        """
        image = self.wide.image(image)
        noise = self.sampling.adjoint(for_each(rngs, lambda rng: self.sampling.noise(rng, self.samples), 1))
        white = for_each(rngs, lambda rng: complex_normal(rng, coefficients[:, 0]), 1)
        noise = noise.reshape(*noise.shape[:2], *(1,) * (1 + image.ndim - noise.ndim), *noise.shape[2:])
        of_noise = [self._adjoint(image, noise[coils], images, variance**0.5)
                    for coils in pieces(len(noise), noise[0])]
        perturbation = array_module(image).concatenate(of_noise) + weight**0.5 * white
        return self._solve(image, coefficients, variance, weight, iterations, temperature**0.5 * perturbation, images,
                           1 / (self._diagonal(image, variance, images) + weight))

    def _diagonal(self, image: Array, variance: Array | float, images: ImageSet) -> Array:
        """Return about the diagonal of the normal operator of images of the wide grid, as if their energy were even."""
        axes = images.grid_axes
        density = self.sampling.density.mean(axes, keepdims=True)
        energy = (image.real**2 + image.imag**2).sum(axes, keepdims=True) * density / variance
        return self.low.weight**2 * gathered(energy, images)

    def _solve(self, image: Array, coefficients: Array | None, variance: Array | float, weight: float, iterations: int,
               perturbation: Array | None, images: ImageSet | None, inverse: Array | None = None,
               factor: Array | None = None) -> Array:
        images, zero_filled = images or self.images, self.zero_filled
        precondition = None if inverse is None else lambda coefficients: inverse * coefficients

        def scaled(coefficients: Array) -> Array:
            return coefficients if factor is None else factor * coefficients

        def solved(coils: slice) -> Array:
            sampling = self.sampling.of_coils(coils)
            own = zero_filled(coils)
            own = own.reshape(len(own), *(1,) * (1 + image.ndim - own.ndim), *own.shape[1:])

            def normal(coefficients: Array) -> Array:
                products = self.wide.coil_images(image, scaled(coefficients))
                products = products.sum(-3, keepdims=True) if images.adds_up else products
                return scaled(self._adjoint(image, sampling.normal(products), images, variance)) + weight * coefficients

            rhs = scaled(self._adjoint(image, own, images, variance))
            rhs = rhs if perturbation is None else rhs + perturbation[coils]
            start = None if coefficients is None else coefficients[coils]
            start = start if start is None or factor is None else start / factor
            return scaled(conjugate_gradients(normal, rhs, start, iterations=iterations, axes=images.sens_systems,
                                              precondition=precondition))

        if array_module(image) is not np:
            return share_arrays(solved, len(self.samples), image)
        work = np.broadcast_to(image, (FIT_IMAGES, *image.shape))
        if len(self.low.shape) > 2:  # a few coils at a time, since those of a volume are large
            return share_arrays(solved, len(self.samples), work)
        return np.concatenate(share(lambda pieces: solved(joined(pieces)), len(self.samples), work))

    def _adjoint(self, image: Array, coil_images: Array, images: ImageSet, variance: Any) -> Array:
        """Return W E^H (x* y) / variance, summed over the images x that share sensitivities."""
        if not images.is_series:
            return self.wide.adjoint(image, coil_images) / variance
        products = image.conj() * self.wide.unfolded(coil_images) / variance
        return self.wide.maps.adjoint(gathered(products, images))


def gathered(products: Array, images: ImageSet) -> Array:
    """Return products (J, …, n, m) summed over the images that share sensitivities."""
    return products.sum(images.shared, keepdims=True) if images.is_series else products
