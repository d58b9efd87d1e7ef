"""Errors of readers: a damaged file of any kind raises a ValueError that names the file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise FileNotFoundError if the file does not exist, and ValueError with its name for any error inside the block.

    Every exception is caught, because NumPy, zipfile and HDF5 have no common error for a damaged file.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path}: not a readable {path.suffix[1:]} file ({error})") from None
