"""k-space in files of other makers, in BART's order, whole or by slices: npz, npy, fastMRI's and ISMRMRD's HDF5."""

import contextlib
import io as io_
import math
import mmap
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, replace

import numpy as np

from ..arrays.bart_dims import DIMS, pad_dims, to_bart

HEADER_BYTES = 1 << 16  # more than the header of an npy file has
CHUNK = 1 << 20
LOCAL_HEADER = 30  # bytes of a zip member's own header, before its name


def mapped(file):
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@dataclass(frozen=True)
class Stored:
    """An array that lies in a file as in memory."""

    mapping: mmap.mmap
    dtype: np.dtype
    offset: int
    stored_shape: tuple
    column_major: bool
    pattern: np.ndarray | None

    @property
    def shape(self):
        """In BART's order."""
        count = len(self.stored_shape)
        return pad_dims(self.stored_shape if count > 3 else to_bart(np.broadcast_to(0, self.stored_shape)).shape)

    def array(self):
        """All of it, as it is stored; read only."""
        return np.ndarray(self.stored_shape, self.dtype, self.mapping, self.offset,
                          order="F" if self.column_major else "C")

    def slice(self, place):
        """k-space at a place."""
        array = self.array()
        array = (array if array.ndim > 3 else to_bart(array)).reshape(self.shape)
        kspace = np.array(array[(..., *place)], np.complex64)
        self.mapping.madvise(mmap.MADV_DONTNEED)  # or what was read would count as memory of this process
        return kspace


def open_npz(path):
    with naming_file(path), zipfile.ZipFile(path) as archive:
        infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        found = {key: _member(path, archive, infos[key]) for key in ("kspace", "mask") if key in infos}
    if "kspace" not in found:
        raise ValueError(f"{path}: expected an array kspace, got {', '.join(infos) or 'none'}")
    mask = None
    if "mask" in found:
        mask = np.array(found["mask"].array())
        mask = to_bart(mask) if mask.ndim == 3 else np.atleast_2d(mask)
    return _checked(path, found["kspace"], mask)


def _member(path, archive, info):
    """An array in the archive, whose checksum is right; a compressed one is unpacked to a temporary file."""
    with archive.open(info) as member:
        head = member.read(HEADER_BYTES)
        dtype, offset, *layout = npy_layout(head, info.file_size)
        if info.compress_type != zipfile.ZIP_STORED:
            with tempfile.TemporaryFile() as unpacked:
                unpacked.write(head)
                shutil.copyfileobj(member, unpacked, CHUNK)
                unpacked.flush()
                return Stored(mapped(unpacked), dtype, offset, *layout)
        while member.read(CHUNK):
            pass
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER)
        name, extra = (int.from_bytes(header[i:i + 2], "little") for i in (26, 28))
        return Stored(mapped(file), dtype, info.header_offset + LOCAL_HEADER + name + extra + offset, *layout)


def open_npy(path):
    with naming_file(path), open(path, "rb") as file:
        found = Stored(mapped(file), *npy_layout(file.read(HEADER_BYTES), path.stat().st_size))
    return _checked(path, found, None)


def npy_layout(head, size):
    """What `Stored` needs to know of an npy file of a size, from its first bytes.  ValueError where they promise more
    than that, before anything is allocated.
    """
    stream = io_.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, column_major, dtype = header(stream)
    if dtype.hasobject or stream.tell() + math.prod(shape) * dtype.itemsize > size:
        raise ValueError("its header does not fit its size")
    return dtype, stream.tell(), shape, column_major, None


@contextlib.contextmanager
def naming_file(path):
    """What is wrong with a file becomes one error that names it; NumPy, zipfile and HDF5 have no common type for it."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path}: not a readable {path.suffix[1:]} file ({error})") from None


def _checked(path, found, pattern):
    """The array with its pattern; ValueError where it is no k-space."""
    if found.dtype.kind != "c" or not 2 <= len(found.stored_shape) <= len(DIMS):
        raise ValueError(f"{path}: expected complex k-space of 2 to 16 dimensions,"
                         f" got {found.dtype} {found.stored_shape}")
    return replace(found, pattern=pattern)
