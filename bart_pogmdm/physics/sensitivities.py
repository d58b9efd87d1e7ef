"""Coil sensitivities: smooth maps on a padded field of view, estimated from the low frequencies.

A map is a short Fourier series whose coefficients carry the Sobolev weight of nonlinear inversion
(M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691).  Smooth maps are known from the
centre of k-space, so everything here works on a small grid; only the finished maps have full size.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays.conjugate_gradients import conjugate_gradients, inner
from ..arrays.generators import complex_normal, for_each
from ..arrays.modules import array_module
from .cartesian import CartesianSampling
from .coil_model import CoilModel
from .fourier import PLANE, resample
from .sobolev_maps import SobolevMaps, bandwidth, field_size

BOX = 0.25         # data are used up to this frequency, in cycles per sample,
BOX_CYCLES = 48    # or this one, in cycles per field of view, whichever is lower
NEWTON_STEPS = 12  # of the start value; the regularisation is halved after each
NEWTON_CG = 15
NEIGHBOUR_STEPS = 3  # ... of it that are left where there is another slice's to begin with
NEIGHBOUR_CG = 10    # ... and of its image,
NEIGHBOUR_DAMPING = 1e-3  # of which this part of the largest eigenvalue is left out
OF_CHAIN = (0, *PLANE)  # axes of the coefficients (J, S, my, mx) that belong to one of S chains


@dataclass(frozen=True, eq=False)
class SensFit:
    """Sensitivities from the centre of k-space: its samples, and the maps at low and at full resolution.

    The data end one bandwidth of the maps before the border of the grid: a product c x does not wrap into them.
    """

    sampling: CartesianSampling
    samples: np.ndarray
    low: SobolevMaps
    maps: SobolevMaps

    @classmethod
    def of(cls, scan):
        """From one slice as measured (`operators.Cartesian`)."""
        shape, margin = scan.shape, bandwidth(scan.shape)
        highest = min(BOX, BOX_CYCLES / field_size(shape))
        grid = tuple(min(n, 2 * int(np.ceil((highest + margin) * n))) for n in shape)
        inner = tuple(n if n == points else 2 * int(highest * n) + 1 for n, points in zip(shape, grid))
        sampling, samples = scan.low(grid, inner).sampled()
        if not bool((samples != 0).any()):
            raise ValueError("kspace: expected samples near its centre, where the sensitivities are found, got none")
        low, maps = (SobolevMaps.on_grid(points, shape, samples.dtype, array_module(samples))
                     for points in (grid, shape))
        return cls(sampling, samples, low, maps)

    def weighted(self, weights):
        """The same with weights of the samples."""
        return replace(self, sampling=self.sampling.weighted(weights))

    @cached_property
    def _zero_filled(self):
        """F^H W M z, the same in every update."""
        return self.sampling.adjoint(self.samples.copy())

    def _pack(self, image, coefficients):
        return array_module(image).concatenate([image.ravel(), coefficients.ravel()])

    def _unpack(self, vector):
        pixels = np.prod(self.sampling.shape)
        image, coefficients = vector[:pixels], vector[pixels:]
        return image.reshape(self.sampling.shape), coefficients.reshape(-1, *self.low.weight.shape)

    def start(self, neighbour=None):
        """Image and coefficients from a first joint inversion at low resolution: nlinv itself.

        Iteratively regularised Gauss-Newton steps on z = M F (x E W chat) from x = 1, chat = 0, or from a neighbour's
        chat and the image that goes with it.
        Returns (image (gy, gx), coefficients) with maps of mean RSS 1 where the image is bright.
        """
        xp, coils, grid = array_module(self.samples), len(self.samples), self.sampling.shape
        norm = float(inner(self.samples, self.samples)) ** 0.5 / 100
        samples = self.samples / norm
        origin = self._pack(xp.ones(grid, self.samples.dtype),
                            xp.zeros((coils, *self.low.weight.shape), self.samples.dtype))
        estimate, first = origin, 0
        if neighbour is not None:
            if neighbour.shape != (coils, *self.low.weight.shape):
                raise ValueError("neighbour: expected coefficients of as many coils and an image of the same size")
            model = CoilModel(self.sampling, self.low.forward(neighbour))
            image = conjugate_gradients(lambda image: model.normal(image) + NEIGHBOUR_DAMPING * image,
                                        model.adjoint(samples), iterations=NEIGHBOUR_CG)
            estimate, first = self._pack(image, neighbour), NEWTON_STEPS - NEIGHBOUR_STEPS
        for i in range(first, NEWTON_STEPS):
            estimate = estimate + self._newton_step(estimate, origin, samples, 0.5**i)
        image, coefficients = self._unpack(estimate)
        energy = xp.abs(image) ** 2
        balance = float(((xp.abs(self.low.forward(coefficients)) ** 2).sum(0) * energy).sum() / energy.sum()) ** 0.5
        return image * (balance * norm), coefficients / balance

    def _newton_step(self, estimate, origin, samples, alpha):
        """argmin_d ||F(u) + F'(u) d - z||^2 + alpha ||u + d - u_0||^2 for the pair u = (x, chat)."""
        image, coefficients = self._unpack(estimate)
        sens = self.low.forward(coefficients)

        def adjoint(images):
            return self._pack((sens.conj() * images).sum(0), self.low.adjoint(image.conj() * images))

        def normal(update):
            change, coefficients = self._unpack(update)
            images = self.sampling.normal(sens * change + image * self.low.forward(coefficients))
            return adjoint(images) + alpha * update

        residual = self.sampling.adjoint(samples - self.sampling.forward(sens * image))
        rhs = adjoint(residual) + alpha * (origin - estimate)
        return conjugate_gradients(normal, rhs, iterations=NEWTON_CG)

    def second_set(self, image, coefficients, variance, iterations):
        """Coefficients (J, …) of another set for the same image, from what the first leaves of the data."""
        image = resample(image, self.sampling.shape)
        left = self.samples - self.sampling.forward(image * self.low.forward(coefficients))
        return replace(self, samples=left).update(image, 0 * coefficients, variance, 1, iterations)

    def update(self, image, coefficients, variance, weight, iterations, axes=None):
        """A few CG steps on (||M F (x E W chat) - z||^2 / variance + weight ||chat||^2) / 2, x of full size.

        Images (M, ny, nx) with coefficients (J, M, my, mx): of sets, which explain the data together; of chains, which
        do so each on its own, with axes=OF_CHAIN.
        """
        return self._solve(resample(image, self.sampling.shape), coefficients, variance, weight, iterations, 0, axes)

    def draw(self, images, coefficients, variance, weight, iterations, temperature, rngs):
        """Drawn from exp(-energy / temperature), the energy being that of `update`: its minimum for perturbed data.

        Of chains: images (S, ny, nx), coefficients (J, S, my, mx), a generator for each.
        """
        images = resample(images, self.sampling.shape)
        noise = for_each(rngs, lambda rng: self.sampling.noise(rng, self.samples), 1)
        white = for_each(rngs, lambda rng: complex_normal(rng, coefficients[:, 0]), 1)
        perturbation = (self.low.adjoint(images.conj() * self.sampling.adjoint(noise)) / variance**0.5
                        + weight**0.5 * white)
        return self._solve(images, coefficients, variance, weight, iterations, temperature**0.5 * perturbation,
                           OF_CHAIN)

    def _solve(self, image, coefficients, variance, weight, iterations, perturbation, axes):
        several, together = image.ndim > 2, image.ndim > 2 and axes is None
        zero_filled = self._zero_filled[:, None] if several else self._zero_filled
        rhs = self.low.adjoint(image.conj() * zero_filled) / variance + perturbation

        def normal(coefficients):
            images = image * self.low.forward(coefficients)
            images = self.sampling.normal(images.sum(1, keepdims=True) if together else images)
            return self.low.adjoint(image.conj() * images) / variance + weight * coefficients

        return conjugate_gradients(normal, rhs, coefficients, iterations=iterations, axes=axes)
