"""NIfTI files as images in BART's dimensions, with their place in the patient."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL, DIMS, SLICE, TIME
from .geometry import LPS_TO_RAS, Geometry, all_known, geometry_from
from .nifti import DIMENSIONS, MOST_DIMS, nibabel_package
from .reading import check_bytes, reading

# Dimensions for the axes of files that do not name them: places, time, and the next ones.
USUAL = (0, 1, 2, *range(TIME, TIME + MOST_DIMS - 3))


def read_nifti(path: Path) -> tuple[Array, tuple[Geometry, ...] | None]:
    """Read an image in BART's dimensions, real or complex64, and the geometry of its slices or volume.

    Raises FileNotFoundError, ValueError for a damaged file, and ImportError without nibabel.
    """
    nibabel = nibabel_package()
    with reading(path):
        found = nibabel.load(path)
        kind, shape = found.get_data_dtype(), found.shape
        if kind.kind not in "fciu" or not 2 <= len(shape) <= MOST_DIMS:
            raise ValueError(f"expected numbers in 2 to {MOST_DIMS} dimensions, got {kind} {shape}")
        check_bytes(int(np.prod(shape, dtype=object)) * kind.itemsize, path)
        values = np.asarray(found.dataobj)
    values = values.astype(np.complex64 if values.dtype.kind == "c" else np.float32)
    axes = _axes(found, len(shape))
    array = np.moveaxis(values.reshape(*shape, *(len(DIMS) - len(shape)) * (1,)), range(len(axes)), axes)
    return array, _places(found, array)


def _axes(found: Any, count: int) -> tuple[int, ...]:
    """Return the dimension of BART for each axis: those that our own files name, or the usual ones."""
    for extension in found.header.extensions:
        try:
            names = json.loads(extension.get_content())[DIMENSIONS]
            axes = tuple(DIMS.index(name) for name in names)
        except (ValueError, TypeError, KeyError):
            continue
        if len(set(axes)) == len(axes) >= count and axes[:2] == (0, 1):
            return axes[:count]
    return USUAL[:count]


def _places(found: Any, array: Array) -> tuple[Geometry, ...] | None:
    """Return the geometry; None if the header has no matrix of its own, or one that is sheared."""
    if not (found.header["sform_code"] or found.header["qform_code"]):
        return None
    affine, grid = LPS_TO_RAS @ found.affine, array.shape[:COIL]
    slices = [affine @ _shift(number) for number in range(array.shape[SLICE])] if grid[2] == 1 else [affine]
    return all_known(geometry_from(one, grid) for one in slices)


def _shift(number: int) -> Array:
    shift = np.eye(4)
    shift[2, 3] = number
    return shift
