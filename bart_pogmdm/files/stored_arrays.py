"""Any file that the package can read, as an array in BART's dimensions: k-space, images, or one that does not say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import DIMS, pad_dims, to_bart
from .cfl import read
from .dicom_input import read_dicom
from .file_kind import kind_of
from .hdf5 import read_hdf5
from .image_origin import IMAGE, SAMPLES, SENS, STD, Origin
from .ismrmrd_acquisitions import groups_with_data
from .ismrmrd_image_files import image_groups, read_ismrmrd_images
from .kspace import open_kspace, read_whole
from .nifti_input import read_nifti
from .npz import map_npy, read_npz

KSPACE, UNKNOWN = "k-space", "array"  # Kinds of content beside images.


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array in BART's dimensions.

    kind: image, k-space, or array where the file does not say which.  pattern: the sampling pattern of k-space.
    """

    kind: str
    array: Array
    origin: Origin
    pattern: Array | None = None


def read_any(name: str, measurement: str | None = None) -> StoredArray:
    """Read a file, or a folder of DICOM files.

    Raises FileNotFoundError, ValueError for a damaged file or one of another kind, and ImportError without the package
    that it needs.
    """
    found = _images(name)
    if found is not None and measurement is not None:
        raise ValueError(f"measurement: goes with raw data of ISMRMRD and TWIX, and {name} holds images")
    if found is not None:
        return found
    kind, path = kind_of(name), Path(name)
    if kind in ("bart", "npy") and measurement is None:
        array = read(name) if kind == "bart" else _in_bart_order(path, map_npy(path).array)
        return StoredArray(UNKNOWN, array, Origin())
    file = open_kspace(name, measurement)
    kspace, pattern = read_whole(file)
    return StoredArray(KSPACE, kspace, Origin(file.geometry, file.tags), pattern)


def _images(name: str) -> StoredArray | None:
    """Read a file whose format or content says that it holds images; None for others."""
    path = Path(name)
    if path.name.lower().endswith((".nii", ".nii.gz")):
        array, geometry = read_nifti(path)
        return StoredArray(IMAGE, array, Origin(geometry))
    if path.is_dir() or path.suffix.lower() == ".dcm":
        array, geometry = read_dicom(path)
        return StoredArray(IMAGE, array, Origin(geometry))
    kind = kind_of(name)
    if kind == "hdf5" and _holds_images(path):
        array, geometry = read_ismrmrd_images(path)
        return StoredArray(IMAGE, array, Origin(geometry))
    if kind == "npz" and (images := read_npz(path, lambda word: word in (IMAGE, SENS, STD, SAMPLES))):
        if len(images) > 1:
            raise ValueError(f"{path}: expected one array of images, got {', '.join(images)}")
        return StoredArray(IMAGE, _in_bart_order(path, next(iter(images.values()))), Origin())
    return None


def _holds_images(path: Path) -> bool:
    return read_hdf5(path, lambda file: bool(image_groups(file)) and not groups_with_data(file))


def _in_bart_order(path: Path, array: Array) -> Array:
    """Return an array of NumPy's order, (y, x), (coil, y, x) or BART's, with BART's dimensions, real or complex64."""
    if array.dtype.kind not in "fciu" or not 2 <= array.ndim <= len(DIMS):
        raise ValueError(f"{path}: expected numbers in 2 to {len(DIMS)} dimensions, got {array.dtype} {array.shape}")
    array = np.asarray(array, np.complex64 if array.dtype.kind == "c" else np.float32)
    array = array if array.ndim > 3 else to_bart(array)
    return array.reshape(pad_dims(array.shape), order="F")
