"""The output of a volume: one HDF5 file, or BART's cfl, laid out at once, in which each slice is a range of bytes.

Until all is there it is named OUT.partial.  Bytes depend on the slices only, not on the order of their coming.
"""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays import bart_dims
from ..arrays.bart_dims import COIL
from ..files.atomic import naming
from ..files.cfl import header_text, paths_of
from ..reconstruction import layout

SUFFIX = ".partial"


@dataclass(frozen=True)
class Extent:
    """Where in its file the slices of an array lie, one after the other: `bytes` each."""

    path: Path
    offset: int
    bytes: int


class Output:
    """Image, sensitivities and, with `sampled`, standard deviation of all slices of k-space `shape` in BART's order.

    HDF5 (a name that ends in .h5): image and std (…, y, x), sens (…, coil, y, x); else cfl: OUT, OUT_sens, OUT_std in
    BART's order.  To be entered; raises OSError that names the output.
    """

    def __init__(self, name, shape, sampled):
        self.name, self.shape, self.is_hdf5 = Path(name), shape, Path(name).suffix == ".h5"
        self.names = ("image", "sens", "std") if sampled else ("image", "sens")
        self._loop, self._plane = shape[bart_dims.BEYOND:], tuple(shape[axis] for axis in layout.plane_axes(shape))
        stem = self.name if self.is_hdf5 else paths_of(name)[-1]
        if stem.suffix not in (".h5", ".cfl"):
            raise ValueError(f"output {name}: expected a name that ends in .h5, or that of BART's cfl")
        self._paths = {key: stem if self.is_hdf5 or key == "image" else stem.with_name(f"{stem.stem}_{key}.cfl")
                       for key in self.names}
        self.files = tuple(dict.fromkeys(self._paths.values()))
        self._extents, self._frames, self._descriptors = {}, {}, {}
        self._open = ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._open.close()

    @property
    def manifest(self):
        """The name of the manifest, beside the first file."""
        return self.files[0].with_name(self.files[0].name + ".manifest")

    def check(self, inputs):
        """Refuse names that cannot be written, or that would overwrite an input (ValueError, OSError)."""
        taken = {path.resolve() for path in inputs}
        for path in self.files:
            if path.resolve() in taken:
                raise ValueError(f"output {self.name} would overwrite the input")
            if not path.parent.is_dir():
                raise FileNotFoundError(f"output {self.name}: the folder {path.parent} does not exist")
            if path.is_dir():
                raise IsADirectoryError(f"output {self.name}: {path} is a folder")

    def prepare(self, anew):
        """Have a file of the right size, under either name; what was there before is kept unless `anew`."""
        with naming(self.name):
            for path in self.files:
                template, here = path.with_name(path.name + ".layout"), self._current(path)
                try:
                    self._lay_out(path, template)
                    if anew or not here.exists() or here.stat().st_size != template.stat().st_size:
                        _reserve(template)
                        os.replace(template, _partial(path))
                        _sync_folder(path)
                except RuntimeError as error:  # of HDF5
                    raise OSError(str(error)) from None
                finally:
                    template.unlink(missing_ok=True)
                self._descriptors[path] = descriptor = os.open(self._current(path), os.O_RDWR)
                self._open.callback(os.close, descriptor)

    def _current(self, path):
        """The file under the name it has now."""
        return _partial(path) if _partial(path).exists() else path

    def _lay_out(self, path, template):
        """Make a template of the file, of the right size, and note where the slices lie; it takes no space yet."""
        count = int(np.prod(self._loop))
        if not self.is_hdf5:
            key = next(key for key, of in self._paths.items() if of == path)
            size = 8 * int(np.prod(self._plane)) * self._coils(key)
            self._extents[key], self._frames[path] = Extent(path, 0, size), []
            with open(template, "wb") as file:
                file.truncate(size * count)
            return
        import h5py
        taken = []
        with h5py.File(template, "w") as file:
            for key in self.names:
                dtype, coils = np.dtype("<f4" if key == "std" else "<c8"), (self._coils(key),) * (key == "sens")
                creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
                creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
                creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
                creation.set_obj_track_times(False)
                shape = (*(n for n in self._loop if n > 1), *coils, *self._plane)
                offset = file.create_dataset(key, shape, dtype, dcpl=creation).id.get_offset()
                size = dtype.itemsize * int(np.prod(shape))
                self._extents[key] = Extent(path, offset, size // count)
                taken.append((offset, offset + size))
        with open(template, "rb") as file:  # what is not of a slice
            bounds = [0, *(bound for pair in sorted(taken) for bound in pair), template.stat().st_size]
            self._frames[path] = [(start, os.pread(file.fileno(), stop - start, start))
                                  for start, stop in zip(bounds[::2], bounds[1::2])]

    def _coils(self, key):
        return self.shape[COIL] if key == "sens" else 1

    def _damage(self):
        """(descriptor, offset, content) of what is not as it must be between the slices."""
        return [(descriptor, offset, content) for path, descriptor in self._descriptors.items()
                for offset, content in self._frames[path] if os.pread(descriptor, len(content), offset) != content]

    @property
    def is_finished(self):
        """Whether every file has its own name, and is as it must be between the slices."""
        headers = all(path.exists() and path.read_bytes() == text for path, text in self._headers())
        return headers and not self._damage() and not any(_partial(path).exists() for path in self.files)

    def _headers(self):
        """(file, content) of what stands beside the samples of BART's files."""
        for key, path in () if self.is_hdf5 else self._paths.items():
            text = header_text((*self.shape[:COIL], self._coils(key), *self._loop))
            yield path.with_suffix(".hdr"), text.encode()

    def reopen(self):
        """To be called before slices are written: the partial name again, and no damage between the slices."""
        with naming(self.name):
            for path in self.files:
                if not _partial(path).exists():
                    os.replace(path, _partial(path))
                    _sync_folder(path)
            for descriptor, offset, content in self._damage():
                _write(descriptor, content, offset)

    def _place(self, key, number):
        """(descriptor, offset, bytes) of a slice."""
        extent = self._extents[key]
        if not self.is_hdf5:  # column-major, the loop as well
            number = np.ravel_multi_index(np.unravel_index(number, self._loop), self._loop, order="F")
        return self._descriptors[extent.path], extent.offset + int(number) * extent.bytes, extent.bytes

    def digests(self, number):
        """{name: SHA-256 of the bytes of a slice} as they are in the file."""
        found = {}
        with naming(self.name):
            for key in self.names:
                descriptor, offset, size = self._place(key, number)
                found[key] = hashlib.sha256(os.pread(descriptor, size, offset)).hexdigest()
        return found

    def write(self, number, arrays):
        """Store a slice, arrays as `recon` returns them or None for NaN, to stay; returns its digests."""
        digests = {}
        with naming(self.name):
            for key in self.names:
                descriptor, offset, size = self._place(key, number)
                content = self._content(key, arrays[key]) if arrays else np.full(size // 4, np.nan, "<f4").tobytes()
                _write(descriptor, content, offset)
                digests[key] = hashlib.sha256(content).hexdigest()
            for descriptor in self._descriptors.values():
                os.fsync(descriptor)
        return digests

    def _content(self, key, array):
        if not self.is_hdf5:
            return np.asarray(array, "<c8").tobytes(order="F")
        return np.asarray(layout.slices(array), "<f4" if key == "std" else "<c8").tobytes(order="C")

    def finish(self):
        """Every file under its own name."""
        with naming(self.name):
            for path, content in self._headers():
                with open(_partial(path), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(_partial(path), path)
            for path in self.files:
                if _partial(path).exists():
                    os.fsync(self._descriptors[path])
                    os.replace(_partial(path), path)
                _sync_folder(path)


def _partial(path):
    return path.with_name(path.name + SUFFIX)


def _reserve(path):
    """Take the space that the file needs: a disk that is too small is noticed before the first slice."""
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
        os.fsync(file.fileno())


def _write(descriptor, content, offset):
    """All bytes at an offset; the system may take fewer at a time."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(path):
    """Have the names in the folder of `path` survive a power cut."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
