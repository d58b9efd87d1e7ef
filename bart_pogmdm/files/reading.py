"""Reading of files that may be damaged or hostile: one kind of error, and bounds that hold before memory is taken."""

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from ..arrays.memory import size_text

# The content of a file may take this many bytes, or this many times the bytes of the file if that is more: an archive
# of a few megabytes can state, and unpack to, more than any machine holds.
SMALL_BYTES = 1 << 30
LARGEST_EXPANSION = 4
MOST_LETTERS = 300  # Of the reason that a library gives.
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Check that a path names a file, and raise ValueError with its name for any error inside the block.

    Every exception is caught, because NumPy, zipfile and HDF5 have no common error for a damaged file.
    Raises FileNotFoundError if the file does not exist, and MemoryError that names it if memory is not enough.
    """
    check_file(path)
    try:
        yield
    except MemoryError:
        raise MemoryError(f"{path}: not enough memory to read this file") from None
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise  # It names the file and says what is wrong.
        kind, reason = path.suffix[1:], " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: not a readable {f'{kind} ' if kind else ''}file ({reason[:MOST_LETTERS]})") from None


def check_file(path: Path) -> None:
    """Raise FileNotFoundError if a file does not exist, and ValueError for a pipe or folder, before it is opened.

    The opening of a named pipe would wait for a process that writes to it.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if not path.is_file():
        kind = KINDS.get(stat.S_IFMT(path.stat().st_mode), "a device")
        raise ValueError(f"{path}: expected a file, got {kind}")


def most_bytes(path: Path, expansion: int = LARGEST_EXPANSION) -> int:
    """Return how many bytes the content of a file may take in memory, or unpacked on the disk."""
    return max(SMALL_BYTES, expansion * path.stat().st_size)


def check_bytes(count: int, path: Path, expansion: int = LARGEST_EXPANSION) -> None:
    """Raise ValueError, without the name of the file, if its content states more bytes than `most_bytes`."""
    if count > (most := most_bytes(path, expansion)):
        raise ValueError(f"it states {size_text(count)}, but at most {size_text(most)} are read from a file"
                         f" of {size_text(path.stat().st_size)}")
