"""Samples along trajectories: the non-uniform FFT of finufft (cufinufft on a GPU), in the place of FFT and mask.

A. Barnett et al., A parallel non-uniform fast Fourier transform library, SIAM J. Sci. Comput. 41, 2019,
doi 10.1137/18M120885X.  The normal operator is a convolution, done by FFTs of twice the size (Toeplitz embedding).
"""

import threading
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module

import numpy as np
from scipy.fft import next_fast_len

from . import noise
from .backend import array_module, complex_normal, fftn, ifftn, inner, kernels, real_dtype, share

ACCURACY = 2e-6    # of the transform, relative
BEYOND = 0.5       # cycles per field of view by which samples may lie outside the grid: gradient delays shift them
POWER_STEPS = 8    # of the power iteration for `equalize`

_planning = threading.Lock()  # FFTW's planner is one for all threads


def library(xp):
    """The module finufft, for CuPy cufinufft.  ImportError that says how to install it."""
    name = "finufft" if xp is np else "cufinufft"
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"traj: needs {name}, which cannot be imported ({error}):"
                          f" pip install {repr('bart_pogmdm[nufft]') if xp is np else name}") from error


def image_size(points):
    """The grid that holds the trajectory's points (2, …), in cycles per field of view: as BART, 2 ceil(max |k|)."""
    return tuple(2 * int(np.ceil(float(abs(axis).max()))) for axis in points)


@dataclass(frozen=True, eq=False)
class Nufft:
    """F at points k (2, M) in cycles per field of view: images (J, ny, nx) -> samples (J, M).

    (F x)(k) = sum_r x(r) exp(-2 pi i k . r) / (ny nx)^(1/2), r in fields of view from the pixel n // 2: at the points
    of the grid the unitary centred FFT.  weights W (M,), None for 1, of the samples' inner product: the adjoint is
    F^H W.
    """

    points: np.ndarray
    shape: tuple
    dtype: type
    weights: np.ndarray | None = None
    _plans: threading.local = field(default_factory=threading.local, repr=False)  # a plan has work space of its own

    inexact = 1e-4

    def weighted(self, weights):
        """The same with other weights."""
        return replace(self, weights=weights)

    @property
    def count(self):
        """Number of samples of one coil."""
        return self.points.shape[1]

    def radius(self, shape):
        """Distance of the samples from zero frequency, (M,), in cycles per pixel of an image of `shape`."""
        return array_module(self.points).hypot(*(axis / n for axis, n in zip(self.points, shape)))

    @property
    def _angles(self):
        """What a pixel turns the phase by, (2, M)."""
        return self.points * (2 * np.pi / array_module(self.points).asarray(self.shape)[:, None])

    def _plan(self, kind, count, shape, dtype):
        """The plan of type 1 (adjoint) or 2 (forward) for `count` images at once, made once for each thread."""
        plans, key = self._plans.__dict__, (kind, count, shape)
        if key not in plans:
            with _planning:
                plans[key] = _make_plan(kind, self._angles, shape, dtype, count)
        return plans[key]

    def forward(self, images):
        """F x, (J, …, M)."""
        return self._transform(2, images, (self.count,))

    def adjoint(self, samples):
        """F^H W z, (J, …, ny, nx)."""
        return self._transform(1, samples if self.weights is None else self.weights * samples, self.shape)

    def _transform(self, kind, arrays, shape):
        xp, norm, grid = array_module(arrays), np.prod(self.shape) ** -0.5, (self.shape, self.dtype)
        leading = arrays.shape[:-2 if kind == 2 else -1]
        arrays = arrays.reshape(-1, *arrays.shape[len(leading):])
        out = xp.empty((len(arrays), *shape), self.dtype)
        stack = out if kind == 1 else arrays  # the images, by whose size the work is shared

        def work(pieces):
            for part in pieces:
                if xp is np:  # in double precision: that is faster than twice the grid, and better
                    for j in range(part.start, part.stop):
                        out[j] = norm * self._plan(kind, 1, *grid).execute(arrays[j].astype(np.complex128))
                else:
                    piece = xp.ascontiguousarray(arrays[part], self.dtype)
                    out[part] = norm * self._plan(kind, len(piece), *grid).execute(piece).reshape(out[part].shape)

        share(work, len(arrays), stack[0])
        return out.reshape(*leading, *shape)

    @cached_property
    def _kernel(self):
        """p(d) = sum_k W(k) exp(2 pi i k . d) / (ny nx) for |d| < n, (2 ny - 1, 2 nx - 1): F^H W F x = p * x."""
        xp, shape = array_module(self.points), tuple(2 * n - 1 for n in self.shape)
        weights = xp.ones(self.count) if self.weights is None else self.weights
        kernel = self._plan(1, 1, shape, np.complex128).execute(weights.astype(np.complex128)).reshape(shape)
        return (kernel + kernel[::-1, ::-1].conj()) / (2 * np.prod(self.shape))

    @cached_property
    def _response(self):
        """The kernel's spectrum on the grid of the convolution, real, zero frequency first."""
        xp = array_module(self.points)
        grid = tuple(next_fast_len(2 * n - 1) for n in self.shape)
        padded = xp.zeros(grid, np.complex128)
        padded[:2 * self.shape[0] - 1, :2 * self.shape[1] - 1] = self._kernel
        padded = xp.roll(padded, [1 - n for n in self.shape], (0, 1))
        return (np.prod(grid) ** 0.5 * fftn(padded)).real.astype(real_dtype(self.dtype))

    @cached_property
    def density(self):
        """The diagonal of F^H W F in the Fourier space of the grid, (ny, nx), zero frequency first.

        It makes the best circulant approximation (T. Chan, SIAM J. Sci. Stat. Comput. 9, 1988, doi 10.1137/0909051).
        """
        xp, folded = array_module(self.points), self._kernel
        for axis, n in enumerate(self.shape):
            fall = xp.asarray(1 - abs(np.arange(1 - n, n)) / n)
            folded = folded * (fall[:, None] if axis == 0 else fall)
            folded = xp.moveaxis(folded, axis, 0)  # d and d - n fall on one another
            folded = xp.moveaxis(xp.concatenate([folded[n - 1:n], folded[n:] + folded[:n - 1]]), 0, axis)
        density = (np.prod(self.shape) ** 0.5 * fftn(folded)).real
        return density.clip(0).astype(real_dtype(self.dtype))

    @cached_property
    def norm(self):
        """A bound of the largest eigenvalue of F^H W F."""
        return float(self._response.max())

    def normal(self, images):
        """F^H W F x; may overwrite x."""
        planes = images.reshape(-1, *self.shape)

        def work(pieces):
            for part in pieces:
                planes[part] = self._convolve(planes[part])

        share(work, len(planes), planes[0])
        return planes.reshape(images.shape)

    def _convolve(self, images):
        """The images with zeros behind, filtered by the response; rows that are zero, or not wanted, are left out."""
        xp, (rows, columns), (ny, nx) = array_module(images), self._response.shape, self.shape
        half = xp.zeros((len(images), ny, columns), images.dtype)
        half[..., :nx] = images
        full = xp.zeros((len(images), rows, columns), images.dtype)
        full[:, :ny] = fftn(half, (-1,), overwrite=True)
        full = fftn(full, (-2,), overwrite=True)
        kernels(full).scale(full, self._response)
        full = ifftn(full, (-2,), overwrite=True)
        return ifftn(xp.ascontiguousarray(full[:, :ny]), (-1,), overwrite=True)[..., :nx]

    def noise(self, rng, samples):
        """Noise of standard deviation W^(-1/2) in real and imaginary part in the place of samples."""
        noise = complex_normal(rng, samples)
        return noise if self.weights is None else noise / self.weights**0.5

    def equalize(self, images):
        """Images F^H z such that no frequency counts more than once: divided by the density where that is above 1."""
        return self._equalized(images) / self._excess

    def _equalized(self, images):
        return ifftn(fftn(images) / self.density.clip(1))

    @cached_property
    def _excess(self):
        """How far `_equalized` of F^H F still exceeds 1, by a few power steps."""
        image = complex_normal(np.random.default_rng(0), array_module(self.points).empty((1, *self.shape), self.dtype))
        size = 1.0
        for _ in range(POWER_STEPS):
            image = self._equalized(self.normal(image / size))
            size = float(inner(image, image)) ** 0.5
        return max(size, 1.0)


