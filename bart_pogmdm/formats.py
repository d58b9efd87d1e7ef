"""k-space in files of other makers, in BART's order: npz, npy, fastMRI's HDF5, ISMRMRD's raw data."""

import contextlib
import io as io_
import math
import zipfile
from pathlib import Path

import numpy as np

from . import coils, io
from .operators import fft2c, ifft2c

TE, TIME, TIME2, SLICE = (io.DIMS.index(name) for name in ("TE", "TIME", "TIME2", "SLICE"))
HEADER_BYTES = 1 << 16  # more than the header of an npy file has
COUNTERS = {"slice": SLICE, "contrast": TE, "phase": TIME, "repetition": TIME2, "set": io.BATCH}  # of ISMRMRD


def load(name):
    """(kspace, pattern) of a file, by its ending: npz, npy, h5; all else is BART's own.

    kspace is in BART's order, complex64; the pattern is None where the file has none: sampled where k-space is not
    zero.  npz: `kspace` and, optionally, `mask`; arrays of up to three dimensions are (coil, y, x), others in BART's
    order.  Raises FileNotFoundError, ImportError (ISMRMRD), or ValueError for a file without k-space.
    """
    reader = {".npz": _npz, ".npy": _npy, ".h5": _hdf5}.get(Path(name).suffix)
    return (io.read(name), None) if reader is None else reader(Path(name))


def _npz(path):
    arrays = {}
    with _named(path), zipfile.ZipFile(path) as archive:
        infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        for key in infos.keys() & {"kspace", "mask"}:
            with archive.open(infos[key]) as file:
                arrays[key] = _array(file, infos[key].file_size)
    if "kspace" not in arrays:
        raise ValueError(f"{path}: expected an array kspace, got {', '.join(infos) or 'none'}")
    mask = arrays.get("mask")
    if mask is not None:
        mask = io.to_bart(mask) if mask.ndim == 3 else np.atleast_2d(mask)
    return _in_bart_order(path, arrays["kspace"]), mask


def _npy(path):
    with _named(path), open(path, "rb") as file:
        array = _array(file, path.stat().st_size)
    return _in_bart_order(path, array), None


def _array(file, size):
    """The array in an npy file of a size.  ValueError where its header promises more than that, before anything is
    allocated.
    """
    head = file.read(min(size, HEADER_BYTES))
    stream = io_.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"version {version} of the format is not known")
    shape, column_major, dtype = header(stream)
    if dtype.hasobject or stream.tell() + math.prod(shape) * dtype.itemsize > size:
        raise ValueError("its header does not fit its size")
    samples = head[stream.tell():] + file.read()
    flat = np.frombuffer(samples, dtype, math.prod(shape))
    return flat.reshape(shape, order="F" if column_major else "C")


