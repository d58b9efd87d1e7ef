"""The output of a volume: files that have their full size from the beginning, and are filled slice by slice.

They are named OUT.partial until all slices are written.  Their bytes do not depend on the order of the slices.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ..arrays.array_types import Array, Shape
from ..files.atomic import naming
from .file_layout import FileLayout

SUFFIX = ".partial"


class Output:
    """The files with the reconstruction of k-space of a shape; see `FileLayout`.

    It is a context manager, which closes the files.  Methods raise OSError that names the output.
    """

    def __init__(self, name: str | Path, shape: Shape, sampled: bool) -> None:
        self.name, self._layout = Path(name), FileLayout(name, shape, sampled)
        self._descriptors: dict[Path, int] = {}
        self._open = ExitStack()

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def manifest(self) -> Path:
        """The name of the manifest, beside the first file."""
        first = self._layout.files[0]
        return first.with_name(first.name + ".manifest")

    def check(self, inputs: Iterable[Path]) -> None:
        """Raise ValueError if the output would overwrite an input, and OSError if it cannot be written."""
        taken = {path.resolve() for path in inputs}
        for path in self._layout.files:
            if path.resolve() in taken:
                raise ValueError(f"output {self.name} would overwrite the input")
            if not path.parent.is_dir():
                raise FileNotFoundError(f"output {self.name}: the folder {path.parent} does not exist")
            if path.is_dir():
                raise IsADirectoryError(f"output {self.name}: {path} is a folder")

    def prepare(self, anew: bool) -> None:
        """Open files of the right size; existing files of either name are kept unless `anew` is set."""
        with naming(self.name):
            for path in self._layout.files:
                template, present = path.with_name(path.name + ".layout"), _present(path)
                try:
                    self._layout.create(path, template)
                    if anew or not present.exists() or present.stat().st_size != template.stat().st_size:
                        _reserve(template)
                        os.replace(template, _partial(path))
                        _sync_folder(path)
                except RuntimeError as error:  # HDF5 raises it if it cannot write.
                    raise OSError(str(error)) from None
                finally:
                    template.unlink(missing_ok=True)
                self._descriptors[path] = descriptor = os.open(_present(path), os.O_RDWR)
                self._open.callback(os.close, descriptor)

    def _damage(self) -> list[tuple[int, int, bytes]]:
        """Return (descriptor, offset, right content) of the damaged parts between slices."""
        return [(descriptor, offset, content) for path, descriptor in self._descriptors.items()
                for offset, content in self._layout.frame(path)
                if os.pread(descriptor, len(content), offset) != content]

    @property
    def is_finished(self) -> bool:
        """True if every file has its final name, and no part between slices is damaged."""
        headers = all(path.exists() and path.read_bytes() == text for path, text in self._layout.headers())
        return headers and not self._damage() and not any(_partial(path).exists() for path in self._layout.files)

    def reopen(self) -> None:
        """Give the files their partial names again and repair the parts between slices, before slices are written."""
        with naming(self.name):
            for path in self._layout.files:
                if not _partial(path).exists():
                    os.replace(path, _partial(path))
                    _sync_folder(path)
            for descriptor, offset, content in self._damage():
                _write(descriptor, content, offset)

    def digests(self, number: int) -> dict[str, str]:
        """Return {name of an array: SHA-256 of the bytes of a slice in the file}."""
        found = {}
        with naming(self.name):
            for key in self._layout.keys:
                extent = self._layout.extent(key, number)
                content = os.pread(self._descriptors[extent.path], extent.size, extent.offset)
                found[key] = hashlib.sha256(content).hexdigest()
        return found

    def write(self, number: int, arrays: Mapping[str, Array | None] | None) -> dict[str, str]:
        """Write a slice, wait until it is on the disk, and return its digests.

        arrays: as `recon` returns them; None stands for NaN.
        """
        digests = {}
        with naming(self.name):
            for key in self._layout.keys:
                extent = self._layout.extent(key, number)
                content = self._layout.encode(key, arrays[key] if arrays else None)
                _write(self._descriptors[extent.path], content, extent.offset)
                digests[key] = hashlib.sha256(content).hexdigest()
            for descriptor in self._descriptors.values():
                os.fsync(descriptor)
        return digests

    def finish(self) -> None:
        """Give every file its final name."""
        with naming(self.name):
            for path, content in self._layout.headers():
                with open(_partial(path), "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(_partial(path), path)
            for path in self._layout.files:
                if _partial(path).exists():
                    os.fsync(self._descriptors[path])
                    os.replace(_partial(path), path)
                _sync_folder(path)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _present(path: Path) -> Path:
    """Return the partial name of a file if a file has it, and otherwise the final name."""
    return _partial(path) if _partial(path).exists() else path


def _reserve(path: Path) -> None:
    """Reserve the space of a file on the disk, so that a lack of space is noticed before the first slice."""
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
        os.fsync(file.fileno())


def _write(descriptor: int, content: bytes, offset: int) -> None:
    """Write all bytes at an offset; the system may take fewer at a time."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(path: Path) -> None:
    """Write the names in the folder of `path` to the disk, so that they survive a power cut."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
