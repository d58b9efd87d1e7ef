"""ISMRMRD raw data of Cartesian scans: readout lines are sorted into k-space partition by partition.

Which line belongs where is decided in `ismrmrd_flags`, `ismrmrd_header`, `ismrmrd_selection` and `ismrmrd_lines`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, COIL, index_of
from ..arrays.doubts import doubt
from ..physics.coil_compression import mix, whitening
from ..physics.fourier import fft2c, ifft2c
from ..physics.spikes import SpikeRules, fill_spikes
from .geometry import Geometry, Vector
from .ismrmrd_acquisitions import Acquisitions
from .ismrmrd_geometry import slices_of, voxel_of
from .ismrmrd_header import Encoding, read_header
from .ismrmrd_lines import Lines, place_lines
from .ismrmrd_repeats import RepeatRules, check_repeats
from .ismrmrd_selection import image_lines, noise_lines
from .scan_tags import tags_of


@dataclass(frozen=True, eq=False)
class IsmrmrdKspace:
    """k-space of ISMRMRD raw data, averaged, prewhitened if there is a noise scan, and without readout oversampling.

    READ is the readout, PHS1 the phase encoding, and PHS2 that of the partitions of a 3-D scan.
    geometry: that of each slice, or of the volume; None if it is not known.
    """

    source: Acquisitions
    lines: Lines
    prewhitening: Array | None
    encoding: Encoding
    geometry: tuple[Geometry, ...] | None

    @property
    def voxel(self) -> Vector | None:
        """Sides of a voxel of a volume in mm; None if they are not known, or for slices."""
        return voxel_of(self.encoding, self.lines) if min(self.shape[:COIL]) > 1 else None

    @cached_property
    def tags(self) -> dict[str, str]:
        """{keyword of DICOM: value} of the scan and the patient."""
        return tags_of(self.source.texts)

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
        if size < width:  # The oversampling is removed by cropping the readout in image space, which spreads spikes.
            if fill_spikes(np.moveaxis(kspace[:, :, 0], -1, 0), counts > 0, size, SpikeRules()):
                doubt(f"{self.source.path}: samples that are far larger than those about them are replaced by what the"
                      " others of their readout tell: were they disturbed, by spikes?")
            start = width // 2 - size // 2
            kspace = fft2c(ifft2c(kspace, axes=(0,))[start:start + size], axes=(0,))
        return kspace * self._without_oversampling(counts > 0)[:, :, None, None]

    def _sum(self, found: Array) -> Array:
        """Sum the lines of a partition: k-space (READ with its oversampling, PHS1, 1, COIL)."""
        lines = self.lines
        kspace = np.zeros((lines.width, lines.height, 1, self.shape[COIL]), np.complex64, order="F")
        for line, data in zip(found, self.source.samples(lines.numbers[found])):
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


def sort(source: Acquisitions) -> IsmrmrdKspace:
    """Return the k-space of a Cartesian scan.  Raises ValueError for damaged acquisitions or another kind of scan."""
    path, heads = source.path, source.heads
    encoding, numbers = image_lines(path, read_header(path, source.texts), heads)
    lines = place_lines(path, encoding, numbers, heads[numbers])
    check_repeats(source, lines, RepeatRules())
    prewhitening = _prewhitening(source, int(lines.heads["active_channels"][0]))
    return IsmrmrdKspace(source, lines, prewhitening, encoding, slices_of(path, encoding, lines))


def _prewhitening(source: Acquisitions, channels: int) -> Array | None:
    """Return the matrix that decorrelates the noise of the coils; None if there is no noise scan, or no usable one.

    The dwell time of the noise scan does not matter: it scales the covariance, and the matrix has determinant 1.
    """
    path, heads = source.path, source.heads
    found = noise_lines(heads)
    numbers = found[heads["active_channels"][found] == channels]
    if not len(found):
        return None
    try:
        if not len(numbers):
            raise ValueError(f"it has {heads['active_channels'][found[0]]} channels, and the image {channels}")
        return whitening(np.concatenate(source.samples(numbers), 1))
    except ValueError as error:
        doubt(f"{path}: the coils are not prewhitened, because the noise scan cannot be used: "
              + str(error).removeprefix(f"{path}: ").removeprefix("noise_scan: "))
        return None
