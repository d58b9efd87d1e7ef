"""k-space in files of other makers, in BART's order, whole or by slices: npz, npy, fastMRI's and ISMRMRD's HDF5."""

import contextlib
import io as io_
import math
import mmap
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import coils, io
from .layout import BEYOND
from .operators import fft2c, ifft2c

TE, TIME, TIME2, SLICE = (io.DIMS.index(name) for name in ("TE", "TIME", "TIME2", "SLICE"))
HEADER_BYTES = 1 << 16  # more than the header of an npy file has
CHUNK = 1 << 20
LOCAL_HEADER = 30  # bytes of a zip member's own header, before its name
COUNTERS = {"slice": SLICE, "contrast": TE, "phase": TIME, "repetition": TIME2, "set": io.BATCH}  # of ISMRMRD


def load(name):
    """(kspace, pattern) of a file, by its ending: npz, npy, h5; all else is BART's own.

    kspace is in BART's order, complex64; the pattern is None where the file has none: sampled where k-space is not
    zero.  npz: `kspace` and, optionally, `mask`; arrays of up to three dimensions are (coil, y, x), others in BART's
    order.  Raises FileNotFoundError, ImportError (ISMRMRD), or ValueError for a file without k-space.
    """
    file = source(name)
    kspace = np.empty(file.shape, np.complex64, order="F")
    for place in np.ndindex(file.shape[BEYOND:]):
        kspace[(..., *place)] = file.slice(place)
    return kspace, file.pattern


def source(name):
    """What `load` reads, to be read a slice at a time.

    shape: of k-space in BART's order; pattern: that of the file, or None; slice(place): k-space (READ, PHS1, PHS2,
    COIL) at a place in the dimensions beyond COIL.  Raises what `load` raises.
    """
    reader = {".npz": _npz, ".npy": _npy, ".h5": _hdf5}.get(Path(name).suffix)
    if reader is not None:
        return reader(Path(name))
    path, shape, offset = io.locate(name)
    with open(path, "rb") as file:
        return Stored(_mapped(file), np.dtype("<c8"), offset, shape, True, None)


def _mapped(file):
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
        return io.pad_dims(self.stored_shape if count > 3 else io.to_bart(np.broadcast_to(0, self.stored_shape)).shape)

    def array(self):
        """All of it, as it is stored; read only."""
        return np.ndarray(self.stored_shape, self.dtype, self.mapping, self.offset,
                          order="F" if self.column_major else "C")

    def slice(self, place):
        """k-space at a place."""
        array = self.array()
        array = (array if array.ndim > 3 else io.to_bart(array)).reshape(self.shape)
        kspace = np.array(array[(..., *place)], np.complex64)
        self.mapping.madvise(mmap.MADV_DONTNEED)  # or what was read would count as memory of this process
        return kspace


def _npz(path):
    with _named(path), zipfile.ZipFile(path) as archive:
        infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        found = {key: _member(path, archive, infos[key]) for key in ("kspace", "mask") if key in infos}
    if "kspace" not in found:
        raise ValueError(f"{path}: expected an array kspace, got {', '.join(infos) or 'none'}")
    mask = None
    if "mask" in found:
        mask = np.array(found["mask"].array())
        mask = io.to_bart(mask) if mask.ndim == 3 else np.atleast_2d(mask)
    return _checked(path, found["kspace"], mask)


def _member(path, archive, info):
    """An array in the archive, whose checksum is right; a compressed one is unpacked to a temporary file."""
    with archive.open(info) as member:
        head = member.read(HEADER_BYTES)
        dtype, offset, *layout = _layout(head, info.file_size)
        if info.compress_type != zipfile.ZIP_STORED:
            with tempfile.TemporaryFile() as unpacked:
                unpacked.write(head)
                shutil.copyfileobj(member, unpacked, CHUNK)
                unpacked.flush()
                return Stored(_mapped(unpacked), dtype, offset, *layout)
        while member.read(CHUNK):
            pass
    with open(path, "rb") as file:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER)
        name, extra = (int.from_bytes(header[i:i + 2], "little") for i in (26, 28))
        return Stored(_mapped(file), dtype, info.header_offset + LOCAL_HEADER + name + extra + offset, *layout)


def _npy(path):
    with _named(path), open(path, "rb") as file:
        found = Stored(_mapped(file), *_layout(file.read(HEADER_BYTES), path.stat().st_size))
    return _checked(path, found, None)


