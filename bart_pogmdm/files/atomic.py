"""Atomic writing: a file appears under its name only once it is complete and on the disk.

A name that is a symbolic link stays one, and the file behind it is replaced, as `cp` and BART do.  A file that replaces
another keeps its permissions.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

Fill: TypeAlias = Callable[[BinaryIO], object]  # Writes the content into an open file; the return value is ignored.


def write_file(path: str | Path, fill: Fill) -> None:
    """Write a file by `fill(file)`.  If that fails, an existing file of this name is kept.

    Raises OSError that names the file.
    """
    write_all([(path, Path(path), fill)])


def write_all(contents: Iterable[tuple[str | Path, Path, Fill]]) -> None:
    """Write the files of (name of the output, file, fill), each by `fill(file)`: either all of them appear, or none.

    Raises OSError that names the output if a file cannot be written or the disk is full.
    """
    pending: list[tuple[str, Path, str | Path]] = []
    try:
        for name, path, fill in contents:
            with naming(name):
                real = behind_links(path)
                pending.append((write_temporary(real, fill), real, name))
        while pending:
            temporary, path, name = pending[-1]
            with naming(name):
                os.replace(temporary, path)
            pending.pop()
    finally:
        for temporary, _, _ in pending:
            os.unlink(temporary)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file with this content, as `write_file`."""
    write_file(path, lambda file: file.write(content))


def behind_links(path: str | Path) -> Path:
    """Return the absolute name of a file behind all symbolic links; the file need not exist."""
    return Path(os.path.realpath(path))


def write_temporary(path: Path, fill: Fill) -> str:
    """Write a hidden temporary file in the folder of `path`, no link, by `fill(file)`, and return its name.

    It has the permissions for `path`.  The caller renames it or removes it.  If `fill` fails, this function removes it.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
            adopt_permissions(file.fileno(), path)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def adopt_permissions(descriptor: int, path: Path) -> None:
    """Give an open file the mode and, where possible, owner and group of the file `path` that it will replace.

    If there is no such file, the mode is that of a new file.
    """
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o666 & ~_umask())
        return
    for owner, group in ((old.st_uid, -1), (-1, old.st_gid)):
        with contextlib.suppress(OSError):  # Only root may give a file away, and not every file system knows owners.
            os.fchown(descriptor, owner, group)
    os.fchmod(descriptor, old.st_mode & 0o777)


@contextlib.contextmanager
def naming(name: str | Path) -> Iterator[None]:
    """Replace an OSError inside the block by one whose message names the output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"output {name}: cannot write ({error.strerror or error})") from None


def _umask() -> int:
    mask = os.umask(0)  # The mask can only be read by setting it.
    os.umask(mask)
    return mask
