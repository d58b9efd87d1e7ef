"""The format of the files of a volume: the arrays in them, and the bytes that belong to each slice."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, COIL
from ..files.cfl import header_text, paths_of
from ..files.outputs import OTHER_ENDINGS
from ..reconstruction import layout


@dataclass(frozen=True)
class Extent:
    """A range of bytes of a file."""

    path: Path
    offset: int
    size: int


def array_files(name: str | Path, sampled: bool) -> dict[str, Path]:
    """Return {name of an array: its file}, as `FileLayout` describes them.  Raises ValueError for another ending."""
    keys = ("image", "sens", "std") if sampled else ("image", "sens")
    if Path(name).suffix == ".h5":
        return dict.fromkeys(keys, Path(name))
    if Path(name).suffix.lower() in {".ra", *OTHER_ENDINGS}:
        raise ValueError(f"output {name}: expected a name that ends in .h5, or that of BART's cfl")
    first = paths_of(name)[-1]
    return {key: first if key == "image" else first.with_name(f"{first.stem}_{key}.cfl") for key in keys}


def manifest_of(path: Path) -> Path:
    """Return the name of the manifest beside the first file of a volume."""
    return path.with_name(path.name + ".manifest")


class FileLayout:
    """The files with image, sensitivities and, if `sampled`, standard deviation of all slices.

    shape: shape of the k-space in BART's order.
    name: a name that ends in .h5 means one HDF5 file with image and std (…, y, x) and sens (…, coil, y, x).  Any other
        name means BART's files OUT, OUT_sens, OUT_std, with the dimensions in BART's order.
    The attributes are keys, the names of the arrays; paths, {key: file}; and files, each file once.
    Raises ValueError for another ending.
    """

    def __init__(self, name: str | Path, shape: Shape, sampled: bool) -> None:
        self.shape, self.is_hdf5, self.paths = shape, Path(name).suffix == ".h5", array_files(name, sampled)
        self.keys = tuple(self.paths)
        self._loop, self._plane = shape[BEYOND:], tuple(shape[axis] for axis in layout.grid_axes(shape))
        self.files = tuple(dict.fromkeys(self.paths.values()))
        self._first_slices: dict[str, Extent] = {}
        self._frames: dict[Path, list[tuple[int, bytes]]] = {}

    def create(self, path: Path, template: Path) -> None:
        """Create `template`, an empty file of the right size for `path`, and note the place of the slices in it.

        The file takes no space on the disk yet.
        """
        count = int(np.prod(self._loop))
        if self.is_hdf5:
            self._create_hdf5(path, template, count)
        else:
            key = next(key for key, file in self.paths.items() if file == path)
            size = 8 * int(np.prod(self._plane)) * self._coils(key)
            self._first_slices[key], self._frames[path] = Extent(path, 0, size), []
            with open(template, "wb") as file:
                file.truncate(size * count)

    def _create_hdf5(self, path: Path, template: Path, count: int) -> None:
        import h5py
        taken = []
        with h5py.File(template, "w") as file:
            for key in self.keys:
                dtype, coils = np.dtype("<f4" if key == "std" else "<c8"), (self._coils(key),) * (key == "sens")
                creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
                creation.set_obj_track_times(False)
                shape = (*(n for n in self._loop if n > 1), *coils, *self._plane)
                offset = file.create_dataset(key, shape, dtype, dcpl=creation).id.get_offset()
                size = dtype.itemsize * int(np.prod(shape))
                self._first_slices[key] = Extent(path, offset, size // count)
                taken.append((offset, offset + size))
        with open(template, "rb") as opened:
            bounds = [0, *(bound for pair in sorted(taken) for bound in pair), template.stat().st_size]
            self._frames[path] = [(start, os.pread(opened.fileno(), stop - start, start))
                                  for start, stop in zip(bounds[::2], bounds[1::2])]

    def _coils(self, key: str) -> int:
        return self.shape[COIL] if key == "sens" else 1

    def frame(self, path: Path) -> list[tuple[int, bytes]]:
        """Return (offset, content) of the parts of a file that belong to no slice."""
        return self._frames[path]

    def headers(self) -> Iterator[tuple[Path, bytes]]:
        """Yield (file, content) of the headers of BART's files."""
        for key, path in () if self.is_hdf5 else self.paths.items():
            text = header_text((*self.shape[:COIL], self._coils(key), *self._loop))
            yield path.with_suffix(".hdr"), text.encode()

    def extent(self, key: str, number: int) -> Extent:
        """Return the range of bytes that an array of a slice fills in its file."""
        first = self._first_slices[key]
        if not self.is_hdf5:  # BART's arrays are column-major in the loop, too.
            number = int(np.ravel_multi_index(np.unravel_index(number, self._loop), self._loop, order="F"))
        return Extent(first.path, first.offset + number * first.size, first.size)

    def encode(self, key: str, array: Array | None) -> bytes:
        """Return the bytes of an array of a slice, which is as `recon` returns it; None stands for NaN."""
        if array is None:
            return np.full(self._first_slices[key].size // 4, np.nan, "<f4").tobytes()
        if not self.is_hdf5:
            return np.asarray(array, "<c8").tobytes(order="F")
        return np.asarray(layout.slices(array), "<f4" if key == "std" else "<c8").tobytes(order="C")
