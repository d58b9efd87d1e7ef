"""Atomic writing: a file appears under its name only once it is complete and on the disk."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

Fill: TypeAlias = Callable[[BinaryIO], object]  # Writes the content into an open file; the return value is ignored.


def write_file(path: str | Path, fill: Fill) -> None:
    """Write a file by `fill(file)`.  If that fails, an existing file of this name is kept.

    Raises OSError that names the file.
    """
    path = Path(path)
    with naming(path):
        os.replace(write_temporary(path, fill), path)


def write_temporary(path: Path, fill: Fill) -> str:
    """Write a hidden temporary file in the folder of `path` by `fill(file)`, and return its name.

    The caller renames it or removes it.  If `fill` fails, this function removes it.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


@contextlib.contextmanager
def naming(name: str | Path) -> Iterator[None]:
    """Replace an OSError inside the block by one whose message names the output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{name}: cannot write ({error.strerror or error})") from None


def _umask() -> int:
    mask = os.umask(0)  # The mask can only be read by setting it.
    os.umask(mask)
    return mask
