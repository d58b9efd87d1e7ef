"""NumPy's npz and npy files: k-space is mapped into memory; nothing is taken before the sizes have been checked."""

import io
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import to_bart
from .mapped import ArrayLayout, MappedArray, MappedKspace
from .reading import check_bytes, reading

NPY_HEADER_LIMIT = 1 << 16    # Bytes; the header of an npy file is shorter.
COPY_BYTES = 1 << 20          # A compressed member is unpacked in pieces of this size.
LOCAL_HEADER_BYTES = 30       # The fixed part of the header that a zip archive puts before each member.
LOCAL_HEADER_LENGTHS = 26     # Position in that header of the lengths of the name and of the extra field, in bytes.


def open_npz(path: Path) -> MappedKspace:
    """Open the arrays `kspace` and, if there is one, `mask` of an npz file.

    Raises FileNotFoundError, or ValueError if the file is damaged or holds no k-space.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        members = {_name_of(member): member for member in archive.infolist()}
        used = {key: members[key] for key in ("kspace", "mask") if key in members}
        _check_members(used.values(), path)
        found = {key: _map_member(path, archive, member) for key, member in used.items()}
    if "kspace" not in found:
        raise ValueError(f"{path}: expected an array kspace, got {', '.join(members) or 'none'}")
    return MappedKspace.checked(path, found["kspace"], _pattern(found["mask"].array) if "mask" in found else None)


def open_npy(path: Path) -> MappedKspace:
    """Open the array of an npy file.  Raises FileNotFoundError, or ValueError if it is damaged or no k-space."""
    return MappedKspace.checked(path, map_npy(path), None)


def map_npy(path: Path) -> MappedArray:
    """Map the array of an npy file into memory.  Raises FileNotFoundError, or ValueError if it is damaged."""
    with reading(path), open(path, "rb") as file:
        return MappedArray.of(file, _npy_layout(file.read(NPY_HEADER_LIMIT)))


def read_npz(path: Path, is_wanted: Callable[[str], bool] = lambda name: True, most: int | None = None
             ) -> dict[str, Array]:
    """Read the wanted arrays of an npz file, read-only; `most` is their largest size in bytes.

    Raises FileNotFoundError, or ValueError if the file is damaged, holds Python objects, or states too much.
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        members = {_name_of(member): member for member in archive.infolist() if is_wanted(_name_of(member))}
        _check_members(members.values(), path, most)
        return {name: _read_member(archive, member) for name, member in members.items()}


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return the name of the array in a member of an npz file."""
    return member.filename.removesuffix(".npy")


def _check_members(members: Collection[zipfile.ZipInfo], path: Path, most: int | None = None) -> None:
    """Raise ValueError if members take too many bytes, contradict themselves, or are not packed as NumPy does it."""
    if not {member.compress_type for member in members} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError("its compression is not that of NumPy")
    stated = sum(member.file_size for member in members)
    if any(member.compress_type == zipfile.ZIP_STORED and member.compress_size != member.file_size
           for member in members):
        raise ValueError("it states two sizes of an array that is not compressed")
    if most is not None and stated > most:
        raise ValueError(f"it states {stated} bytes, expected at most {most}")
    check_bytes(stated, path)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Read a member of an npz file in pieces, so that no more is unpacked than the size that it states.

    It is read to its end, where zipfile raises BadZipFile if the checksum is wrong.
    """
    unpacked = io.BytesIO()
    with archive.open(member) as opened:
        shutil.copyfileobj(opened, unpacked, COPY_BYTES)
    content = unpacked.getbuffer().toreadonly()
    layout = _layout_in(member, bytes(content[:NPY_HEADER_LIMIT]))
    order: Literal["F", "C"] = "F" if layout.column_major else "C"
    return np.ndarray(layout.shape, layout.dtype, content, layout.offset, order=order)


def _pattern(mask: Array) -> Array:
    """Copy a mask; (1, y, x) is brought into BART's order, and a line (x,) becomes (1, x)."""
    mask = np.array(mask)
    return to_bart(mask) if mask.ndim == 3 else np.atleast_2d(mask)


def _map_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> MappedArray:
    """Map a member of an npz file.  A compressed member is first unpacked into a temporary file.

    The member is read to its end, where zipfile raises BadZipFile if the checksum is wrong.
    """
    with archive.open(member) as content:
        head = content.read(NPY_HEADER_LIMIT)
        layout = _layout_in(member, head)
        if member.compress_type != zipfile.ZIP_STORED:
            with tempfile.TemporaryFile() as unpacked:
                unpacked.write(head)
                shutil.copyfileobj(content, unpacked, COPY_BYTES)
                unpacked.flush()
                return MappedArray.of(unpacked, layout)
        while content.read(COPY_BYTES):
            pass
    with open(path, "rb") as file:
        start = _start_of_member(file, member)
        return MappedArray.of(file, ArrayLayout(layout.dtype, start + layout.offset, layout.shape,
                                                layout.column_major))


def _layout_in(member: zipfile.ZipInfo, head: bytes) -> ArrayLayout:
    """Return the layout of the array in a member that begins with `head`.

    Raises ValueError if the array is larger than the member: what follows belongs to another one.
    """
    layout = _npy_layout(head)
    if layout.end > member.file_size:
        raise ValueError(f"an array {layout.dtype} {layout.shape} does not fit {member.filename}")
    return layout


def _start_of_member(file: BinaryIO, member: zipfile.ZipInfo) -> int:
    """Return the byte of the archive where the content of a stored member begins, after its local header."""
    file.seek(member.header_offset)
    header, at = file.read(LOCAL_HEADER_BYTES), LOCAL_HEADER_LENGTHS
    name_bytes, extra_bytes = (int.from_bytes(header[i:i + 2], "little") for i in (at, at + 2))
    return member.header_offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes


def _npy_layout(head: bytes) -> ArrayLayout:
    """Return the layout of the array in an npy file that begins with `head`.

    Raises ValueError for an unknown version of the format and for Python objects.
    """
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read_header is None:
        raise ValueError(f"version {version} of the format is not known")
    with warnings.catch_warnings():  # Python warns of odd syntax in a damaged header.
        warnings.simplefilter("ignore")
        shape, column_major, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return ArrayLayout(dtype, stream.tell(), shape, column_major)
