"""BART's 16 array dimensions: their names, and the way from (coil, y, x) to BART's order and back."""

from typing import Any

import numpy as np

from .array_types import Array, Shape

DIMS = ("READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2",
        "ITER", "CSHIFT", "TIME", "TIME2", "LEVEL", "SLICE", "AVG", "BATCH")
COIL, MAPS, TE, COEFF, TIME, TIME2, SLICE, AVG, BATCH = (
    DIMS.index(name) for name in ("COIL", "MAPS", "TE", "COEFF", "TIME", "TIME2", "SLICE", "AVG", "BATCH"))
BEYOND = COIL + 1  # A reconstruction loops over the dimensions from this one on.


def pad_dims(shape: Shape, name: str = "array") -> Shape:
    """Return the shape with BART's 16 dimensions.  Raises ValueError if a dimension beyond the 16th exceeds 1."""
    shape = tuple(int(n) for n in shape)
    if any(n != 1 for n in shape[len(DIMS):]):
        raise ValueError(f"{name}: expected at most {len(DIMS)} dimensions, got {len(shape)}")
    return (shape + (1,) * len(DIMS))[:len(DIMS)]


def index_of(place: tuple[int | slice, ...]) -> Any:
    """Return the index of everything at a place in the last dimensions, such as those beyond COIL: [..., *place]."""
    return (..., *place)  # array[(..., *place)] itself would do, but mypy takes it for syntax of Python 3.11.


def to_bart(array: Array) -> Array:
    """Return (coil, z, y, x), (coil, y, x) or (y, x) as (READ, PHS1, PHS2, COIL).

    READ = y, PHS1 = x and PHS2 = 1 for planes, and READ = z, PHS1 = y and PHS2 = x for volumes.
    Raises ValueError for other numbers of axes.
    """
    array = np.asarray(array)
    if not 2 <= array.ndim <= COIL + 1:
        raise ValueError(f"array: expected (y, x), (coil, y, x) or (coil, z, y, x), got {array.shape}")
    if array.ndim == COIL + 1:
        return np.moveaxis(array, 0, -1)
    return np.moveaxis(array[None] if array.ndim == 2 else array, 0, -1)[:, :, None, :]


def from_bart(array: Array) -> Array:
    """Return (READ, PHS1, PHS2, COIL, 1, …) as (coil, z, y, x), or as (coil, y, x) where PHS2 is 1.

    Raises ValueError if any other dimension exceeds 1.
    """
    shape = pad_dims(array.shape)
    if any(n != 1 for n in shape[BEYOND:]):
        raise ValueError(f"array: expected (READ, PHS1, PHS2, COIL), got {array.shape}")
    grid = shape[:COIL] if shape[2] > 1 else shape[:2]
    return np.moveaxis(np.asarray(array).reshape(*grid, shape[COIL]), -1, 0)
