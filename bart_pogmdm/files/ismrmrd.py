"""k-space in files of other makers, in BART's order, whole or by slices: npz, npy, fastMRI's and ISMRMRD's HDF5."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..arrays.bart_dims import BATCH, BEYOND, COIL, DIMS, SLICE, TE, TIME, TIME2
from ..physics.coil_compression import mix, whitening
from ..physics.fourier import fft2c, ifft2c
from .stored import naming_file

COUNTERS = {"slice": SLICE, "contrast": TE, "phase": TIME, "repetition": TIME2, "set": BATCH}  # of ISMRMRD


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
        with naming_file(path), h5py.File(path) as file:
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
                 *(sizes.get(axis, 1) for axis in range(BEYOND, len(DIMS))))
        raw = cls(path, shape, matrix.x, numbers, lines, first, row, None)
        if not len(noise):
            return raw
        scan = np.concatenate(list(raw._samples(noise, heads[noise])), 1)
        return replace(raw, whitening=whitening(scan))

    def _samples(self, numbers, heads):
        """(channels, samples) of acquisitions."""
        import h5py
        with naming_file(self.path), h5py.File(self.path) as file:
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
        kspace = np.zeros((self.width, self.shape[1], 1, self.shape[COIL]), np.complex64, order="F")
        lines, counts = self._at(place), self._counts(place)
        for line, data in zip(lines, self._samples(self.numbers[lines], self.heads[lines])):
            head = self.heads[line]
            data = data[:, head["discard_pre"]:data.shape[1] - head["discard_post"]]
            kspace[self._columns(line, data.shape[1]), self.row[line], 0] += data.T
        kspace /= np.maximum(counts, 1)[:, :, None, None]
        if self.whitening is not None:
            kspace = mix(self.whitening, kspace)
        full, size = self.width, self.shape[0]
        if size < full:  # cropped in image space
            start = full // 2 - size // 2
            kspace = fft2c(ifft2c(kspace, axes=(0,))[start:start + size], axes=(0,))
        return kspace * self._narrow(counts > 0)[:, :, None, None]
