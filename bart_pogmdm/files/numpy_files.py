"""NumPy's npy and npz files as outputs, in the order in which they are read: (y, x), (coil, y, x), or BART's."""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import BEYOND, COIL, from_bart, pad_dims
from .image_origin import Content, Images
from .nifti import ras_affine


def in_numpy_order(array: Array) -> Array:
    """Return an array of BART as (y, x) or (coil, y, x), or with at least four dimensions in BART's order."""
    shape = pad_dims(array.shape)
    if shape[2] == 1 and all(n == 1 for n in shape[BEYOND:]):
        planes = from_bart(array)
        return planes[0] if len(planes) == 1 else planes
    last = max(axis for axis, n in enumerate(shape) if n > 1)
    return array.reshape(shape[:max(last, COIL) + 1], order="F")


def encode_npy(images: Images) -> Iterator[Content]:
    """Yield an npy file with the values."""
    yield images.name, images.path, partial(save_npy, array=in_numpy_order(images.values))


def encode_npz(images: Images) -> Iterator[Content]:
    """Yield an npz file with the values by their role, and the matrix to mm in RAS if known, for slices in `order`."""
    arrays = {images.role: in_numpy_order(images.values)}
    geometry = images.origin.geometry
    if geometry and (found := ras_affine(images.values.shape, geometry)):
        arrays["affine"], arrays["order"] = found[0], np.array(found[1])
    yield images.name, images.path, partial(save_npz, arrays=arrays)


def save_npz(file: BinaryIO, arrays: dict[str, Array]) -> None:
    """Write arrays into an open npz file."""
    np.savez(file, **{name: np.ascontiguousarray(array) for name, array in arrays.items()})  # type: ignore[arg-type]


def save_npy(file: BinaryIO, array: Array) -> None:
    """Write an array into an open npy file."""
    np.save(file, np.ascontiguousarray(array))
