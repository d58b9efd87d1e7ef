"""Fourier and sine transforms of NumPy and CuPy arrays."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike

from .array_types import Array, ArrayModule
from .modules import array_module
from .threads import threads_for


def fftn(array: Array, axes: Sequence[int] = (-2, -1), overwrite: bool = False) -> Array:
    """Return the unitary FFT over `axes`, zero frequency first."""
    return _transform("fftn", array, axes, overwrite)


def ifftn(array: Array, axes: Sequence[int] = (-2, -1), overwrite: bool = False) -> Array:
    """Return the unitary inverse FFT over `axes`, zero frequency first."""
    return _transform("ifftn", array, axes, overwrite)


def _transform(name: str, array: Array, axes: Sequence[int], overwrite: bool) -> Array:
    if array_module(array) is np:
        return getattr(scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite,
                                        workers=threads_for(array))
    import cupyx.scipy.fft
    found = getattr(cupyx.scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite)
    return array_module(array).ascontiguousarray(found)  # Without the last axis it is a view with axes swapped.


def dst1(array: Array) -> Array:
    """Return the orthonormal DST of type I over the last two axes; it is its own inverse."""
    if array_module(array) is np:
        return scipy.fft.dstn(array, type=1, axes=(-2, -1), norm="ortho", workers=threads_for(array))
    rows, columns = (sine_matrix(n, array.dtype, array_module(array)) for n in array.shape[-2:])
    return rows @ array @ columns


@lru_cache(maxsize=4)
def sine_matrix(n: int, dtype: DTypeLike = float, xp: ArrayModule = np) -> Array:
    """Return the (n, n) matrix of the orthonormal DST of type I; CuPy has no fast transform of this type."""
    k = np.arange(1, n + 1)
    return xp.asarray((2 / (n + 1)) ** 0.5 * np.sin(np.pi * np.outer(k, k) / (n + 1)), dtype)
