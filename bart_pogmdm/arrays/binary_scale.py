"""Scaling by powers of two, which is exact: squares of numbers near 1 neither overflow nor vanish."""

import numpy as np

from .array_types import Array
from .modules import array_module, complex_dtype


def exponent_of(array: Array) -> int:
    """Return e with 2^(e - 1) <= m < 2^e for the largest magnitude m of the real and imaginary parts; 0 for m = 0."""
    return int(np.frexp(max(end for part in (array.real, array.imag)
                            for end in (float(part.max()), -float(part.min()))))[1])


def scaled(array: Array, exponent: int, overwrite: bool = False) -> Array:
    """Return the complex array times 2^exponent, C-contiguous and in native byte order.

    overwrite: it may take the place of the array.
    """
    xp, dtype = array_module(array), complex_dtype(array.dtype)
    in_place = overwrite and array.dtype == dtype and array.flags.c_contiguous
    out = array if in_place else xp.empty(array.shape, dtype)
    xp.ldexp(array.real, exponent, out=out.real)
    xp.ldexp(array.imag, exponent, out=out.imag)
    return out
