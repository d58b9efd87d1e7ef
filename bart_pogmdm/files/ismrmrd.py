"""ISMRMRD raw data of Cartesian 2-D scans: readout lines are sorted into k-space slice by slice."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BATCH, BEYOND, COIL, DIMS, SLICE, TE, TIME, TIME2, index_of
from ..physics.coil_compression import mix, whitening
from ..physics.fourier import fft2c, ifft2c
from .hdf5 import read_hdf5

# K-space is sorted by these counters of ISMRMRD, each into a dimension of BART.
COUNTERS = {"slice": SLICE, "contrast": TE, "phase": TIME, "repetition": TIME2, "set": BATCH}
# Acquisitions with one of these flags do not belong to the image.
NO_IMAGE = ("NOISE_MEASUREMENT", "PHASECORR_DATA", "NAVIGATION_DATA", "DUMMYSCAN_DATA", "RTFEEDBACK_DATA",
            "HPFEEDBACK_DATA", "SURFACECOILCORRECTIONSCAN_DATA")


@dataclass(frozen=True)
class Lines:
    """The acquired lines of the image.

    numbers: numbers of the acquisitions in the file.
    heads: headers of the acquisitions.
    columns: position of the first sample that is kept, in the readout with its oversampling.
    rows: position in the phase encoding.
    """

    numbers: Array
    heads: Array
    columns: Array
    rows: Array

    def columns_of(self, line: int, count: int) -> slice:
        """Return the columns of the readout that the `count` samples of a line fill."""
        return slice(self.columns[line], self.columns[line] + count)

    def at(self, place: Shape) -> Array:
        """Return the indices of the lines at a place in the dimensions beyond COIL."""
        return np.flatnonzero(np.all([self.heads["idx"][name] == place[axis - BEYOND]
                                      for name, axis in COUNTERS.items()], 0))


@dataclass(frozen=True)
class IsmrmrdFile:
    """k-space of an ISMRMRD file, averaged, prewhitened if there is a noise scan, and without readout oversampling.

    READ is the readout and PHS1 the phase encoding; `width` is the size of the readout with its oversampling.
    """

    path: Path
    shape: Shape
    width: int
    lines: Lines
    prewhitening: Array | None

    @cached_property
    def pattern(self) -> Array:
        """True where a sample was acquired, (READ, PHS1, 1, 1, MAPS, ...): a readout may be an asymmetric echo."""
        pattern = np.empty((*self.shape[:2], 1, 1, *self.shape[BEYOND:]), bool, order="F")
        for place in np.ndindex(self.shape[BEYOND:]):
            pattern[index_of(place)] = self._without_oversampling(self._counts(place) > 0)[:, :, None, None]
        return pattern

    def slice(self, place: Shape) -> Array:
        """Read k-space (READ, PHS1, PHS2, COIL), complex64, at a place in the dimensions beyond COIL."""
        counts = self._counts(place)
        kspace = self._sum(place)
        kspace /= np.maximum(counts, 1)[:, :, None, None]
        if self.prewhitening is not None:
            kspace = mix(self.prewhitening, kspace)
        size = self.shape[0]
        if size < self.width:  # The oversampling is removed by cropping the readout in image space.
            start = self.width // 2 - size // 2
            kspace = fft2c(ifft2c(kspace, axes=(0,))[start:start + size], axes=(0,))
        return kspace * self._without_oversampling(counts > 0)[:, :, None, None]

    def _sum(self, place: Shape) -> Array:
        """Sum all lines at a place: k-space (READ with its oversampling, PHS1, 1, COIL)."""
        kspace = np.zeros((self.width, self.shape[1], 1, self.shape[COIL]), np.complex64, order="F")
        lines = self.lines.at(place)
        for line, data in zip(lines, _samples(self.path, self.lines.numbers[lines], self.lines.heads[lines])):
            head = self.lines.heads[line]
            data = data[:, head["discard_pre"]:data.shape[1] - head["discard_post"]]
            kspace[self.lines.columns_of(line, data.shape[1]), self.lines.rows[line], 0] += data.T
        return kspace

    def _counts(self, place: Shape) -> Array:
        """Count how often each sample (READ with its oversampling, PHS1) was acquired."""
        counts = np.zeros((self.width, self.shape[1]), np.float32)
        for line in self.lines.at(place):
            head = self.lines.heads[line]
            kept = int(head["number_of_samples"]) - int(head["discard_pre"]) - int(head["discard_post"])
            counts[self.lines.columns_of(line, kept), self.lines.rows[line]] += 1
        return counts

    def _without_oversampling(self, pattern: Array) -> Array:
        """Return a pattern at the sample positions that remain when the oversampling has been removed."""
        full, size = self.width, self.shape[0]
        return pattern[full // 2 + np.round((np.arange(size) - size // 2) * full / size).astype(int)]


def open_ismrmrd(path: Path) -> IsmrmrdFile:
    """Open a file of a Cartesian 2-D scan.

    Raises ImportError without the package ismrmrd, and ValueError for a damaged file or another kind of scan.
    """
    encoding, heads = _read_headers(path)
    _check_cartesian(path, encoding)
    lines = _place_lines(path, encoding, heads, _image_lines(path, heads))
    matrix = encoding.encodedSpace.matrixSize
    width = min(matrix.x, encoding.reconSpace.matrixSize.x)
    sizes = {axis: 1 + int(lines.heads["idx"][name].max()) for name, axis in COUNTERS.items()}
    shape = (width, matrix.y, 1, int(lines.heads["active_channels"][0]),
             *(sizes.get(axis, 1) for axis in range(BEYOND, len(DIMS))))
    return IsmrmrdFile(path, shape, matrix.x, lines, _prewhitening(path, heads))


def _read_headers(path: Path) -> tuple[Any, Array]:
    """Return the first encoding of the XML header, and the headers of all acquisitions as a structured array."""
    try:
        import ismrmrd
    except ImportError:
        raise ImportError(f"{path}: needs the package ismrmrd (pip install 'bart_pogmdm[ismrmrd]')") from None
    return read_hdf5(path, lambda file: (ismrmrd.xsd.CreateFromDocument(file["dataset/xml"][0]).encoding[0],
                                         file["dataset/data"].fields("head")[()]))


def _check_cartesian(path: Path, encoding: Any) -> None:
    partitions = encoding.encodedSpace.matrixSize.z
    trajectory = getattr(encoding.trajectory, "value", encoding.trajectory)
    if trajectory != "cartesian" or partitions > 1:
        raise ValueError(f"{path}: expected a Cartesian 2-D acquisition, got {trajectory}, {partitions} partitions")


def _image_lines(path: Path, heads: Array) -> Array:
    """Return the numbers of the image's acquisitions.  Raises ValueError if there are none or some are reversed."""
    numbers = np.flatnonzero(~_has(heads, *NO_IMAGE))
    if not len(numbers):
        raise ValueError(f"{path}: no line of an image among {len(heads)} acquisitions")
    if _has(heads, "REVERSE")[numbers].any():
        raise ValueError(f"{path}: expected lines of one direction, got some in reverse (EPI needs a correction)")
    return numbers


