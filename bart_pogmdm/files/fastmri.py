"""k-space in files of other makers, in BART's order, whole or by slices: npz, npy, fastMRI's and ISMRMRD's HDF5."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.bart_dims import BEYOND, SLICE, pad_dims, to_bart
from .stored import naming_file


@dataclass(frozen=True)
class FastMRI:
    """(slice, coil, y, x) or (slice, y, x), and the mask of the columns where the file has one."""

    path: Path
    shape: tuple
    pattern: np.ndarray | None

    @classmethod
    def of(cls, path):
        """From a file."""
        import h5py
        with naming_file(path), h5py.File(path) as file:
            kspace, mask = file["kspace"], file["mask"][()] if "mask" in file else None
            shape, dtype = kspace.shape, kspace.dtype
        if len(shape) not in (3, 4) or dtype.kind != "c":
            raise ValueError(f"{path}: expected complex k-space (slice, coil, y, x), got {dtype} {shape}")
        slices, count, ny, nx = (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape
        dims = pad_dims((ny, nx, 1, count) + (1,) * (SLICE - BEYOND) + (slices,))
        return cls(path, dims, None if mask is None else mask.reshape(1, -1) != 0)

    def slice(self, place):
        """k-space at a place."""
        import h5py
        with naming_file(self.path), h5py.File(self.path) as file:
            return to_bart(file["kspace"][place[SLICE - BEYOND]]).astype(np.complex64)


CENTRAL_SLICES = 11


def central_slices(volume):
    """The slices of a fastMRI volume that are used, as in the paper: a range of at most CENTRAL_SLICES."""
    first = max(0, (len(volume) - CENTRAL_SLICES) // 2)
    return range(first, min(first + CENTRAL_SLICES, len(volume)))
