"""k-space from a file of any supported kind, whole or slice by slice, always in BART's order."""

import math
from pathlib import Path
from typing import Protocol

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, index_of
from .cfl import SAMPLE_BYTES, locate
from .fastmri import FastmriFile
from .file_kind import kind_of
from .geometry import Geometry
from .hdf5 import read_hdf5
from .ismrmrd import sort
from .ismrmrd_acquisitions import StoredAcquisitions, groups_with_data
from .mapped import ArrayLayout, MappedArray, MappedKspace
from .npz import open_npy, open_npz
from .reading import check_bytes, reading
from .twix import TwixAcquisitions

# An HDF5 file may hold k-space of this many times its size: undersampled scans, in 3-D in two directions, store the
# acquired lines only.
LARGEST_FACTOR = 32


class KspaceFile(Protocol):
    """An open file of k-space."""

    @property
    def shape(self) -> Shape:
        """The 16 sizes of k-space in BART's order."""

    @property
    def pattern(self) -> Array | None:
        """The sampling pattern, which broadcasts to k-space, or None if the file has none."""

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """Sides of a voxel of a volume along READ, PHS1 and PHS2, or None if the file does not say them."""

    @property
    def geometry(self) -> tuple[Geometry, ...] | None:
        """The place in the patient of each slice along SLICE, or of the volume; None if the file does not say it."""

    @property
    def tags(self) -> dict[str, str]:
        """{keyword of DICOM: value} of the scan and the patient, as far as the file says them."""

    def slice(self, place: Shape) -> Array:
        """Read k-space (READ, PHS1, PHS2, COIL), complex64, at a place in the dimensions beyond COIL."""


def load(name: str | Path, measurement: str | None = None) -> tuple[Array, Array | None]:
    """Read (kspace, pattern) from a file: npz, npy, HDF5 (fastMRI, ISMRMRD) or TWIX by its content, or one of BART.

    kspace is complex64 with 16 dimensions in BART's order.  The pattern is None if the file has none; then samples
    that are not zero, up to rounding, count as measured.  An npz file holds `kspace` and optionally `mask`.  Arrays of
    two or three dimensions are (y, x) or (coil, y, x), others in BART's order.
    measurement: one of several in a file, in TWIX its number from 1 (None: the last), in ISMRMRD the name of its group.
    Raises FileNotFoundError, or ValueError for a file without k-space, and ImportError for TWIX without twixtools.
    """
    return read_whole(open_kspace(name, measurement))


def read_whole(file: KspaceFile) -> tuple[Array, Array | None]:
    """Read (kspace, pattern) from an open file, as `load` does."""
    kspace = np.empty(file.shape, np.complex64, order="F")
    for place in np.ndindex(file.shape[BEYOND:]):
        kspace[index_of(place)] = file.slice(place)
    return kspace, file.pattern


def open_kspace(name: str | Path, measurement: str | None = None) -> KspaceFile:
    """Open a file that `load` can read, to read it slice by slice.  Raises the same errors as `load`."""
    kind, path = kind_of(name), Path(name)
    if kind == "twix":
        return sort(TwixAcquisitions.of(path, measurement))
    if kind == "hdf5":
        return _open_hdf5(path, measurement)
    if measurement is not None:
        raise ValueError(f"measurement: goes with raw data of ISMRMRD and TWIX, and {name} is a file of"
                         f" {'BART' if kind == 'bart' else kind}")
    if kind == "bart":
        return _open_bart(name)
    return open_npz(path) if kind == "npz" else open_npy(path)


def _open_bart(name: str | Path) -> KspaceFile:
    path, shape, offset = locate(name)
    with open(path, "rb") as file:
        stored = MappedArray.of(file, ArrayLayout(np.dtype("<c8"), offset, shape, column_major=True))
    return MappedKspace(stored, None)


def _open_hdf5(path: Path, measurement: str | None) -> KspaceFile:
    """Open a fastMRI or ISMRMRD file; its datasets show which of the two it is."""
    is_fastmri, is_ismrmrd, is_ours = read_hdf5(path, lambda file: (
        "kspace" in file, bool(groups_with_data(file)), "image" in file and "sens" in file))
    if is_ours:
        raise ValueError(f"{path}: it holds images of `bart-pogmdm volume`, which other commands read from BART's files"
                         " only: give volume an output without .h5")
    if is_fastmri == is_ismrmrd:
        raise ValueError(f"{path}: expected `kspace` (fastMRI) or a group with `xml` and `data` (ISMRMRD) in the file,"
                         f" got {'both' if is_fastmri else 'neither'}")
    if is_fastmri and measurement is not None:
        raise ValueError(f"measurement: goes with raw data of ISMRMRD and TWIX, and {path} is of fastMRI")
    found: KspaceFile = FastmriFile.of(path) if is_fastmri else sort(StoredAcquisitions.of(path, measurement))
    with reading(path):
        check_bytes(SAMPLE_BYTES * math.prod(found.shape), path, LARGEST_FACTOR)
    return found
