"""The array module behind an array, and the precision of its numbers."""

import sys
from types import ModuleType
from typing import overload

import numpy as np
from numpy.typing import DTypeLike

from .array_types import Array, ArrayModule


def array_module(array: object) -> ArrayModule:
    """Return cupy, torch (during training) or numpy, whichever made the array; neither of the first two is imported."""
    for name, kind in (("cupy", "ndarray"), ("torch", "Tensor")):
        module = sys.modules.get(name)
        if isinstance(array, getattr(module, kind, ())):  # a module may be half imported, by another thread
            return module
    return np


def kernels_for(array: Array) -> ModuleType:
    """Return the module with the hot loops for an array: compiled by numba for NumPy, written in CUDA for CuPy."""
    if array_module(array) is np:
        from .kernels import cpu
        return cpu
    from .kernels import cuda
    return cuda


@overload
def move(array: Array, xp: ArrayModule) -> Array: ...
@overload
def move(array: None, xp: ArrayModule) -> None: ...
def move(array: Array | None, xp: ArrayModule) -> Array | None:
    """Return the array as an array of another module; None stays None."""
    if array is None or array_module(array) is xp:
        return array
    if xp is np:
        return array.get(order="A")  # type: ignore[attr-defined]  # a change of order would copy it on the device
    array = np.asarray(array)
    return xp.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def complex_dtype(dtype: DTypeLike) -> type:
    """Return complex128 for double precision and beyond and complex64 otherwise, in native byte order."""
    return np.complex128 if np.result_type(dtype, np.complex64).itemsize > 8 else np.complex64


def real_dtype(dtype: DTypeLike) -> np.dtype:
    """Return float64 for double precision and beyond and float32 otherwise."""
    return complex_dtype(dtype)(0).real.dtype
