"""Numbers that files bring with rounding errors: what is nearly 0 or 1 counts as 0 or 1."""

from .array_types import Array
from .modules import array_module

MASK_ROUNDING = 1e-3   # A mask that was stored in half precision, transformed or interpolated is exact to this.
SMALL_PART = 1e-4      # Relative to the largest number, a part below this is rounding, also in single precision.


def as_mask(mask: Array, name: str) -> Array:
    """Return a mask of numbers as booleans.  Raises ValueError unless they are 0 or 1 up to rounding."""
    kind = mask.dtype.kind
    if kind not in "biufc":
        raise ValueError(f"{name}: expected boolean or 0/1 values, got {mask.dtype}")
    is_one = abs(mask - 1) < MASK_ROUNDING if kind in "fc" else mask == 1
    is_zero = abs(mask) < MASK_ROUNDING if kind in "fc" else mask == 0
    if not bool((is_one | is_zero).all()):
        raise ValueError(f"{name}: expected boolean or 0/1 values, got others")
    return is_one


def is_rounding(part: Array, whole: Array) -> bool:
    """Return whether a part of an array, such as its imaginary parts, is rounding error of numbers that are zero."""
    largest = float(abs(whole).max()) if whole.size else 0.0
    return not bool((array_module(part).abs(part) > SMALL_PART * largest).any())
