"""The places of an ISMRMRD file's lines in k-space."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BATCH, BEYOND, DIMS, SLICE, TE, TIME, TIME2
from ..arrays.doubts import doubt
from .ismrmrd_flags import Effect, has
from .ismrmrd_header import Encoding
from .ismrmrd_selection import COUNTERS

# The dimension of BART for each of the counters.
AXES = dict(zip(COUNTERS, (SLICE, TE, TIME, TIME2, BATCH), strict=True))
# A readout may miss so many samples of a whole number of matrices, because its centre is not in the middle.
READOUT_SLACK = 2
# A readout fills at least this part of one half of the matrix; if not, the matrix may not be that of the lines.
LEAST_FILLED = 0.75
# A header is damaged if k-space has so many times the samples of the lines, and more than this number.
KSPACE_EXPANSION, SMALL_KSPACE = 32, 1 << 24
# Fields of view are rounded; ratios of them that differ by this part are the same.
SAME_RATIO = 0.05


@dataclass(frozen=True)
class Lines:
    """The lines of an image in k-space, whose centre is at n // 2 in both directions.

    numbers: numbers of the acquisitions in the file.  heads: their headers.
    width, size: size of the readout with its oversampling and without.  height: size of the phase encoding.
    columns: position of the first kept sample in the readout with its oversampling, in the direction of k-space.
    kept: number of kept samples.  rows: position in the phase encoding.  is_reversed: if the readout ran backwards.
    places: index in each dimension beyond COIL, (lines, 12).
    """

    numbers: Array
    heads: Array
    width: int
    size: int
    height: int
    columns: Array
    kept: Array
    rows: Array
    is_reversed: Array
    places: Array

    @property
    def beyond(self) -> Shape:
        """Sizes of the dimensions beyond COIL."""
        return tuple(int(n) + 1 for n in self.places.max(0))

    def at(self, place: Shape) -> Array:
        """Return the indices of the lines at a place in the dimensions beyond COIL."""
        return np.flatnonzero((self.places == place).all(1))

    def columns_of(self, line: int) -> slice:
        """Return the columns of the readout that a line fills."""
        return slice(int(self.columns[line]), int(self.columns[line] + self.kept[line]))

    def in_kspace(self, line: int, data: Array) -> Array:
        """Return the samples (channels, samples) of a line that are kept, in the direction of k-space."""
        head = self.heads[line]
        kept = data[:, int(head["discard_pre"]):data.shape[1] - int(head["discard_post"])]
        return kept[:, ::-1] if self.is_reversed[line] else kept


def place_lines(path: Path, encoding: Encoding, numbers: Array, heads: Array) -> Lines:
    """Place the lines.  Raises ValueError if they do not fit in the matrix, or mix two directions of the readout."""
    samples, pre, post, center = (heads[name].astype(int) for name in ("number_of_samples", "discard_pre",
                                                                       "discard_post", "center_sample"))
    kept, is_reversed = samples - pre - post, has(heads["flags"], Effect.REVERSED)
    if kept.min() < 1 or heads["active_channels"].min() < 1:
        raise ValueError(f"{path}: acquisition {numbers[np.argmin(kept)]} has no samples, or no channels")
    places = _places(heads)
    _check_directions(path, places, is_reversed)
    first = np.where(is_reversed, post - (samples - 1 - center), pre - center)
    if not center.any() and not _fits(first, kept, encoding.matrix[0]):  # Some exporters leave 0: the middle is meant.
        first = np.where(is_reversed, post, pre) - samples // 2
    width, size, first = _readout(path, encoding, first, kept, is_reversed)
    height, columns, rows = encoding.matrix[1], width // 2 + first, _rows(encoding, heads)
    outside = (columns < 0) | (columns + kept > width) | (rows < 0) | (rows >= height)
    if outside.any():
        bad = np.argmax(outside)
        raise ValueError(f"{path}: a line of {kept[bad]} samples at row {rows[bad]} lies outside the encoded"
                         f" matrix of {width} x {height}")
    lines = Lines(numbers, heads, width, size, height, columns, kept, rows, is_reversed, places)
    _check_size(path, lines)
    return lines


def _places(heads: Array) -> Array:
    """Return the index of each line in each dimension beyond COIL; numbers that no line has are not counted."""
    places = np.zeros((len(heads), len(DIMS) - BEYOND), int)
    for name, axis in AXES.items():
        places[:, axis - BEYOND] = np.unique(heads["idx"][name], return_inverse=True)[1]
    return places


def _check_directions(path: Path, places: Array, is_reversed: Array) -> None:
    both = {*map(tuple, places[is_reversed])}.intersection(map(tuple, places[~is_reversed]))
    if both:
        raise ValueError(f"{path}: expected lines of one direction in each image, got some in reverse"
                         " (EPI needs a correction)")


def _readout(path: Path, encoding: Encoding, first: Array, kept: Array, is_reversed: Array) -> tuple[int, int, Array]:
    """Return size with oversampling, size without, and the first sample of each line relative to the centre of k-space.

    The oversampling is the ratio of the fields of view.
    """
    nx, ratio = encoding.matrix[0], encoding.fov_ratio
    size, needed = round(nx / ratio), 2 * int(max(-first.min(), (first + kept).max()))
    if _fits(first, kept, nx):
        if ratio > 1 + SAME_RATIO and abs(needed - size) <= READOUT_SLACK and _fits(first, kept, size):
            doubt(f"{path}: the lines have {needed} samples where the encoded matrix has {nx}; they were read as lines"
                  " whose oversampling has been removed")
            return size, size, first
        if needed < LEAST_FILLED * nx:
            doubt(f"{path}: the lines fill {needed} of the {nx} samples of the encoded matrix; if its size is wrong, so"
                  " are the proportions of the image")
        return nx, size, first
    if _fits(first - is_reversed, kept, nx):  # Some converters count the centre of reversed lines from their end.
        return nx, size, first - is_reversed
    # If the lines are twice as long, the header leaves out their oversampling, from the matrix or from all sizes.
    # At least half of a readout is always measured.
    factor = round(needed / nx)
    if needed > 2 * kept.min() or abs(needed - factor * nx) > READOUT_SLACK or not _fits(first, kept, factor * nx):
        return nx, size, first
    return factor * nx, nx if abs(ratio - factor) < SAME_RATIO * factor else size, first


def _fits(first: Array, kept: Array, width: int) -> bool:
    return bool((width // 2 + first >= 0).all() and (width // 2 + first + kept <= width).all())


def _rows(encoding: Encoding, heads: Array) -> Array:
    """Return the position of each line in the phase encoding."""
    steps, height = heads["idx"]["kspace_encode_step_1"].astype(int), encoding.matrix[1]
    center = height // 2 if encoding.center is None else encoding.center
    if center == 0 and steps.max() >= height - height // 2:  # The standard's default, which some exporters leave.
        center = height // 2
    return steps + height // 2 - center


def _check_size(path: Path, lines: Lines) -> None:
    """Raise ValueError if k-space would be far larger than the lines, or empty: then the header is damaged."""
    if min(lines.size, lines.height) < 2:
        raise ValueError(f"{path}: the header leaves an image of {lines.size} x {lines.height}")
    channels = int(lines.heads["active_channels"][0])
    images = int(np.prod(lines.beyond, dtype=object))
    samples = lines.width * lines.height * images * channels
    if samples > max(SMALL_KSPACE, KSPACE_EXPANSION * channels * int(lines.kept.sum())):
        raise ValueError(f"{path}: {len(lines.rows)} lines are too few for {images} images of {lines.width} x"
                         f" {lines.height} samples, which the header and the counters state")
