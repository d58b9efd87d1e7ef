"""Images for training, from HDF5, npy, npz and BART's files, with their source and licence."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from .cfl import read
from .fastmri import central_slices
from .file_kind import ENDINGS, kind_of
from .hdf5 import read_hdf5
from .npz import map_npy, read_npz

BART_HEADERS = (".hdr", ".ra")  # In a folder, the .hdr stands for the pair.
ACQUISITIONS = {"CORPD": "CORPD_FBK", "CORPDFS": "CORPDFS_FBK"}  # fastMRI's names of the knee acquisitions.
NO_LICENCE = "not stated"


@dataclass(frozen=True)
class ImageStack:
    """Images (n, ny, nx), real or complex, from one array of a file; `name` names the file and the array."""

    name: str
    images: Array
    source: str
    licence: str


def find_image_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return the given files, and the files of a known kind in the given folders, in a fixed order.

    Raises FileNotFoundError if a path does not exist.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        header = Path(f"{path}.hdr")
        if path.is_dir():
            found += [Path(folder, name) for folder, _, names in sorted(os.walk(path)) for name in sorted(names)
                      if Path(name).suffix.lower() in ENDINGS or name.endswith(BART_HEADERS)]
        elif path.exists() or header.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"images: {path}: no such file or folder")
    return found


def read_images(path: Path, acquisition: str | None = None) -> Iterator[ImageStack]:
    """Read every numeric array of two or more dimensions in a file; the last two axes (BART: the first two) are y, x.

    HDF5 files may be nested.  Of a fastMRI volume only the central slices of `reconstruction_rss` are read.
    The kind of the file is that of its content.  Raises ValueError for a fastMRI volume of another acquisition than the
    given one and for a damaged file, and OSError for one that cannot be opened.
    """
    kind = kind_of(path)
    if kind == "hdf5":
        yield from read_hdf5(path, lambda file: _stacks(path, file, acquisition))
    elif kind == "npy":
        yield from _stack(str(path), map_npy(path).array)
    elif kind == "npz":
        for key, array in read_npz(path).items():
            yield from _stack(f"{path}:{key}", array)
    else:
        yield from _stack(str(path), np.moveaxis(read(path), (0, 1), (-2, -1)))


def _stack(name: str, array: Array, source: str = "", licence: str = NO_LICENCE) -> list[ImageStack]:
    """Return an array as a stack of images, or nothing if it holds no images."""
    if array.dtype.kind not in "fciu" or array.ndim < 2 or not array.size:
        return []
    return [ImageStack(name, array.reshape(-1, *array.shape[-2:]), source or name, licence)]


def _stacks(path: Path, file: Any, acquisition: str | None) -> list[ImageStack]:
    """Read the images of an open HDF5 file."""
    import h5py
    if "reconstruction_rss" in file:
        return _fastmri_stack(path, file, acquisition)
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    stacks = []
    for name in sorted(names):
        if (dataset := file[name]).dtype.kind in "fciu":
            stacks += _stack(f"{path}:{name}", dataset[()], str(dataset.attrs.get("source", "")),
                             str(dataset.attrs.get("licence", NO_LICENCE)))
    return stacks


def _fastmri_stack(path: Path, file: Any, acquisition: str | None) -> list[ImageStack]:
    found = file.attrs.get("acquisition", "")
    if acquisition and found != ACQUISITIONS.get(acquisition, acquisition):
        raise ValueError(f"{path}: acquisition {found}")
    volume = file["reconstruction_rss"]
    used = central_slices(volume)
    return _stack(str(path), volume[used.start:used.stop], f"fastMRI {path.name}", "fastMRI")
