"""Samples along trajectories: the non-uniform FFT of finufft, or of cufinufft on a GPU, in the place of FFT and mask.

A. Barnett et al., A parallel non-uniform fast Fourier transform library, SIAM J. Sci. Comput. 41, 2019,
doi 10.1137/18M120885X.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.fft import next_fast_len

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.conjugate_gradients import inner
from ..arrays.fft import fftn
from ..arrays.generators import complex_normal
from ..arrays.modules import array_module, real_dtype
from ..arrays.threads import NUM_THREADS, share
from .finufft_plan import make_plan
from .fourier import axes_of, filtered
from .grid_transform import Convolution

POWER_STEPS = 8  # of the power iteration that bounds an eigenvalue for `equalize`


def within(points: Array, size: Sequence[float]) -> Array:
    """Return which points (…, D, M) lie in a window of a size about zero, (…, M)."""
    inside: Array = (abs(points) <= array_module(points).asarray(size)[:, None] / 2).all(-2)
    return inside


def convolution_memory(shape: Shape, dtype: DTypeLike, xp: ArrayModule) -> int:
    """Return at most about how many bytes spectra and `Nufft.normal` need: 32 complex images and 32 per thread.

    On a GPU they are 256 images: in double precision, on a grid of four times the sides, and as much to work in.
    """
    return (32 * (1 + NUM_THREADS) if xp is np else 256) * math.prod(shape) * np.dtype(dtype).itemsize


@dataclass(frozen=True, eq=False)
class Nufft:
    """F (see `sampling.Sampling`) at points k (D, M) in cycles per field of view: images (J, *grid) -> samples (J, M).

    (F x)(k) = sum_r x(r) exp(-2 pi i k . r) / N^(1/2), with r in fields of view from the pixel n // 2, and the number N
    of pixels of the grid of D dimensions, 2 or 3.  At the points of the grid this is the unitary centred FFT.
    mask: the weights M by which the samples are multiplied, one for each; None for 1.
    weights: W, one for each sample; None for 1.
    """

    points: Array
    shape: Shape
    dtype: type
    weights: Array | None = None
    mask: Array | None = None
    _plans: threading.local = field(default_factory=threading.local, repr=False)  # a plan serves one thread at a time
    _once: threading.Lock = field(default_factory=threading.Lock, repr=False)  # one thread computes the spectra

    inexact = 1e-4

    def weighted(self, weights: Array) -> Nufft:
        """Return the same transform with other weights."""
        return replace(self, weights=weights)

    def without(self, which: Array, samples: Array) -> tuple[Nufft, Array]:
        """Return sampling and samples (J, M) without some of them, booleans (M,): they get the weight 0."""
        kept = (~which).astype(real_dtype(self.dtype))
        return replace(self, mask=kept if self.mask is None else kept * self.mask), samples * ~which

    def low(self, samples: Array, grid: Shape) -> tuple[Nufft, Array]:
        """Return sampling and samples (J, M) of the frequencies that a smaller grid holds."""
        inside = within(self.points, grid)
        mask, weights = (None if factor is None else factor[inside] for factor in (self.mask, self.weights))
        return Nufft(self.points[:, inside], grid, self.dtype, weights, mask), samples[:, inside]

    def of_coils(self, coils: slice) -> Nufft:
        """Return the sampling of some of the coils, which is the same for all."""
        return self

    @cached_property
    def count(self) -> int:
        """Number of samples of one coil."""
        return self.points.shape[1] if self.mask is None else int((self.mask != 0).sum())

    @property
    def coil_part(self) -> Array:
        """The part of the coils that take each sample, (M,): all of them, or none for weight 0."""
        xp, dtype = array_module(self.points), real_dtype(self.dtype)
        return xp.ones(self.points.shape[1], dtype) if self.mask is None else (self.mask != 0).astype(dtype)

    def radius(self, shape: Shape) -> Array:
        """Distance of the samples from zero frequency, (M,), in cycles per pixel of `shape`; infinite for weight 0."""
        xp = array_module(self.points)
        radius = reduce(xp.hypot, (axis / n for axis, n in zip(self.points, shape)))
        return radius if self.mask is None else xp.where(self.mask != 0, radius, xp.inf)

    @cached_property
    def _angles(self) -> Array:
        """Phase between neighbouring pixels, (D, M), in radians, which all plans share."""
        return self.points * (2 * np.pi / array_module(self.points).asarray(self.shape)[:, None])

    def _plan(self, kind: int, count: int) -> Any:
        """Return the plan of type 1 (adjoint) or 2 (forward) for `count` images at once, made once for each thread."""
        plans: dict[Any, Any] = self._plans.__dict__
        if (kind, count) not in plans:
            plans[kind, count] = make_plan(kind, self._angles, self.shape, self.dtype, count)
        return plans[kind, count]

    def forward(self, images: Array) -> Array:
        """M F x, (J, …, M)."""
        samples = self._transform(2, images, (self.points.shape[1],))
        if self.mask is not None:
            samples *= self.mask
        return samples

    def adjoint(self, samples: Array) -> Array:
        """F^H M W z, (J, …, *grid)."""
        for factor in (self.weights, self.mask):
            samples = samples if factor is None else factor * samples
        return self._transform(1, samples, self.shape)

    def _transform(self, kind: int, arrays: Array, shape: Shape) -> Array:
        xp, norm = array_module(arrays), math.prod(self.shape) ** -0.5
        leading = arrays.shape[:-len(self.shape) if kind == 2 else -1]
        arrays = arrays.reshape(-1, *arrays.shape[len(leading):])
        out = xp.empty((len(arrays), *shape), self.dtype)

        def work(pieces: list[slice]) -> None:
            for part in pieces:
                if xp is np:  # Double precision is faster than single precision on a grid of twice the size.
                    for j in range(part.start, part.stop):
                        out[j] = norm * self._plan(kind, 1).execute(arrays[j].astype(np.complex128))
                else:
                    piece = xp.ascontiguousarray(arrays[part], self.dtype)
                    try:
                        out[part] = norm * self._plan(kind, len(piece)).execute(piece).reshape(out[part].shape)
                    except MemoryError:
                        self._plans.__dict__.clear()  # they hold memory of the device
                        raise

        share(work, len(arrays), self._padded)
        return out.reshape(*leading, *shape)

    @property
    def _padded(self) -> Array:
        """An image on a grid of twice the size, by which the work is shared; it takes no memory."""
        xp = array_module(self.points)
        return xp.broadcast_to(xp.zeros((), self.dtype), [2 * n for n in self.shape])

    @property
    def density(self) -> Array:
        """The diagonal of F^H M W M F in the Fourier space of the grid, (*grid), zero frequency first.

        It makes the best circulant approximation (T. Chan, SIAM J. Sci. Stat. Comput. 9, 1988, doi 10.1137/0909051).
        """
        return self._spectra[1]

    @cached_property
    def sampled_part(self) -> Array:
        """The density without weights, where a sample of weight 0 is none."""
        mask = None if self.mask is None else (self.mask != 0).astype(self.mask.dtype)
        alike = self.weights is None and (mask is None or bool((mask == self.mask).all()))
        return (self if alike else Nufft(self.points, self.shape, self.dtype, mask=mask)).density

    @property
    def _spectra(self) -> tuple[Array, Array]:
        with self._once:
            return self._computed_spectra

    @cached_property
    def _computed_spectra(self) -> tuple[Array, Array]:
        """The spectra, real, zero frequency first, of the kernel p of F^H M W M F x = p * x and of its circulant.

        p(d) = sum_k (M W M)(k) exp(2 pi i k . d) / N for |d| < n.  The first is on the grid of the convolution, of
        sides of at least 2 n - 1, the second is the density.
        """
        xp, axes, real = array_module(self.points), axes_of(self.shape), real_dtype(self.dtype)
        weights = xp.ones(self.points.shape[1]) if self.weights is None else self.weights
        weights = weights if self.mask is None else weights * self.mask**2
        sides = tuple(2 * n - 1 for n in self.shape)
        plan = make_plan(1, self._angles, sides, np.complex128, 1)  # not kept: it is large, and serves once
        kernel = plan.execute(weights.astype(np.complex128)).reshape(sides)
        del plan
        kernel = (kernel + xp.flip(kernel).conj()) / (2 * np.prod(self.shape))
        padded = xp.zeros([next_fast_len(n) for n in sides], np.complex128)
        padded[tuple(slice(n) for n in sides)] = kernel
        padded = fftn(xp.roll(padded, [1 - n for n in self.shape], axes), axes, overwrite=True)
        response = (padded.size**0.5 * padded.real).astype(real)
        for axis, n in zip(axes, self.shape):
            fall = xp.asarray(1 - abs(np.arange(1 - n, n)) / n)
            kernel = xp.moveaxis(kernel, axis, -1) * fall  # lags d and d - n coincide in a circulant matrix
            kernel = xp.concatenate([kernel[..., n - 1:n], kernel[..., n:] + kernel[..., :n - 1]], -1)
            kernel = xp.moveaxis(kernel, -1, axis)
        return response, (kernel.size**0.5 * fftn(kernel, axes).real).clip(0).astype(real)

    def normal(self, images: Array) -> Array:
        """F^H M W M F x, as a convolution by FFTs of twice the size (Toeplitz embedding); may overwrite x."""
        if array_module(images) is np:
            return self.convolution.of(images)
        planes = images.reshape(-1, *self.shape)
        out = array_module(images).empty_like(planes)  # not in place: a GPU without room starts anew

        def work(pieces: list[slice]) -> None:
            for part in pieces:
                out[part] = self.convolution.of(planes[part])

        share(work, len(planes), self._padded)
        return out.reshape(images.shape)

    @cached_property
    def convolution(self) -> Convolution:
        """F^H M W M F for one coil."""
        return Convolution(self.shape, self._spectra[0], axes_of(self.shape))

    def noise(self, rng: np.random.Generator, samples: Array) -> Array:
        """Noise of standard deviation W^(-1/2) in real and imaginary part, 0 for samples of weight 0."""
        noise = complex_normal(rng, samples)
        noise = noise if self.mask is None else noise * (self.mask != 0)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images: Array) -> Array:
        """Divide images F^H z by the density where that is above 1, so that no frequency counts more than once."""
        return self._equalized(images) / self._excess

    def _equalized(self, images: Array) -> Array:
        return filtered(1 / self.density.clip(1), images, axes_of(self.shape))

    @cached_property
    def _excess(self) -> float:
        """Factor by which the eigenvalues of `_equalized` F^H M M F still exceed 1, by a few power steps."""
        image = complex_normal(np.random.default_rng(0), array_module(self.points).empty((1, *self.shape), self.dtype))
        size = 1.0
        for _ in range(POWER_STEPS):
            image = self._equalized(self.normal(image / size))
            size = float(inner(image, image)) ** 0.5
        return max(size, 1.0)
