"""Coil sensitivities that are sought: smooth maps, fitted to the centre of k-space.

Smooth maps are known from the low frequencies.  The fit therefore works on a small grid, and only the finished maps
have full size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays.array_types import Array
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.generators import complex_normal, for_each
from ..arrays.modules import array_module
from .fourier import PLANE, field_size, resample
from .image_set import ImageSet
from .sampling import Sampling, Scan
from .sobolev_maps import SobolevMaps, SobolevRules

OF_CHAIN = (0, *PLANE)  # axes of the coefficients (J, S, my, mx) that belong to one of S chains
OF_CHAIN_OF_SETS = (0, -3, *PLANE)  # the same for (J, S, M, my, mx), with several sets


@dataclass(frozen=True, eq=False)
class SensitivityModel:
    """The unknown sensitivities c_j = E W chat_j: low frequencies of k-space, and the maps at low and full resolution.

    The samples end one bandwidth of the maps before the border of the grid, so that products c x do not wrap around.
    """

    sampling: Sampling
    samples: Array
    low: SobolevMaps
    maps: SobolevMaps

    @classmethod
    def of(cls, scan: Scan, rules: SobolevRules) -> SensitivityModel:
        """From one slice as it was measured.  ValueError if there are no samples near the centre of k-space."""
        shape, margin = scan.shape, rules.bandwidth(scan.shape)
        highest = min(rules.box, rules.box_cycles / field_size(shape))
        grid = tuple(min(n, 2 * int(np.ceil((highest + margin) * n))) for n in shape)
        inside = tuple(n if n == points else 2 * int(highest * n) + 1 for n, points in zip(shape, grid))
        sampling, samples = scan.low(grid, inside).sampled()
        if not bool((samples != 0).any()):
            raise ValueError("kspace: expected samples near its centre, where the sensitivities are found, got none")
        low, maps = (SobolevMaps.on_grid(points, shape, samples.dtype, rules, array_module(samples))
                     for points in (grid, shape))
        return cls(sampling, samples, low, maps)

    def in_units(self, unit: float) -> SensitivityModel:
        """Return the model for images divided by `unit`."""
        return replace(self, samples=self.samples / unit)

    def weighted(self, weights: Array) -> SensitivityModel:
        """Return the model with weights of the samples."""
        return replace(self, sampling=self.sampling.weighted(weights))

    @cached_property
    def _zero_filled(self) -> Array:
        """F^H W M z, which is the same in every update."""
        return self.sampling.adjoint(self.samples.copy())

    def nothing(self) -> Array:
        """Return coefficients (J, my, mx) of zero."""
        shape = (len(self.samples), *self.low.weight.shape)
        return array_module(self.samples).zeros(shape, self.samples.dtype)

    def predicted(self, image: Array, coefficients: Array) -> Array:
        """Return the coil images (J, gy, gx) of low resolution of an image of full size."""
        return resample(image, self.sampling.shape) * self.low.forward(coefficients)

    def coil_images(self, predicted: Array, iterations: int) -> Array:
        """Return coil images (J, gy, gx) of low resolution that fit the samples, and are the predicted ones elsewhere.

        CG steps on ||M F y_j - z_j||^2 lead to them from the predicted ones.
        """
        residual = self.samples - self.sampling.forward(predicted.copy())
        return predicted + conjugate_gradients(
            lambda change: self.sampling.normal(change.copy()) + self.sampling.inexact * change,
            self.sampling.adjoint(residual), iterations=iterations)

    def update(self, image: Array, coefficients: Array | None, variance: Array | float, weight: float, iterations: int,
               images: ImageSet | None = None) -> Array:
        """Take CG steps on (||M F (x E W chat) - z||^2 / variance + weight ||chat||^2) / 2, with x of full size.

        They start from the coefficients, or for None from zero.  Several images (M, ny, nx) with coefficients
        (J, M, my, mx) explain the samples as the set of `images` says: together, or each on its own.
        """
        image = resample(image, self.sampling.shape)
        return self._solve(image, coefficients, variance, weight, iterations, 0, images)

    def draw(self, image: Array, coefficients: Array, variance: Array | float, weight: float, iterations: int,
             temperature: float, rngs: Sequence[np.random.Generator], images: ImageSet) -> Array:
        """Draw from exp(-energy / temperature) for the energy of `update`, as its minimum for perturbed samples.

        For chains: image (S, …, ny, nx), coefficients (J, S, …, my, mx), and a generator for each.
        """
        image = resample(image, self.sampling.shape)
        noise = self.sampling.adjoint(for_each(rngs, lambda rng: self.sampling.noise(rng, self.samples), 1))
        white = for_each(rngs, lambda rng: complex_normal(rng, coefficients[:, 0]), 1)
        noise = noise.reshape(*noise.shape[:2], *(1,) * (image.ndim - 3), *noise.shape[-2:])
        perturbation = self.low.adjoint(image.conj() * noise) / variance**0.5 + weight**0.5 * white
        return self._solve(image, coefficients, variance, weight, iterations, temperature**0.5 * perturbation, images)

    def _solve(self, image: Array, coefficients: Array | None, variance: Array | float, weight: float, iterations: int,
               perturbation: Array | float, images: ImageSet | None) -> Array:
        zero_filled = self._zero_filled
        zero_filled = zero_filled.reshape(len(zero_filled), *(1,) * (image.ndim - 2), *zero_filled.shape[-2:])
        adds_up = images is not None and images.adds_up
        rhs = self.low.adjoint(image.conj() * zero_filled) / variance + perturbation

        def normal(coefficients: Array) -> Array:
            coil_images = image * self.low.forward(coefficients)
            seen = self.sampling.normal(coil_images.sum(-3, keepdims=True) if adds_up else coil_images)
            return self.low.adjoint(image.conj() * seen) / variance + weight * coefficients

        axes = None if images is None or not images.independent else OF_CHAIN_OF_SETS if adds_up else OF_CHAIN
        return conjugate_gradients(normal, rhs, coefficients, iterations=iterations, axes=axes)