def _layout(head, size):
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
def _named(path):
    """What is wrong with a file becomes one error that names it; NumPy, zipfile and HDF5 have no common type for it."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path}: not a readable {path.suffix[1:]} file ({error})") from None


def _checked(path, found, pattern):
    """The array with its pattern; ValueError where it is no k-space."""
    if found.dtype.kind != "c" or not 2 <= len(found.stored_shape) <= len(io.DIMS):
        raise ValueError(f"{path}: expected complex k-space of 2 to 16 dimensions,"
                         f" got {found.dtype} {found.stored_shape}")
    return replace(found, pattern=pattern)


def _hdf5(path):
    import h5py
    with _named(path), h5py.File(path) as file:
        names = [name for name in ("kspace", "dataset/xml", "dataset/data") if name in file]
    if names == ["kspace"]:
        return FastMRI.of(path)
    if names == ["dataset/xml", "dataset/data"]:
        return Raw.of(path)
    raise ValueError(f"{path}: expected `kspace` (fastMRI) or `dataset` (ISMRMRD) in the file, got neither")


@dataclass(frozen=True)
class FastMRI:
    """(slice, coil, y, x) or (slice, y, x), and the mask of the columns where the file has one."""

    path: Path
    shape: tuple
    pattern: np.ndarray | None

    @classmethod
    def of(cls, path):
        """From a file."""
        import h5py
        with _named(path), h5py.File(path) as file:
            kspace, mask = file["kspace"], file["mask"][()] if "mask" in file else None
            shape, dtype = kspace.shape, kspace.dtype
        if len(shape) not in (3, 4) or dtype.kind != "c":
            raise ValueError(f"{path}: expected complex k-space (slice, coil, y, x), got {dtype} {shape}")
        slices, count, ny, nx = (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape
        dims = io.pad_dims((ny, nx, 1, count) + (1,) * (SLICE - BEYOND) + (slices,))
        return cls(path, dims, None if mask is None else mask.reshape(1, -1) != 0)

    def slice(self, place):
        """k-space at a place."""
        import h5py
        with _named(self.path), h5py.File(self.path) as file:
            return io.to_bart(file["kspace"][place[SLICE - BEYOND]]).astype(np.complex64)


@dataclass(frozen=True)
class Raw:
    """ISMRMRD.  READ: the readout without its oversampling, PHS1: the phase encoding; averaged, prewhitened by a noise
    scan.  The pattern says where there was a sample: a readout may be an asymmetric echo.

    heads: of the acquired lines, which are the acquisitions `numbers` of the file; first, row: where each begins.
    """

    path: Path
    shape: tuple
    width: int
    numbers: np.ndarray
    heads: np.ndarray
    first: np.ndarray
    row: np.ndarray
    whitening: np.ndarray | None

    @classmethod
    def of(cls, path):
        """From a file."""
        import h5py
        try:
            import ismrmrd
        except ImportError:
            raise ImportError(f"{path}: needs the package ismrmrd (pip install 'bart_pogmdm[ismrmrd]')") from None
        with _named(path), h5py.File(path) as file:
            encoding = ismrmrd.xsd.CreateFromDocument(file["dataset/xml"][0]).encoding[0]
            heads = file["dataset/data"].fields("head")[()]

        def has(*names):
            bits = sum(1 << (getattr(ismrmrd, f"ACQ_IS_{name}") - 1) for name in names)
            return heads["flags"] & np.uint64(bits) != 0

        matrix, kind = encoding.encodedSpace.matrixSize, getattr(encoding.trajectory, "value", encoding.trajectory)
        if kind != "cartesian" or matrix.z > 1:
            raise ValueError(f"{path}: expected a Cartesian 2-D acquisition, got {kind}, {matrix.z} partitions")
        numbers = np.flatnonzero(~has("NOISE_MEASUREMENT", "PHASECORR_DATA", "NAVIGATION_DATA", "DUMMYSCAN_DATA",
                                      "RTFEEDBACK_DATA", "HPFEEDBACK_DATA", "SURFACECOILCORRECTIONSCAN_DATA"))
        if not len(numbers):
            raise ValueError(f"{path}: no line of an image among {len(heads)} acquisitions")
        if has("REVERSE")[numbers].any():
            raise ValueError(f"{path}: expected lines of one direction, got some in reverse (EPI needs a correction)")
        noise, lines = np.flatnonzero(has("NOISE_MEASUREMENT")), heads[numbers]
        limits = encoding.encodingLimits.kspace_encoding_step_1
        row = lines["idx"]["kspace_encode_step_1"].astype(int) + matrix.y // 2
        row -= limits.center if limits else matrix.y // 2
        pre, post, samples = (lines[name].astype(int) for name in ("discard_pre", "discard_post", "number_of_samples"))
        first, kept = matrix.x // 2 - lines["center_sample"].astype(int) + pre, samples - pre - post
        if (outside := (first < 0) | (first + kept > matrix.x) | (row < 0) | (row >= matrix.y)).any():
            bad = np.argmax(outside)
            raise ValueError(f"{path}: a line of {kept[bad]} samples at row {row[bad]} lies outside the encoded"
                             f" matrix of {matrix.x} x {matrix.y}")
        sizes = {axis: 1 + int(lines["idx"][name].max()) for name, axis in COUNTERS.items()}
        width = min(matrix.x, encoding.reconSpace.matrixSize.x)
        shape = (width, matrix.y, 1, int(lines["active_channels"][0]),
                 *(sizes.get(axis, 1) for axis in range(BEYOND, len(io.DIMS))))
        raw = cls(path, shape, matrix.x, numbers, lines, first, row, None)
        if not len(noise):
            return raw
        scan = np.concatenate(list(raw._samples(noise, heads[noise])), 1)
        return replace(raw, whitening=coils.whitening(scan))

    def _samples(self, numbers, heads):
        """(channels, samples) of acquisitions."""
        import h5py
        with _named(self.path), h5py.File(self.path) as file:
            data = file["dataset/data"].fields("data")
            for number, head in zip(numbers, heads):
                yield data[int(number)].view(np.complex64).reshape(head["active_channels"], head["number_of_samples"])

    def _at(self, place):
        """Which lines belong to a place."""
        return np.flatnonzero(np.all([self.heads["idx"][name] == place[axis - BEYOND]
                                      for name, axis in COUNTERS.items()], 0))

    def _columns(self, line, count):
        """Where the samples of a line lie in the readout."""
        return slice(self.first[line], self.first[line] + count)

    def _counts(self, place):
        """How often each sample (READ with its oversampling, PHS1) was acquired."""
        counts = np.zeros((self.width, self.shape[1]), np.float32)
        for line in self._at(place):
            head = self.heads[line]
            kept = int(head["number_of_samples"]) - int(head["discard_pre"]) - int(head["discard_post"])
            counts[self._columns(line, kept), self.row[line]] += 1
        return counts

    @cached_property
    def pattern(self):
        """Where there was a sample, (READ, PHS1, 1, 1, MAPS, …)."""
        pattern = np.empty((*self.shape[:2], 1, 1, *self.shape[BEYOND:]), bool, order="F")
        for place in np.ndindex(self.shape[BEYOND:]):
            pattern[(..., *place)] = self._narrow(self._counts(place) > 0)[:, :, None, None]
        return pattern

    def _narrow(self, pattern):
        """The pattern without the oversampling of the readout."""
        full, size = self.width, self.shape[0]
        return pattern[full // 2 + np.round((np.arange(size) - size // 2) * full / size).astype(int)]

    def slice(self, place):
        """k-space at a place."""
        kspace = np.zeros((self.width, self.shape[1], 1, self.shape[io.COIL]), np.complex64, order="F")
        lines, counts = self._at(place), self._counts(place)
        for line, data in zip(lines, self._samples(self.numbers[lines], self.heads[lines])):
            head = self.heads[line]
            data = data[:, head["discard_pre"]:data.shape[1] - head["discard_post"]]
            kspace[self._columns(line, data.shape[1]), self.row[line], 0] += data.T
        kspace /= np.maximum(counts, 1)[:, :, None, None]
        if self.whitening is not None:
            kspace = coils.mix(self.whitening, kspace)
        full, size = self.width, self.shape[0]
        if size < full:  # cropped in image space
            start = full // 2 - size // 2
            kspace = fft2c(ifft2c(kspace, axes=(0,))[start:start + size], axes=(0,))
        return kspace * self._narrow(counts > 0)[:, :, None, None]
