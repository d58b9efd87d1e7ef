"""BART's arrays on the disk: pairs of .hdr and .cfl files, and .ra files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import pad_dims
from .atomic import Fill, write_all
from .header import HEADER_LIMIT, command_in, dims_of, header_text
from .ra import SAMPLE_BYTES as SAMPLE_BYTES
from .ra import ra_header, read_ra_dims
from .reading import check_file

BLOCK_ROWS = 32   # Rows of a row-major array that are copied at once: four cache lines of samples.
# Names with these endings mean other things to BART: text, shared memory, memory of the process, and a named pipe.
OTHER_MEANINGS = (".coo", ".shm", ".mem", ".fifo")
Name = TypeVar("Name", bound=str | Path)


class Samples(NamedTuple):
    """The place of an array on the disk: the samples fill the file `path` from byte `offset` to its end.

    They are little-endian complex64 in column-major order.
    """

    path: Path
    shape: Shape
    offset: int


def paths_of(name: str | Path) -> tuple[Path, ...]:
    """Return the files behind a BART array name: (x.hdr, x.cfl), or (x.ra,).

    The pair may be named by x, x.hdr or x.cfl.  Raises ValueError if no file can have this name, or if BART means
    something else by it.
    """
    path = Path(name)
    if path.name.strip(".") == "" or str(name).endswith("/"):
        raise ValueError(f"{str(name)!r} is not a file name")
    if path.suffix in OTHER_MEANINGS:
        hint = "; only `bart pogmdm` itself takes a named pipe" if path.suffix == ".fifo" else ""
        raise ValueError(f"{name}: expected one of BART's names, without ending or with .cfl, .hdr or .ra, got"
                         f" {path.suffix}{hint}")
    if path.suffix == ".ra":
        return (path,)
    stem = path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path
    return tuple(stem.with_name(stem.name + ending) for ending in (".hdr", ".cfl"))


def locate(name: str | Path) -> Samples:
    """Return the place of the samples of an array, after a check of the file's size.

    Raises FileNotFoundError, or ValueError for a damaged file.
    """
    *headers, path = paths_of(name)
    if headers and not headers[0].exists() and Path(name).suffix not in ("", ".cfl", ".hdr"):
        check_file(Path(name))
        raise ValueError(f"{name}: expected a file of BART, which is named without ending or with .cfl, .hdr or .ra")
    if headers:
        shape, offset = dims_of(_read_hdr(headers[0]), str(headers[0])), 0
    else:
        with _open(path) as file:
            shape, offset = read_ra_dims(file, str(path)), file.tell()
    with _open(path) as file:
        file.seek(offset)
        _check_size(file, shape, path)
    return Samples(path, shape, offset)


def command_of(name: str | Path) -> str:
    """Return the name of the command that wrote an array; an empty text if its header, as that of .ra, does not say."""
    *headers, _ = paths_of(name)
    return command_in(_read_hdr(headers[0])) if headers else ""


def read(name: str | Path) -> Array:
    """Read an array from a .hdr and .cfl pair (named without ending) or from an .ra file.

    Returns complex64 with 16 dimensions in BART's order, column-major in memory.
    Raises FileNotFoundError, or ValueError for a damaged file.
    """
    path, shape, offset = locate(name)
    with _open(path) as file:
        file.seek(offset)
        return read_samples(file, shape, path)


def read_samples(file: BinaryIO, shape: Shape, name: str | Path) -> Array:
    """Read the samples of an array, which must fill an open file from its current position to its end."""
    _check_size(file, shape, name)
    samples = np.fromfile(file, dtype="<c8")
    return samples.astype(np.complex64, copy=False).reshape(shape, order="F")


def write(outputs: Mapping[Name, ArrayLike], command: str | None = None) -> None:
    """Write the arrays of {name: array} as .hdr and .cfl pairs or .ra files: either all of them appear, or none.

    Arrays are stored as complex64 with 16 dimensions; `command` is noted in the header.
    Raises OSError if a file cannot be written or the disk is full, TypeError for anything but a mapping.
    """
    if not isinstance(outputs, Mapping):
        raise TypeError(f"outputs: expected {{name: array}}, got {type(outputs).__name__}")
    write_all(content for name, array in outputs.items() for content in contents(name, array, command))


def column_major_bytes(array: ArrayLike, shape: Shape) -> memoryview:
    """Return the samples of an array as BART stores them: little-endian complex64, column-major.

    A column-major complex64 array is not copied.  Others are copied in blocks that fit the processor's cache.
    """
    samples = np.asarray(array, "<c8").reshape(shape, order="F")
    if not samples.flags.f_contiguous:
        samples, rows = np.empty(shape, "<c8", order="F"), samples
        for first in range(0, shape[0], BLOCK_ROWS):
            samples[first:first + BLOCK_ROWS] = rows[first:first + BLOCK_ROWS]
    return samples.reshape(-1, order="F").view(np.uint8).data


def contents(name: str | Path, array: ArrayLike, command: str | None) -> Iterator[tuple[str | Path, Path, Fill]]:
    """Yield the files of an output for `write_all`: a .hdr and .cfl pair, or an .ra file."""
    shape, paths = pad_dims(np.shape(array), str(name)), paths_of(name)
    samples = column_major_bytes(array, shape)
    *headers, path = paths
    text = header_text(shape, command).encode(errors="surrogateescape")
    yield from ((name, header, lambda file: file.write(text)) for header in headers)
    start = b"" if headers else ra_header(shape, len(samples))
    yield name, path, lambda file: file.writelines((start, samples))


def _open(path: Path) -> BinaryIO:
    """Open a file for reading.  Raises FileNotFoundError, or ValueError for a pipe or folder, that names it."""
    check_file(path)
    return open(path, "rb")


def _read_hdr(path: Path) -> str:
    """Return the text of a .hdr file."""
    with _open(path) as file:
        head = file.read(HEADER_LIMIT)
    if b"\0" in head:
        raise ValueError(f"{path}: not a BART header (it is not text)")
    return head.decode(errors="surrogateescape")


def _check_size(file: BinaryIO, shape: Shape, name: str | Path) -> None:
    """Raise ValueError unless the samples of an array reach from the current position to the end of the file."""
    offset = file.tell()
    expected = offset + SAMPLE_BYTES * int(np.prod(shape, dtype=object))
    size = os.fstat(file.fileno()).st_size
    if size != expected:
        sizes = " x ".join(str(n) for n in np.trim_zeros(np.array(shape) - 1, "b") + 1) or "1"
        raise ValueError(f"{name}: expected {expected} bytes for {sizes} complex samples, got {size}")
