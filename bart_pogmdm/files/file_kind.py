"""The kind of a file: the content decides, and the name only where there is no content."""

import re
import struct
from pathlib import Path
from typing import BinaryIO

from .cfl import paths_of

# First bytes of each kind; those of HDF5 may also lie at a power of two from 512 on.
SIGNATURES = {"hdf5": (b"\x89HDF\r\n\x1a\n",), "npz": (b"PK\x03\x04", b"PK\x05\x06"), "npy": (b"\x93NUMPY",)}
ENDINGS = {".h5": "hdf5", ".hdf5": "hdf5", ".mrd": "hdf5", ".npz": "npz", ".npy": "npy"}
BART_ENDINGS = (".hdr", ".cfl", ".ra")
FIRST_OFFSET = 512  # of an HDF5 file that begins with other data, in bytes
# TWIX begins with a table of measurements (VD and later), or with the header of the only one, which lists its parts.
MOST_MEASUREMENTS, LARGEST_TABLE, FIRST_ENTRY, MOST_PARTS = 64, 10000, 8, 64
PART = re.compile(rb"\w{4,}\0")


def kind_of(name: str | Path) -> str:
    """Return hdf5, npz, npy, twix or bart.  Raises ValueError for a pipe, or an existing file of another kind.

    BART's names have no ending, or one of BART_ENDINGS, or any ending if there is no plain file of that name.
    """
    if str(name) == "-":
        raise ValueError("-: expected the name of a file; only `bart pogmdm` itself reads a pipe")
    path = Path(name)
    ending = ENDINGS.get(path.suffix.lower(), "")
    if path.suffix in BART_ENDINGS or not (ending or path.is_file()):
        return "bart"
    if not (ending and path.exists()) and paths_of(name)[0].exists():
        return "bart"  # BART's array x and another file x may lie side by side, and BART's array may be named x.h5.
    kind = (_by_content(path) if path.is_file() else "") or ending
    if not kind:
        raise ValueError(f"{path}: expected HDF5, npz, npy, TWIX or BART's files, got another kind of file")
    return kind


def _by_content(path: Path) -> str:
    """Return the kind that a file has by its first bytes, or an empty text."""
    with open(path, "rb") as file:
        head = file.read(max(len(signature) for signatures in SIGNATURES.values() for signature in signatures))
        for kind, signatures in SIGNATURES.items():
            if head.startswith(signatures):
                return kind
        size, offset = path.stat().st_size, FIRST_OFFSET
        while offset < size:
            file.seek(offset)
            if file.read(len(head)).startswith(SIGNATURES["hdf5"]):
                return "hdf5"
            offset *= 2
        return "twix" if _is_twix(file, size) else ""


def _is_twix(file: BinaryIO, size: int) -> bool:
    """Return True for the head of Siemens' raw data."""
    file.seek(0)
    table, count = struct.unpack("<II", file.read(8).ljust(8, b"\0"))
    start = 0
    if table < LARGEST_TABLE and 1 <= count <= MOST_MEASUREMENTS:
        file.seek(FIRST_ENTRY + 8)
        start, = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
    if start >= size:
        return False
    file.seek(start)
    head = file.read(64).ljust(64, b"\0")
    length, parts = struct.unpack("<II", head[:8])
    return start + length <= size and 1 <= parts <= MOST_PARTS and PART.match(head[8:]) is not None
