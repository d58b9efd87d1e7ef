"""Data for comparisons: k-space with a reference image, images to simulate k-space from, and sampling masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import from_bart
from ..arrays.rounding import as_mask
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from .fastmri import central_slices
from .file_kind import kind_of
from .kspace import load

FASTMRI_WIDTHS = (368, 372)   # As in the paper, only volumes of one of these widths are used.
LARGEST_EMPTY_PART = 0.05     # k-space counts as fully sampled if at most this part of it is zero in all coils.


@dataclass(frozen=True)
class ReferenceScan:
    """k-space (coil, y, x) and its reference, a magnitude image (y, x) of maximum 1."""

    name: str
    kspace: Array
    reference: Array


@dataclass(frozen=True)
class ReferenceImage:
    """A complex image (y, x) of maximum magnitude 1, and its number in the file."""

    name: str
    image: Array
    number: int


def read_references(path: Path) -> Iterator[ReferenceScan | ReferenceImage]:
    """Read the scans or images of an npz file (`kspace` or `images`), a fastMRI file, an npy file or an array of BART.

    The reference is the array `reference` of an npz file, or else the root sum of squares of the k-space, which must
    then be fully sampled.  Raises ValueError for a file without data or without reference.
    """
    kind = kind_of(path)
    if kind == "npz":
        yield from _read_npz(path)
    elif kind == "hdf5":
        yield from _read_fastmri(path)
    else:
        kspace = from_bart(load(path)[0])
        yield ReferenceScan(path.stem, kspace, _normalized(_root_sum_of_squares(path, kspace)))


def read_masks(path: str | Path, data: str) -> Iterator[tuple[str, Array]]:
    """Read (name, mask) of all masks for a data set in an npz file: the arrays named <data>__<name>."""
    with np.load(path) as file:
        for key in sorted(key for key in file if key.split("__")[0] == data):
            yield "-".join(key.split("__")[1:]), as_mask(file[key], f"{path}: {key}")


def _read_npz(path: Path) -> Iterator[ReferenceScan | ReferenceImage]:
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    if "images" in arrays:
        for number, image in enumerate(arrays["images"]):
            yield ReferenceImage(f"{path.stem}-{number}", image / np.abs(image).max(), number)
    elif "kspace" in arrays:
        kspace, reference = arrays["kspace"], arrays.get("reference")
        reference = _root_sum_of_squares(path, kspace) if reference is None else reference
        yield ReferenceScan(path.stem, kspace, _normalized(reference))
    else:
        raise ValueError(f"{path}: expected an array kspace or images, got {', '.join(arrays) or 'none'}")


def _read_fastmri(path: Path) -> Iterator[ReferenceScan]:
    """Read the central slices of a volume, each scaled to maximum 1 in k-space."""
    import h5py
    with h5py.File(path) as file:
        if "kspace" not in file:
            raise ValueError(f"{path}: expected a fastMRI file with kspace")
        volume = file["kspace"]
        if volume.shape[-1] not in FASTMRI_WIDTHS:
            widths = " or ".join(map(str, FASTMRI_WIDTHS))
            raise ValueError(f"{path}: expected a width of {widths}, got {volume.shape[-1]}")
        for number in central_slices(volume):
            kspace = volume[number].astype(np.complex64)
            kspace = kspace[None] if kspace.ndim == 2 else kspace
            yield ReferenceScan(f"{path.stem}-{number}", kspace / np.abs(kspace).max(),
                                _normalized(_root_sum_of_squares(path, kspace)))


def _root_sum_of_squares(path: Path, kspace: Array) -> Array:
    """Return the root sum of squares of the coil images.  Raises ValueError unless k-space is fully sampled."""
    if (kspace == 0).all(0).mean() > LARGEST_EMPTY_PART:
        raise ValueError(f"{path}: expected a reference or fully sampled k-space, got neither")
    return rss(ifft2c(kspace))


def _normalized(reference: Array) -> Array:
    return (reference / reference.max()).astype(np.float32)
