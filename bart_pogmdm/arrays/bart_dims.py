"""BART's array files (cfl, ra) and its dimensions; every output appears whole or not at all."""

import numpy as np

DIMS = ("READ", "PHS1", "PHS2", "COIL", "MAPS", "TE", "COEFF", "COEFF2",
        "ITER", "CSHIFT", "TIME", "TIME2", "LEVEL", "SLICE", "AVG", "BATCH")
COIL, BATCH = DIMS.index("COIL"), DIMS.index("BATCH")


def pad_dims(shape, name="array"):
    """The shape with BART's 16 dimensions.  ValueError when a 17th would exceed 1."""
    shape = tuple(int(n) for n in shape)
    if any(n != 1 for n in shape[len(DIMS):]):
        raise ValueError(f"{name}: expected at most {len(DIMS)} dimensions, got {len(shape)}")
    return (shape + (1,) * len(DIMS))[:len(DIMS)]


def to_bart(array):
    """(coil, y, x) or (y, x) -> (READ, PHS1, PHS2, COIL) with READ = y, PHS1 = x, PHS2 = 1."""
    array = np.asarray(array)
    return np.moveaxis(array[None] if array.ndim == 2 else array, 0, -1)[:, :, None, :]


def from_bart(array):
    """(READ, PHS1, 1, COIL, 1, …) -> (coil, y, x); ValueError when other dimensions are in use."""
    shape = pad_dims(array.shape)
    if shape[2] != 1 or any(n != 1 for n in shape[4:]):
        raise ValueError(f"array: expected (READ, PHS1, 1, COIL), got {array.shape}")
    return np.moveaxis(np.asarray(array).reshape(shape[0], shape[1], shape[3]), -1, 0)


BEYOND = COIL + 1  # the first of the dimensions that are looped over
TE, TIME, TIME2, SLICE = (DIMS.index(name) for name in ("TE", "TIME", "TIME2", "SLICE"))
