"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import sys

import numpy as np


def array_module(array):
    """The module that made the array: cupy, torch (in training) or numpy; the first two are never imported here."""
    for name, kind in (("cupy", "ndarray"), ("torch", "Tensor")):
        module = sys.modules.get(name)
        if module is not None and isinstance(array, getattr(module, kind)):
            return module
    return np


def kernels_for(array):
    """The hot loops for the array: compiled by numba for NumPy, written in CUDA for CuPy."""
    if array_module(array) is np:
        from .kernels import cpu
        return cpu
    from .kernels import cuda
    return cuda


def move(array, xp):
    """The array as one of another module; None stays None."""
    if array is None or array_module(array) is xp:
        return array
    if xp is np:
        return array.get()
    array = np.asarray(array)
    return xp.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def complex_dtype(dtype):
    """complex128 for double precision and beyond, complex64 otherwise; always in native byte order."""
    return np.complex128 if np.result_type(dtype, np.complex64).itemsize > 8 else np.complex64


def real_dtype(dtype):
    """float64 for double precision and beyond, float32 otherwise."""
    return complex_dtype(dtype)(0).real.dtype
