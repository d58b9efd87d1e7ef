"""Fourier and sine transforms of NumPy and CuPy arrays."""

import math
from collections.abc import Sequence

import numpy as np
import scipy.fft
from numpy.typing import DTypeLike

from .array_types import Array, ArrayModule
from .devices import kept_on_device
from .modules import array_module, complex_dtype
from .threads import threads_for

AXES = 4  # of the stacks on the CPU: with one number for all, one function is compiled for each precision


def fftn(array: Array, axes: Sequence[int] = (-2, -1), overwrite: bool = False) -> Array:
    """Return the unitary FFT over `axes`, zero frequency first."""
    return _transform(array, axes, overwrite, forward=True)


def ifftn(array: Array, axes: Sequence[int] = (-2, -1), overwrite: bool = False) -> Array:
    """Return the unitary inverse FFT over `axes`, zero frequency first."""
    return _transform(array, axes, overwrite, forward=False)


def _transform(array: Array, axes: Sequence[int], overwrite: bool, forward: bool) -> Array:
    if array_module(array) is np:
        return _transform_on_cpu(array, axes, overwrite, forward)
    import cupyx.scipy.fft
    transform = cupyx.scipy.fft.fftn if forward else cupyx.scipy.fft.ifftn
    found = transform(array, axes=axes, norm="ortho", overwrite_x=overwrite)
    return array_module(array).ascontiguousarray(found)  # Without the last axis it is a view with axes swapped.


def _transform_on_cpu(array: Array, axes: Sequence[int], overwrite: bool, forward: bool) -> Array:
    """The FFT of a C-contiguous array, in place if `overwrite` allows it."""
    from .kernels.transforms import fft
    shape, axes = array.shape, [axis % array.ndim - array.ndim for axis in axes]
    if len(axes) >= AXES:
        raise ValueError(f"axes: expected at most {AXES - 1}, got {len(axes)}")
    if min(axes, default=0) <= -AXES:
        last = range(-len(axes), 0)
        moved = _transform_on_cpu(np.moveaxis(array, axes, last), last, False, forward)
        return np.ascontiguousarray(np.moveaxis(moved, last, axes))
    source: Array = np.ascontiguousarray(array, complex_dtype(array.dtype))
    is_own = not np.may_share_memory(source, array) or (overwrite and array.flags.writeable)
    if not axes:
        return source if is_own else source.copy()
    out = source if is_own else np.empty_like(source)
    stack = (-1, *(1,) * (AXES - 1 - len(shape)), *shape[1 - AXES:])
    factor = math.prod(shape[axis] for axis in axes) ** -0.5
    fft(source.reshape(stack), out.reshape(stack), np.array([AXES + axis for axis in axes]), forward, factor,
        threads_for(source))
    return out.reshape(shape)


def dst1(array: Array) -> Array:
    """Return the orthonormal DST of type I over the last two axes; it is its own inverse."""
    if array_module(array) is np:
        return scipy.fft.dstn(array, type=1, axes=(-2, -1), norm="ortho", workers=threads_for(array))
    rows, columns = (sine_matrix(n, array.dtype, array_module(array)) for n in array.shape[-2:])
    return rows @ array @ columns


@kept_on_device(4)
def sine_matrix(n: int, dtype: DTypeLike = float, xp: ArrayModule = np) -> Array:
    """Return the (n, n) matrix of the orthonormal DST of type I; CuPy has no fast transform of this type."""
    k = np.arange(1, n + 1)
    return xp.asarray((2 / (n + 1)) ** 0.5 * np.sin(np.pi * np.outer(k, k) / (n + 1)), dtype)
