"""A prior of images as a prior of volumes: the mean over the planes of all three orientations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.modules import array_module
from ..arrays.threads import CACHE_BYTES
from .calibration import Calibration

ORIENTATIONS = 3


@dataclass(frozen=True, eq=False)
class Planes:
    """log p(x) = 1/3 sum_o sum_i log p_2(x_oi) for volumes x (…, nz, ny, nx) with planes x_oi of orientation o.

    A volume that is constant along an axis costs about as much as its planes across that axis: more than the mean would
    smooth it more than each plane alone.  voxel: the sides of a voxel along z, y and x, in any unit.
    """

    prior: Any
    voxel: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @cached_property
    def _of_orientations(self) -> tuple[Any, ...]:
        """The priors of the planes across z, y and x; a prior that does not know the sides of pixels serves for all."""
        z, y, x = self.voxel
        return tuple(self.prior if one == other or not hasattr(self.prior, "pixel") else
                     replace(self.prior, pixel=(one / min(one, other), other / min(one, other)))
                     for one, other in ((y, x), (z, x), (z, y)))

    @cached_property
    def reconstructing(self) -> Planes:
        """The form for reconstructions from several coils."""
        return Planes(getattr(self.prior, "reconstructing", self.prior), self.voxel)

    @property
    def calibration(self) -> Calibration | None:
        """That of the prior; None for a prior without one."""
        return getattr(self.prior, "calibration", None)

    def exponent(self, sigma: float) -> float:
        """Return the power of the product of mixtures over all planes."""
        return float(self.prior.exponent(sigma) / ORIENTATIONS)

    def score(self, image: Array, sigma: float) -> Array:
        """Return grad log p_sigma(x) of volumes (…, nz, ny, nx)."""
        return self._mean(image, lambda prior, planes, _: prior.score(planes, sigma))

    @property
    def denoise(self) -> Callable[[Array, float], Array]:
        """denoise(volumes, sigma), the mean over the orientations; AttributeError for a prior that does not denoise."""
        if not hasattr(self.prior, "denoise"):
            raise AttributeError(f"{type(self.prior).__name__} does not denoise")
        return lambda image, sigma: self._mean(image, lambda prior, planes, _: prior.denoise(planes, sigma))

    def drawn_score(self, images: Array, sigma: float, rngs: Sequence[np.random.Generator]) -> Array:
        """Return the score of volumes (S, nz, ny, nx) with the components drawn, a generator for each volume."""
        xp = array_module(images)
        return xp.stack([self._mean(image, lambda prior, planes, own: prior.drawn_score(planes, sigma, own), rng)
                         for image, rng in zip(images, rngs)])

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum (nz, ny, nx) of a Hessian that majorises -log p_sigma everywhere."""
        nz, ny, nx = shape
        across_z, across_y, across_x = (prior.curvature(plane, sigma, xp) for prior, plane in zip(
            self._of_orientations, ((ny, nx), (nz, nx), (nz, ny))))
        return (across_z + across_y[:, None, :] + across_x[:, :, None]) / ORIENTATIONS

    def _mean(self, volumes: Array, change: Callable[[Any, Array, list[np.random.Generator]], Array],
              rng: np.random.Generator | None = None) -> Array:
        """Return the mean over the orientations of volumes (…, nz, ny, nx) whose planes (S, n, m) are changed.

        The planes of an orientation go in stacks that a core's cache holds, each plane with a generator of its own.
        """
        xp = array_module(volumes)
        total = xp.zeros_like(volumes)
        for prior, axis in zip(self._of_orientations, (-3, -2, -1)):
            planes = xp.moveaxis(volumes, axis, -3)
            stack = xp.ascontiguousarray(planes).reshape(-1, *planes.shape[-2:])
            size = max(1, CACHE_BYTES // stack[0].nbytes) if xp is np else len(stack)
            rngs = [] if rng is None else rng.spawn(len(stack))
            changed = xp.concatenate([change(prior, stack[i:i + size], rngs[i:i + size])
                                      for i in range(0, len(stack), size)])
            total += xp.moveaxis(changed.reshape(planes.shape), -3, axis)
        return total / ORIENTATIONS
