"""fastMRI's HDF5 files: k-space by slices, and the central slices that the paper uses."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, SLICE, pad_dims, to_bart
from ..arrays.rounding import as_mask
from .hdf5 import read_hdf5

CENTRAL_SLICES = 11  # As in the paper, at most this many slices at the centre of a volume are used.


@dataclass(frozen=True)
class FastmriFile:
    """k-space (slice, coil, y, x) or (slice, y, x), and the pattern that broadcasts to (y, x) if the file has one."""

    path: Path
    shape: Shape
    pattern: Array | None

    voxel: ClassVar[None] = None  # slices
    geometry: ClassVar[None] = None
    tags: ClassVar[dict[str, str]] = {}

    @classmethod
    def of(cls, path: Path) -> "FastmriFile":
        """Open a file.  Raises FileNotFoundError, or ValueError if it is damaged or holds no k-space."""
        shape, dtype, mask = read_hdf5(path, lambda file: (
            file["kspace"].shape, file["kspace"].dtype, file["mask"][()] if "mask" in file else None))
        if len(shape) not in (3, 4) or dtype.kind != "c":
            raise ValueError(f"{path}: expected complex k-space (slice, coil, y, x), got {dtype} {shape}")
        slices, coils, ny, nx = (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape
        dims = pad_dims((ny, nx, 1, coils) + (1,) * (SLICE - BEYOND) + (slices,))
        return cls(path, dims, None if mask is None else _pattern(path, mask, (ny, nx)))

    def slice(self, place: Shape) -> Array:
        """Read k-space (READ, PHS1, PHS2, COIL), complex64, at a place in the dimensions beyond COIL."""
        kspace: Array = read_hdf5(self.path, lambda file: file["kspace"][place[SLICE - BEYOND]])
        return to_bart(kspace).astype(np.complex64)


def _pattern(path: Path, mask: Array, shape: Shape) -> Array:
    """Return a mask of columns (x,) or (1, x), or of samples (y, x), as booleans of two dimensions."""
    pattern = np.atleast_2d(mask if mask.ndim <= 2 else mask.squeeze())
    if pattern.shape not in (shape, (1, shape[1]), (shape[0], 1)):
        raise ValueError(f"{path}: expected a mask (x,) or (y, x) for k-space {shape}, got {mask.shape}")
    return as_mask(pattern, f"{path}: mask")


def central_slices(volume: Sized) -> range:
    """Return the numbers of the CENTRAL_SLICES slices at the centre of a volume, or of all if it has fewer."""
    first = max(0, (len(volume) - CENTRAL_SLICES) // 2)
    return range(first, min(first + CENTRAL_SLICES, len(volume)))
