"""Arrays of Python in the temporary files of a BART command."""

from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import pad_dims
from ..arrays.modules import array_module, move
from ..files.atomic import naming
from ..files.cfl import column_major_bytes, read
from ..files.ra import ra_header


def store(path: Path, array: object, name: str) -> None:
    """Write an array as complex64 into an .ra file, which need not survive: it is not forced onto the disk.

    Raises TypeError for what is no array of numbers, ValueError for an array that BART cannot hold, and OSError.
    """
    samples = _samples(array, name)
    shape = pad_dims(samples.shape, name)
    content = column_major_bytes(samples, shape)
    with naming(path), open(path, "wb") as file:
        file.writelines([ra_header(shape, len(content)), content])


def fetch(path: Path) -> Array:
    """Read an output of BART, without its trailing dimensions of size 1 but with at least one dimension.

    Raises FileNotFoundError, or ValueError for a damaged file.
    """
    array = read(path)
    last = max(np.flatnonzero(np.array(array.shape) > 1), default=0)
    return array.reshape(array.shape[:last + 1], order="F")


def _samples(value: object, name: str) -> Array:
    """Return an array of NumPy, CuPy or any other library, or nested lists of numbers, as complex64."""
    kind = type(value).__name__
    if array_module(value).__name__ == "cupy":
        value = move(value, np)  # type: ignore[call-overload]
    is_array = isinstance(value, (list, tuple)) or hasattr(value, "__array__")
    if not is_array or isinstance(value, np.generic):
        raise TypeError(f"{name}: expected an array, got {kind}; numbers and file names belong in the command")
    if np.ma.isMaskedArray(value):
        raise TypeError(f"{name}: expected an array without a mask of its own, got {kind}; fill it with zeros first")
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:  # Lists of several lengths; a tensor that records gradients.
        raise TypeError(f"{name}: expected an array, got {kind} ({error})") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name}: expected an array of numbers, got {kind} of {array.dtype}")
    if not array.size:
        raise ValueError(f"{name}: expected at least one sample, got the shape {array.shape}")
    try:
        with np.errstate(over="raise"):
            return array.astype(np.complex64, copy=False)
    except FloatingPointError:
        raise ValueError(f"{name}: expected values within single precision (3.4e38), got larger ones") from None