def _make_plan(kind, angles, shape, dtype, count):
    """A plan of type 1 or 2 with its points set."""
    xp = array_module(angles)
    options = {"nthreads": 1, "upsampfac": 1.25} if xp is np else {}
    dtype = np.complex128 if xp is np else dtype
    plan = library(xp).Plan(kind, shape, count, ACCURACY, 1 if kind == 1 else -1, dtype, **options)
    plan.setpts(*(xp.ascontiguousarray(axis, real_dtype(dtype)) for axis in angles))
    return plan


@dataclass(frozen=True, eq=False)
class NonCartesian:
    """One slice as measured: samples (J, M) at points (2, M) in cycles per field of view, of an image's shape.

    readouts: which of them each sample belongs to, (M,); None: nothing is known of that.
    """

    samples: np.ndarray
    points: np.ndarray
    shape: tuple
    readouts: np.ndarray | None = None

    @classmethod
    def of(cls, samples, points, shape, readouts=None):
        """What of the samples lies on the grid and is not zero in all coils; ValueError where nothing is left."""
        scan = cls(samples, points, shape, readouts)
        scan = scan.part((samples != 0).any(0) & _within(points, [n + 2 * BEYOND for n in shape]))
        if not scan.samples.size:
            raise ValueError(f"dims: no sample lies on a grid of {shape[0]} x {shape[1]}")
        return scan

    def part(self, which):
        """Some of the samples, by indices or booleans (M,)."""
        return replace(self, samples=self.samples[:, which], points=self.points[:, which],
                       readouts=None if self.readouts is None else self.readouts[which])

    def noise_std(self):
        """Noise per real and imaginary part, estimated from the highest frequencies."""
        return noise.of_samples(self.samples, self.sampled()[0].radius(self.shape))

    def low(self, grid, cut):
        """The frequencies within a window of size `cut` about zero, on a smaller grid."""
        part = self.part(_within(self.points, cut))
        if not part.samples.size:
            raise ValueError(f"traj: expected samples at low frequencies, for the sensitivities, got none below"
                             f" {min(cut) / 2:g} cycles per field of view")
        return replace(part, shape=grid)

    def sampled(self):
        """The sampling and the samples as this gives them."""
        return Nufft(self.points, self.shape, self.samples.dtype.type), self.samples


def _within(points, size):
    """Which points lie in a window about zero, (M,)."""
    return (abs(points[0]) <= size[0] / 2) & (abs(points[1]) <= size[1] / 2)
