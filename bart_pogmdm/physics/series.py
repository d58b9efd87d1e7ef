"""Several samplings as one: of the images of a series, or of slices that were excited together."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, real_dtype
from .image_set import per_image
from .nufft import Nufft
from .sampling import Sampling


@dataclass(frozen=True, eq=False)
class _SideBySide:
    """Samplings of A images side by side: images (…, A, *grid) and samples (…, A, *samples).

    All have samples of the same shape, as on the same grid, or at equally many points.
    """

    parts: tuple[Sampling, ...]

    @classmethod
    def of(cls, parts: Iterable[Sampling], samples: Sequence[Array]) -> tuple[Any, Array]:
        """Return the sampling of images of the same grid, and their samples (J, A, *samples), from those of each.

        Where images have other numbers of points along their trajectories, some get points of weight 0.
        """
        most = max(own.shape[-1] for own in samples)
        parts, samples = zip(*(padded(part, own, most) if isinstance(part, Nufft) else (part, own)
                               for part, own in zip(parts, samples)))
        return cls(parts), _stack(samples, 1)

    @property
    def shape(self) -> Shape:
        """Grid of the images."""
        return self.parts[0].shape

    @property
    def inexact(self) -> float:
        """Size of the error in the eigenvalues of F^H M W M F."""
        return max(part.inexact for part in self.parts)

    def weighted(self, weights: Array) -> Any:
        """Return the same sampling with other weights W, (A, *samples)."""
        return replace(self, parts=tuple(part.weighted(own) for part, own in zip(self.parts, weights)))

    def low(self, samples: Array, grid: Shape) -> tuple[Any, Array]:
        """Return sampling and samples (J, A, *samples) of low frequencies."""
        return self.of(*zip(*(part.low(samples[:, number], grid) for number, part in enumerate(self.parts))))

    def of_coils(self, coils: slice) -> Any:
        """Return the sampling of some of the coils."""
        parts = tuple(part.of_coils(coils) for part in self.parts)
        return self if all(map(operator.is_, parts, self.parts)) else replace(self, parts=parts)

    def without(self, which: Array, samples: Array) -> tuple[Any, Array]:
        """Return sampling and samples (J, A, *samples) without some of them, booleans (A, *samples)."""
        parts, left = zip(*(part.without(which[number], samples[:, number]) for number, part in enumerate(self.parts)))
        return replace(self, parts=parts), _stack(list(left), 1)

    @property
    def coil_part(self) -> Array:
        """The part of the coils that take each sample, (A, *samples)."""
        return _stack([part.coil_part for part in self.parts])

    def radius(self, shape: Shape) -> Array:
        """Distance of the samples from zero frequency, (A, *samples), in cycles per pixel of images of `shape`."""
        return _stack([part.radius(shape) for part in self.parts])

    def forward(self, images: Array) -> Array:
        """M F x; may overwrite x."""
        return self._each(images, lambda part, image: part.forward(image), len(self.shape), self._sample_ndim)

    def adjoint(self, samples: Array) -> Array:
        """F^H M W z; may overwrite z."""
        return self._each(samples, lambda part, own: part.adjoint(own), self._sample_ndim, len(self.shape))

    def normal(self, images: Array) -> Array:
        """F^H M W M F x; may overwrite x."""
        return self._each(images, lambda part, image: part.normal(image), len(self.shape), len(self.shape))

    def equalize(self, images: Array) -> Array:
        """Scale images F^H M z such that no frequency counts more than once."""
        return self._each(images, lambda part, image: part.equalize(image), len(self.shape), len(self.shape))

    def noise(self, rng: np.random.Generator, samples: Array) -> Array:
        """Noise of standard deviation W^(-1/2) in real and imaginary part, of the shape of the samples."""
        return _stack([part.noise(rng, samples[:, number]) for number, part in enumerate(self.parts)], 1)

    @cached_property
    def density(self) -> Array:
        """The diagonals of F^H M W M F in Fourier space, (A, *grid)."""
        return _stack([part.density for part in self.parts])

    @cached_property
    def sampled_part(self) -> Array:
        """The parts of the frequencies that are sampled in each image, (A, *grid)."""
        return _stack([part.sampled_part for part in self.parts])

    @cached_property
    def _sample_ndim(self) -> int:
        """Number of dimensions of the samples of one image."""
        return self.parts[0].radius(self.shape).ndim

    def _each(self, arrays: Array, change: Callable[[Sampling, Array], Array], ndim: int, ndim_out: int) -> Array:
        """Return arrays (…, A, *trailing) with the change of each part; ndim, ndim_out: their trailing axes."""
        xp = array_module(arrays)
        alone = xp.moveaxis(arrays, -1 - ndim, 0)
        return _stack([change(part, xp.ascontiguousarray(own)) for part, own in zip(self.parts, alone)], -1 - ndim_out)


class SeriesSampling(_SideBySide):
    """M F (see `sampling.Sampling`) of the images of a series, each sampled in its own way."""

    @cached_property
    def count(self) -> Array:
        """Number of samples of one coil in each image, (A, 1, …) with ones for the grid."""
        return per_image([part.count for part in self.parts], self.shape, self.density)


class SimultaneousSampling(_SideBySide):
    """M F F_s (see `sampling.Sampling`): A slices that were excited together, in A shots with other phases.

    F_s is the unitary FFT along the slices, counted from 0 as in BART: shot q has sum_p exp(-2 pi i p q / A) x_p /
    A^(1/2).  S. Rosenzweig et al., Magn. Reson. Med. 79, 2018, doi 10.1002/mrm.26878.
    """

    @property
    def count(self) -> float:
        """Number of samples of one coil in all shots."""
        return float(sum(part.count for part in self.parts))

    @cached_property
    def density(self) -> Array:
        """The diagonal of F_s^H F^H M W M F F_s in Fourier space, which is the same for all slices, (*grid)."""
        return _stack([part.density for part in self.parts]).mean(0)

    @cached_property
    def sampled_part(self) -> Array:
        """The part of the shots in which each frequency is sampled, (*grid)."""
        return _stack([part.sampled_part for part in self.parts]).mean(0)

    def forward(self, images: Array) -> Array:
        """M F F_s x; may overwrite x."""
        return super().forward(fftn(images, self._slices, overwrite=True))

    def adjoint(self, samples: Array) -> Array:
        """F_s^H F^H M W z; may overwrite z."""
        return ifftn(super().adjoint(samples), self._slices, overwrite=True)

    def normal(self, images: Array) -> Array:
        """F_s^H F^H M W M F F_s x; may overwrite x."""
        normal = super().normal(fftn(images, self._slices, overwrite=True))
        return ifftn(normal, self._slices, overwrite=True)

    @property
    def _slices(self) -> tuple[int]:
        return (-1 - len(self.shape),)


def padded(sampling: Nufft, samples: Array, count: int) -> tuple[Nufft, Array]:
    """Return sampling and samples (J, M) with `count` points: the further ones are at zero, with the weight 0."""
    xp, extra = array_module(samples), count - samples.shape[-1]
    if not extra:
        return sampling, samples
    mask = xp.ones(samples.shape[-1], real_dtype(sampling.dtype)) if sampling.mask is None else sampling.mask
    points, mask, samples = (xp.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, extra)])
                             for array in (sampling.points, mask, samples))
    weights = None if sampling.weights is None else xp.pad(sampling.weights, (0, extra), constant_values=1)
    return Nufft(points, sampling.shape, sampling.dtype, weights, mask), samples


def _stack(arrays: Sequence[Array], axis: int = 0) -> Array:
    return array_module(arrays[0]).stack(arrays, axis)
