"""ISMRMRD raw data of Cartesian scans: readout lines are sorted into k-space partition by partition.

Which line belongs where is decided in `ismrmrd_flags`, `ismrmrd_header`, `ismrmrd_selection` and `ismrmrd_lines`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, COIL, index_of
from ..arrays.doubts import doubt
from ..physics.coil_compression import mix, whitening
from ..physics.fourier import fft2c, ifft2c
from .geometry import Geometry, Vector
from .hdf5 import read_hdf5
from .ismrmrd_geometry import slices_of, voxel_of
from .ismrmrd_header import Encoding, read_header
from .ismrmrd_lines import Lines, place_lines
from .ismrmrd_selection import COUNTERS, image_lines, noise_lines

STANDARD_GROUP = "dataset"
# Whole numbers in the header of an acquisition, and the counters among them.
NUMBERS = ("flags", "number_of_samples", "active_channels", "channel_mask", "discard_pre", "discard_post",
           "center_sample", "encoding_space_ref")
ALL_COUNTERS = (*COUNTERS, "kspace_encode_step_1", "kspace_encode_step_2", "average", "segment", "user")
SHAPES: dict[str, Shape] = {"channel_mask": (16,), "user": (8,)}


@dataclass(frozen=True)
class IsmrmrdFile:
    """k-space of an ISMRMRD file, averaged, prewhitened if there is a noise scan, and without readout oversampling.

    READ is the readout, PHS1 the phase encoding, and PHS2 that of the partitions of a 3-D scan.
    group: name of the group in the file.  geometry: that of each slice, or of the volume; None if it is not known.
    """

    path: Path
    group: str
    lines: Lines
    prewhitening: Array | None
    encoding: Encoding
    geometry: tuple[Geometry, ...] | None

    @property
    def voxel(self) -> Vector | None:
        """Sides of a voxel of a volume in mm; None if they are not known, or for slices."""
        return voxel_of(self.encoding, self.lines) if min(self.shape[:COIL]) > 1 else None

    @property
    def shape(self) -> Shape:
        """The 16 sizes in BART's order."""
        lines = self.lines
        return (lines.size, lines.height, lines.depth, int(lines.heads["active_channels"][0]), *lines.beyond)

    @cached_property
    def pattern(self) -> Array:
        """True where a sample was acquired, (READ, PHS1, PHS2, 1, MAPS, ...): a readout may be an asymmetric echo."""
        pattern = np.empty((*self.shape[:COIL], 1, *self.shape[BEYOND:]), bool, order="F")
        for place in np.ndindex(self.shape[BEYOND:]):
            for partition in range(self.lines.depth):
                counts = self._counts(self.lines.at(place, partition))
                pattern[index_of(place)][:, :, partition, 0] = self._without_oversampling(counts > 0)
        return pattern

    def slice(self, place: Shape) -> Array:
        """Read k-space (READ, PHS1, PHS2, COIL), complex64, at a place in the dimensions beyond COIL."""
        kspace = np.empty(self.shape[:BEYOND], np.complex64, order="F")
        for partition in range(self.lines.depth):  # one by one, because their oversampling takes memory
            kspace[:, :, partition:partition + 1] = self._partition(self.lines.at(place, partition))
        return kspace

    def _partition(self, found: Array) -> Array:
        """Return k-space (READ, PHS1, 1, COIL) of the lines of a partition."""
        counts = self._counts(found)
        kspace = self._sum(found)
        kspace /= np.maximum(counts, 1)[:, :, None, None]
        if self.prewhitening is not None:
            kspace = mix(self.prewhitening, kspace)
        size, width = self.lines.size, self.lines.width
        if size < width:  # The oversampling is removed by cropping the readout in image space.
            start = width // 2 - size // 2
            kspace = fft2c(ifft2c(kspace, axes=(0,))[start:start + size], axes=(0,))
        return kspace * self._without_oversampling(counts > 0)[:, :, None, None]

    def _sum(self, found: Array) -> Array:
        """Sum the lines of a partition: k-space (READ with its oversampling, PHS1, 1, COIL)."""
        lines = self.lines
        kspace = np.zeros((lines.width, lines.height, 1, self.shape[COIL]), np.complex64, order="F")
        for line, data in zip(found, _samples(self.path, self.group, lines.numbers[found], lines.heads[found])):
            kspace[lines.columns_of(line), lines.rows[line], 0] += lines.in_kspace(line, data).T
        return kspace

    def _counts(self, found: Array) -> Array:
        """Count how often each sample (READ with its oversampling, PHS1) of a partition was acquired."""
        counts = np.zeros((self.lines.width, self.lines.height), np.float32)
        for line in found:
            counts[self.lines.columns_of(line), self.lines.rows[line]] += 1
        return counts

    def _without_oversampling(self, pattern: Array) -> Array:
        """Return a pattern at the sample positions that remain when the oversampling has been removed."""
        full, size = self.lines.width, self.lines.size
        return pattern[full // 2 + np.floor((np.arange(size) - size // 2) * full / size + 0.5).astype(int)]


def groups_with_data(file: Any) -> list[str]:
    """Return the names of the groups of an open HDF5 file that hold raw data, the standard's name first."""
    found = [name for name in file if f"{name}/xml" in file and f"{name}/data" in file]
    return sorted(found, key=lambda name: name != STANDARD_GROUP)


def open_ismrmrd(path: Path) -> IsmrmrdFile:
    """Open a file of a Cartesian scan.  Raises ValueError for a damaged file or another kind of scan."""
    group, texts, heads = _read(path)
    encoding, numbers = image_lines(path, read_header(path, texts), heads)
    lines = place_lines(path, encoding, numbers, heads[numbers])
    prewhitening = _prewhitening(path, group, heads, int(lines.heads["active_channels"][0]))
    return IsmrmrdFile(path, group, lines, prewhitening, encoding, slices_of(path, encoding, lines))


def _read(path: Path) -> tuple[str, list[bytes], Array]:
    """Return the name of the group, the XML headers, and the headers of all acquisitions as a structured array."""
    def read(file: Any) -> tuple[list[str], list[bytes], Array]:
        groups = groups_with_data(file)
        texts = np.ravel(file[groups[0]]["xml"][()])
        return (groups, [text if isinstance(text, bytes) else str(text).encode() for text in texts],
                file[groups[0]]["data"].fields("head")[()])

    groups, texts, heads = read_hdf5(path, read)
    if len(groups) > 1 and groups[0] != STANDARD_GROUP:
        raise ValueError(f"{path}: expected one group with raw data, or one named {STANDARD_GROUP},"
                         f" got {', '.join(groups)}")
    return groups[0], texts, _checked(path, heads)


def _checked(path: Path, heads: Array) -> Array:
    """Return the headers of the acquisitions.  Raises ValueError unless they have the standard's fields."""
    kind = heads.dtype
    bad = _missing(kind, NUMBERS) + (_missing(kind["idx"], ALL_COUNTERS) if "idx" in (kind.names or ()) else ["idx"])
    if heads.ndim != 1 or bad:
        raise ValueError(f"{path}: expected acquisitions as in the standard, but these fields are missing or of another"
                         f" type: {', '.join(bad) or 'head'}")
    return heads


def _missing(kind: np.dtype, names: Iterable[str]) -> list[str]:
    """Return those names that are not fields with whole numbers, or arrays of them, in a structured type."""
    return [name for name in names if name not in (kind.names or ()) or kind[name].base.kind not in "iu"
            or kind[name].shape != SHAPES.get(name, ())]


def _prewhitening(path: Path, group: str, heads: Array, channels: int) -> Array | None:
    """Return the matrix that decorrelates the noise of the coils; None if there is no noise scan, or no usable one.

    The dwell time of the noise scan does not matter: it scales the covariance, and the matrix has determinant 1.
    """
    found = noise_lines(heads)
    numbers = found[heads["active_channels"][found] == channels]
    if not len(found):
        return None
    try:
        if not len(numbers):
            raise ValueError(f"it has {heads['active_channels'][found[0]]} channels, and the image {channels}")
        return whitening(np.concatenate(_samples(path, group, numbers, heads[numbers]), 1))
    except ValueError as error:
        doubt(f"{path}: the coils are not prewhitened, because the noise scan cannot be used: "
              + str(error).removeprefix(f"{path}: ").removeprefix("noise: "))
        return None


def _samples(path: Path, group: str, numbers: Array, heads: Array) -> list[Array]:
    """Read the samples (channels, samples) of acquisitions with ascending numbers; ValueError if they are damaged."""
    def read(file: Any) -> list[Array]:
        return [np.asarray(samples, np.float32) for samples in file[group]["data"].fields("data")[numbers]]

    found = read_hdf5(path, read) if len(numbers) else []
    for number, head, samples in zip(numbers, heads, found):
        channels, count = int(head["active_channels"]), int(head["number_of_samples"])
        if samples.size != 2 * channels * count:
            raise ValueError(f"{path}: acquisition {number} holds {samples.size} numbers,"
                             f" expected 2 x {channels} x {count}")
        if not np.isfinite(samples).all():
            raise ValueError(f"{path}: acquisition {number} holds NaN or infinite samples")
    return [samples.view(np.complex64).reshape(int(head["active_channels"]), -1) for samples, head in zip(found, heads)]
