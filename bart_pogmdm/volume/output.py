"""The output of a volume: files that have their full size from the beginning, and are filled slice by slice.

They are named OUT.partial until all slices are written.  Their bytes do not depend on the order of the slices.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from ..arrays.array_types import Array, Shape
from ..files.atomic import adopt_permissions, behind_links, naming, write_bytes
from ..files.outputs import IsOwn, Target
from .file_layout import FileLayout, array_files, manifest_of
from .manifest import is_manifest

PARTIAL, TEMPLATE = ".partial", ".layout"  # Endings of a file in which slices are missing, and of one that is made.


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
    def keys(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return self._layout.keys

    @property
    def manifest(self) -> Path:
        """The name of the manifest, beside the first file."""
        return manifest_of(self._layout.files[0])

    def prepare(self, anew: bool) -> None:
        """Open files of the right size; existing files of either name are kept unless `anew` is set."""
        with naming(self.name), ExitStack() as templates:
            for path in self._layout.files:
                template = _beside(path, TEMPLATE)
                templates.callback(template.unlink, missing_ok=True)
                try:
                    self._layout.create(path, template)
                except RuntimeError as error:  # HDF5 raises it if it cannot write.
                    raise OSError(str(error)) from None
                if anew or not _fits(_present(path), template):
                    _reserve(template, behind_links(path))
                else:
                    template.unlink()
            for path in self._layout.files:  # Only now, because no file has changed if there is no space for all.
                if _beside(path, TEMPLATE).exists():
                    os.replace(_beside(path, TEMPLATE), _beside(path, PARTIAL))
                    _sync_folder(path)
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
        is_partial = any(_beside(path, PARTIAL).exists() for path in self._layout.files)
        return headers and not is_partial and not self._damage()

    def reopen(self) -> None:
        """Give the files their partial names again and repair the parts between slices, before slices are written."""
        with naming(self.name):
            for path in self._layout.files:
                if not _beside(path, PARTIAL).exists():
                    os.replace(behind_links(path), _beside(path, PARTIAL))
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
        for path, content in self._layout.headers():
            write_bytes(path, content)
        with naming(self.name):
            for path in self._layout.files:
                if _beside(path, PARTIAL).exists():
                    os.fsync(self._descriptors[path])
                    os.replace(_beside(path, PARTIAL), behind_links(path))
                _sync_folder(path)


def target_of(name: str | Path, sampled: bool, restart: bool) -> Target:
    """Return a volume as output for `check_outputs`.

    The arrays besides the image and the temporary files belong to an earlier run if there is a manifest; `restart` says
    that they may be overwritten anyway.  A damaged manifest is known by the image.
    """
    files = tuple(dict.fromkeys(array_files(name, sampled).values()))
    manifest = manifest_of(files[0])
    named = (files[0],) if files[0].suffix == ".h5" else (files[0], files[0].with_suffix(".hdr"))
    others = [other for path in files[1:] for other in (path, path.with_suffix(".hdr"))]
    others += [_beside(path, suffix) for path in files for suffix in (PARTIAL, TEMPLATE)]
    beside: dict[Path, IsOwn] = {manifest: lambda path: is_manifest(path) or _present(files[0]).exists()}
    return Target(str(name), named, beside | {path: lambda _: restart or manifest.exists() for path in others})


def _beside(path: Path, suffix: str) -> Path:
    """Return the name of a temporary file in the folder of a file behind all links."""
    real = behind_links(path)
    return real.with_name(real.name + suffix)


def _present(path: Path) -> Path:
    """Return the partial name of a file if a file has it, and otherwise the final name."""
    partial = _beside(path, PARTIAL)
    return partial if partial.exists() else path


def _fits(path: Path, template: Path) -> bool:
    return path.exists() and path.stat().st_size == template.stat().st_size


def _reserve(template: Path, final: Path) -> None:
    """Reserve the space of a file on the disk, so that a lack of space is noticed before the first slice.

    It gets the permissions of the file that it will replace.
    """
    with open(template, "r+b") as file:
        adopt_permissions(file.fileno(), final)
        os.posix_fallocate(file.fileno(), 0, max(1, template.stat().st_size))
        os.fsync(file.fileno())


def _write(descriptor: int, content: bytes, offset: int) -> None:
    """Write all bytes at an offset; the system may take fewer at a time."""
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_folder(path: Path) -> None:
    """Write the names in the folder of a file to the disk, so that they survive a power cut."""
    descriptor = os.open(behind_links(path).parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
