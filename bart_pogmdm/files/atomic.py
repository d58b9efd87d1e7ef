"""BART's array files (cfl, ra) and its dimensions; every output appears whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_temporary(path, fill, *arguments):
    """A temporary file beside `path`, filled by `fill(file, *arguments)`; returns its name."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file, *arguments)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


@contextlib.contextmanager
def naming(name):
    """What goes wrong in writing becomes an OSError that names the output."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{name}: cannot write ({error.strerror or error})") from None


def write_file(path, fill):
    """Write `path` by `fill(file)`, whole or not at all.  Raises OSError where that is not possible."""
    path = Path(path)
    with naming(path):
        os.replace(write_temporary(path, fill), path)


def write_chunks(file, chunks):
    file.writelines(chunks)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
