"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

from functools import lru_cache

import numpy as np
import scipy.fft

from .modules import array_module
from .threads import NUM_THREADS, SMALL_BYTES, _in_pool


def fftn(array, axes=(-2, -1), overwrite=False):
    """Unitary FFT over `axes`, zero frequency first."""
    return _transform("fftn", array, axes, overwrite)


def ifftn(array, axes=(-2, -1), overwrite=False):
    """Unitary inverse FFT over `axes`, zero frequency first."""
    return _transform("ifftn", array, axes, overwrite)


def _transform(name, array, axes, overwrite):
    if array_module(array) is np:
        return getattr(scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite,
                                          workers=1 if hasattr(_in_pool, "flag") or array.nbytes < SMALL_BYTES
                                          else NUM_THREADS)
    import cupyx.scipy.fft
    return getattr(cupyx.scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite)


def dst1(array):
    """Orthonormal DST of type I over the last two axes, its own inverse."""
    if array_module(array) is np:
        return scipy.fft.dstn(array, type=1, axes=(-2, -1), norm="ortho", workers=NUM_THREADS)
    rows, columns = (_sines(n, array.dtype, array_module(array)) for n in array.shape[-2:])
    return rows @ array @ columns


@lru_cache(maxsize=4)
def _sines(n, dtype=float, xp=np):
    """The matrix of the orthonormal DST of type I; CuPy has no fast one."""
    k = np.arange(1, n + 1)
    return xp.asarray((2 / (n + 1)) ** 0.5 * np.sin(np.pi * np.outer(k, k) / (n + 1)), dtype)
