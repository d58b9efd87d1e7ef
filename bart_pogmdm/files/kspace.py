"""k-space in files of other makers, in BART's order, whole or by slices: npz, npy, fastMRI's and ISMRMRD's HDF5."""

from pathlib import Path

import numpy as np

from ..arrays.bart_dims import BEYOND
from .cfl import locate
from .fastmri import FastMRI
from .ismrmrd import Raw
from .stored import Stored, mapped, naming_file, open_npy, open_npz


def load(name):
    """(kspace, pattern) of a file, by its ending: npz, npy, h5; all else is BART's own.

    kspace is in BART's order, complex64; the pattern is None where the file has none: sampled where k-space is not
    zero.  npz: `kspace` and, optionally, `mask`; arrays of up to three dimensions are (coil, y, x), others in BART's
    order.  Raises FileNotFoundError, ImportError (ISMRMRD), or ValueError for a file without k-space.
    """
    file = open_kspace(name)
    kspace = np.empty(file.shape, np.complex64, order="F")
    for place in np.ndindex(file.shape[BEYOND:]):
        kspace[(..., *place)] = file.slice(place)
    return kspace, file.pattern


def open_kspace(name):
    """What `load` reads, to be read a slice at a time.

    shape: of k-space in BART's order; pattern: that of the file, or None; slice(place): k-space (READ, PHS1, PHS2,
    COIL) at a place in the dimensions beyond COIL.  Raises what `load` raises.
    """
    reader = {".npz": open_npz, ".npy": open_npy, ".h5": _hdf5}.get(Path(name).suffix)
    if reader is not None:
        return reader(Path(name))
    path, shape, offset = locate(name)
    with open(path, "rb") as file:
        return Stored(mapped(file), np.dtype("<c8"), offset, shape, True, None)


def _hdf5(path):
    import h5py
    with naming_file(path), h5py.File(path) as file:
        names = [name for name in ("kspace", "dataset/xml", "dataset/data") if name in file]
    if names == ["kspace"]:
        return FastMRI.of(path)
    if names == ["dataset/xml", "dataset/data"]:
        return Raw.of(path)
    raise ValueError(f"{path}: expected `kspace` (fastMRI) or `dataset` (ISMRMRD) in the file, got neither")