def _has(heads: Array, *names: str) -> Array:
    """Return a mask of the acquisitions that have any of the flags ACQ_IS_<name>."""
    import ismrmrd
    bits = sum(1 << (getattr(ismrmrd, f"ACQ_IS_{name}") - 1) for name in names)
    return heads["flags"] & np.uint64(bits) != 0


def _place_lines(path: Path, encoding: Any, all_heads: Array, numbers: Array) -> Lines:
    """Place the lines in the encoded matrix so that the centre of k-space is at n // 2 in both directions.

    Raises ValueError if a line does not fit in the matrix.
    """
    heads, matrix = all_heads[numbers], encoding.encodedSpace.matrixSize
    limits = encoding.encodingLimits.kspace_encoding_step_1
    rows = heads["idx"]["kspace_encode_step_1"].astype(int) + matrix.y // 2
    rows -= limits.center if limits else matrix.y // 2
    pre, post, samples = (heads[name].astype(int) for name in ("discard_pre", "discard_post", "number_of_samples"))
    columns, kept = matrix.x // 2 - heads["center_sample"].astype(int) + pre, samples - pre - post
    outside = (columns < 0) | (columns + kept > matrix.x) | (rows < 0) | (rows >= matrix.y)
    if outside.any():
        bad = np.argmax(outside)
        raise ValueError(f"{path}: a line of {kept[bad]} samples at row {rows[bad]} lies outside the encoded"
                         f" matrix of {matrix.x} x {matrix.y}")
    return Lines(numbers, heads, columns, rows)


def _prewhitening(path: Path, heads: Array) -> Array | None:
    """Return the matrix that decorrelates the noise of the coils, from the noise scans; None if there are none."""
    numbers = np.flatnonzero(_has(heads, "NOISE_MEASUREMENT"))
    return whitening(np.concatenate(_samples(path, numbers, heads[numbers]), 1)) if len(numbers) else None


def _samples(path: Path, numbers: Array, heads: Array) -> list[Array]:
    """Read the samples (channels, samples) of acquisitions."""
    def read(file: Any) -> list[Array]:
        data = file["dataset/data"].fields("data")
        return [data[int(number)].view(np.complex64).reshape(head["active_channels"], head["number_of_samples"])
                for number, head in zip(numbers, heads)]

    return read_hdf5(path, read)
