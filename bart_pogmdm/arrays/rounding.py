"""Numbers that files bring with rounding errors: what is nearly 0 or 1 counts as 0 or 1."""

import numpy as np

from .array_types import Array
from .modules import array_module

MASK_ROUNDING = 1e-3   # A mask that was stored in half precision, transformed or interpolated is exact to this.
SMALL_PART = 1e-4      # Relative to the largest number, a part below this is rounding, also in single precision.


def as_mask(mask: Array, name: str) -> Array:
    """Return a mask of numbers as booleans.  Raises ValueError unless they are 0 or 1 up to rounding."""
    is_one = _is_one(mask) if mask.dtype.kind in "biufc" else None
    if is_one is None:
        found = "others" if mask.dtype.kind in "biufc" else mask.dtype
        raise ValueError(f"{name}: expected boolean or 0/1 values, got {found}")
    return is_one


def as_pattern(pattern: Array, name: str) -> Array:
    """Return a mask as booleans, and other weights as numbers >= 0 in double precision.

    Raises ValueError for numbers that are negative, complex or not finite.
    """
    if pattern.dtype.kind not in "biufc":
        raise ValueError(f"{name}: expected boolean values or weights, got {pattern.dtype}")
    is_one = _is_one(pattern)
    if is_one is not None and bool(is_one.any() | (pattern == 0).all()):
        return is_one
    xp = array_module(pattern)
    if not bool(xp.isfinite(pattern).all()) or not is_rounding(pattern.imag, pattern):
        raise ValueError(f"{name}: expected boolean values or finite real weights, got others")
    weights = pattern.real.astype(float)
    if bool((weights < 0).any()):
        raise ValueError(f"{name}: expected weights >= 0, got {float(weights.min()):.3g}")
    return weights


def _is_one(mask: Array) -> Array | None:
    """Return where numbers are 1, or None unless all are 0 or 1 up to rounding."""
    exact = mask.dtype.kind in "biu"
    is_one = mask == 1 if exact else abs(mask - 1) < MASK_ROUNDING
    is_zero = mask == 0 if exact else abs(mask) < MASK_ROUNDING
    return is_one if bool((is_one | is_zero).all()) else None


def is_rounding(part: Array, whole: Array) -> bool:
    """Return whether a part of an array, such as its imaginary parts, is rounding error of numbers that are zero."""
    largest = float(abs(whole).max()) if whole.size else 0.0
    return not bool((array_module(part).abs(part) > SMALL_PART * largest).any())


def largest_of_coils(samples: Array) -> Array:
    """Return the largest magnitude of the real and imaginary parts of samples (J, …) in any coil, (…)."""
    xp = array_module(samples)
    largest = xp.zeros(samples.shape[1:], samples.real.dtype)
    for coil in samples:  # one after the other: the magnitudes of all need half as much memory as k-space
        for part in (coil.real, coil.imag):
            xp.maximum(largest, abs(part), out=largest)
    return largest


def is_acquired(samples: Array, dims: int) -> Array:
    """Return where samples (…, J, points) were acquired: in some coil they are not zero up to single precision.

    dims: number of dimensions of the points of one slice.  Samples that are not finite count as acquired.
    """
    xp, points = array_module(samples), tuple(range(-dims, 0))
    largest = largest_of_coils(xp.moveaxis(samples, -dims - 1, 0))
    strongest = xp.where(xp.isfinite(largest), largest, 0).max(points, keepdims=True)
    return ~(largest <= np.finfo(np.float32).eps * strongest)