@contextlib.contextmanager
def _named(path):
    """What is wrong with a file becomes one error that names it; NumPy, zipfile and HDF5 have no common type for it."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path}: not a readable {path.suffix[1:]} file ({error})") from None


def _in_bart_order(path, kspace):
    if kspace.dtype.kind != "c" or not 2 <= kspace.ndim <= len(io.DIMS):
        raise ValueError(f"{path}: expected complex k-space of 2 to 16 dimensions, got {kspace.dtype} {kspace.shape}")
    kspace = kspace if kspace.ndim > 3 else io.to_bart(kspace)
    return kspace.reshape(io.pad_dims(kspace.shape, str(path))).astype(np.complex64)


def _hdf5(path):
    import h5py
    with _named(path), h5py.File(path) as file:
        names = [name for name in ("kspace", "dataset/xml", "dataset/data") if name in file]
    if names == ["kspace"]:
        return _fastmri(path)
    if names == ["dataset/xml", "dataset/data"]:
        return _ismrmrd(path)
    raise ValueError(f"{path}: expected `kspace` (fastMRI) or `dataset` (ISMRMRD) in the file, got neither")


def _fastmri(path):
    """(slice, coil, y, x) or (slice, y, x), and the mask of the columns where the file has one."""
    import h5py
    with _named(path), h5py.File(path) as file:
        kspace, mask = file["kspace"][()], file["mask"][()] if "mask" in file else None
    if kspace.ndim not in (3, 4) or kspace.dtype.kind != "c":
        raise ValueError(f"{path}: expected complex k-space (slice, coil, y, x), got {kspace.dtype} {kspace.shape}")
    kspace = kspace[:, None] if kspace.ndim == 3 else kspace
    slices, count, ny, nx = kspace.shape
    out = np.empty(io.pad_dims((ny, nx, 1, count) + (1,) * (SLICE - 4) + (slices,)), np.complex64, order="F")
    np.copyto(out.reshape(ny, nx, count, slices, order="F"), kspace.transpose(2, 3, 1, 0))
    return out, None if mask is None else mask.reshape(1, -1) != 0


def _ismrmrd(path):
    """READ: the readout without its oversampling, PHS1: the phase encoding; averaged, prewhitened by a noise scan.

    The pattern says where there was a sample: a readout may be an asymmetric echo.
    """
    try:
        import ismrmrd
    except ImportError:
        raise ImportError(f"{path}: needs the package ismrmrd (pip install 'bart_pogmdm[ismrmrd]')") from None
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=False)
    try:
        encoding = ismrmrd.xsd.CreateFromDocument(dataset.read_xml_header()).encoding[0]
        acquisitions = [dataset.read_acquisition(i) for i in range(dataset.number_of_acquisitions())]
    finally:
        dataset.close()
    matrix, kind = encoding.encodedSpace.matrixSize, getattr(encoding.trajectory, "value", encoding.trajectory)
    if kind != "cartesian" or matrix.z > 1:
        raise ValueError(f"{path}: expected a Cartesian 2-D acquisition, got {kind}, {matrix.z} partitions")
    noise = [a.data for a in acquisitions if a.is_flag_set(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)]
    other = [getattr(ismrmrd, f"ACQ_IS_{name}") for name in
             ("NOISE_MEASUREMENT", "PHASECORR_DATA", "NAVIGATION_DATA", "DUMMYSCAN_DATA", "RTFEEDBACK_DATA",
              "HPFEEDBACK_DATA", "SURFACECOILCORRECTIONSCAN_DATA")]
    lines = [a for a in acquisitions if not any(a.is_flag_set(flag) for flag in other)]
    if not lines:
        raise ValueError(f"{path}: no line of an image among {len(acquisitions)} acquisitions")
    limits = encoding.encodingLimits.kspace_encoding_step_1
    offset = matrix.y // 2 - (limits.center if limits else matrix.y // 2)
    sizes = {axis: 1 + max(getattr(a.idx, name) for a in lines) for name, axis in COUNTERS.items()}
    shape = [matrix.x, matrix.y, 1, lines[0].data.shape[0], *(sizes.get(axis, 1) for axis in range(4, len(io.DIMS)))]
    kspace, count = np.zeros(shape, np.complex64, order="F"), np.zeros([*shape[:2], 1, 1, *shape[4:]], np.float32)
    for line in lines:
        if line.is_flag_set(ismrmrd.ACQ_IS_REVERSE):
            raise ValueError(f"{path}: expected lines of one direction, got some in reverse (EPI needs a correction)")
        samples = line.data[:, line.discard_pre:line.data.shape[1] - line.discard_post]
        first, row = matrix.x // 2 - line.center_sample + line.discard_pre, line.idx.kspace_encode_step_1 + offset
        if first < 0 or first + samples.shape[1] > matrix.x or not 0 <= row < matrix.y:
            raise ValueError(f"{path}: a line of {samples.shape[1]} samples at row {row} lies outside the encoded"
                             f" matrix of {matrix.x} x {matrix.y}")
        counters = {axis: getattr(line.idx, name) for name, axis in COUNTERS.items()}
        place = (slice(first, first + samples.shape[1]), row, 0, slice(None),
                 *(counters.get(axis, 0) for axis in range(4, len(io.DIMS))))
        kspace[place] += samples.T
        count[(*place[:3], 0, *place[4:])] += 1
    kspace /= np.maximum(count, 1)
    if noise:
        kspace = coils.mix(coils.whitening(np.concatenate(noise, 1)), kspace)
    return _without_oversampling(kspace, count > 0, encoding.reconSpace.matrixSize.x)


def _without_oversampling(kspace, pattern, size):
    """The readout cropped in image space to `size`, and where it was measured."""
    full = len(kspace)
    if size < full:
        first = full // 2 - size // 2
        kspace = fft2c(ifft2c(kspace, axes=(0,))[first:first + size], axes=(0,))
        pattern = pattern[full // 2 + np.round((np.arange(size) - size // 2) * full / size).astype(int)]
    return np.asfortranarray(kspace * pattern), pattern
