"""Data for comparisons: k-space with a reference image, images to simulate k-space from, and sampling masks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import from_bart
from ..arrays.rounding import as_mask
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from .fastmri import central_slices
from .file_kind import kind_of
from .hdf5 import read_hdf5
from .kspace import load
from .npz import read_npz

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
        yield _scan(path, path.stem, from_bart(load(path)[0]))


def read_masks(path: str | Path, data: str) -> Iterator[tuple[str, Array]]:
    """Read (name, mask) of all masks for a data set in an npz file: the arrays named <data>__<name>."""
    for key, mask in sorted(read_npz(Path(path), lambda key: key.split("__")[0] == data).items()):
        if mask.ndim != 2 or mask.dtype.kind not in "biuf":
            raise ValueError(f"{path}: expected a mask (y, x) in {key}, got {mask.dtype} {mask.shape}")
        yield "-".join(key.split("__")[1:]), as_mask(mask, f"{path}: {key}")


def _read_npz(path: Path) -> Iterator[ReferenceScan | ReferenceImage]:
    arrays = read_npz(path, lambda name: name in ("images", "kspace", "reference"))
    if "images" in arrays:
        images = arrays["images"]
        if images.ndim != 3 or images.dtype.kind not in "cfiu":
            raise ValueError(f"{path}: expected images (n, y, x), got {images.dtype} {images.shape}")
        for number, image in enumerate(images):
            yield ReferenceImage(f"{path.stem}-{number}", _of_maximum_1(path, image), number)
    elif "kspace" in arrays:
        yield _scan(path, path.stem, arrays["kspace"], arrays.get("reference"))
    else:
        raise ValueError(f"{path}: expected an array kspace or images, got neither")


def _read_fastmri(path: Path) -> Iterator[ReferenceScan]:
    """Read the central slices of a volume, each scaled to maximum 1 in k-space."""
    shape = read_hdf5(path, lambda file: file["kspace"].shape if "kspace" in file else None)
    if shape is None:
        raise ValueError(f"{path}: expected a fastMRI file with kspace")
    if len(shape) not in (3, 4) or shape[-1] not in FASTMRI_WIDTHS:
        widths = " or ".join(map(str, FASTMRI_WIDTHS))
        raise ValueError(f"{path}: expected (slice, coil, y, x) with a width of {widths}, got {shape}")
    for number in central_slices(range(shape[0])):
        kspace = read_hdf5(path, partial(_slice, number=number)).astype(np.complex64)
        yield _scan(path, f"{path.stem}-{number}", _of_maximum_1(path, kspace[None] if kspace.ndim == 2 else kspace))


def _slice(file: Any, number: int) -> Array:
    kspace: Array = file["kspace"][number]
    return kspace


def _scan(path: Path, name: str, kspace: Array, reference: Array | None = None) -> ReferenceScan:
    """Return a scan; its reference is the given one, or else the root sum of squares of fully sampled k-space.

    Raises ValueError if k-space and reference are not those of one slice.
    """
    if kspace.ndim != 3 or kspace.dtype.kind != "c":
        raise ValueError(f"{path}: expected complex k-space (coil, y, x), got {kspace.dtype} {kspace.shape}")
    if not np.isfinite(kspace).all():
        raise ValueError(f"{path}: expected finite samples, got NaN or infinite ones")
    if reference is None:
        if not is_full(kspace):
            raise ValueError(f"{path}: expected a reference or fully sampled k-space, got neither")
        reference = rss(ifft2c(kspace))
    if reference.shape != kspace.shape[1:] or reference.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected a real reference {kspace.shape[1:]},"
                         f" got {reference.dtype} {reference.shape}")
    return ReferenceScan(name, kspace, _of_maximum_1(path, reference).astype(np.float32))


def is_full(kspace: Array) -> bool:
    """Return whether k-space counts as fully sampled, so that its root sum of squares is a reference."""
    return bool((kspace == 0).all(0).mean() <= LARGEST_EMPTY_PART)


def _of_maximum_1(path: Path, array: Array) -> Array:
    """Scale an array to maximum magnitude 1.  Raises ValueError if it is zero or not finite."""
    largest = np.abs(array).max(initial=0)
    if not (np.isfinite(largest) and largest > 0):
        raise ValueError(f"{path}: expected finite values that are not all zero, got a largest magnitude of {largest}")
    return array / largest
