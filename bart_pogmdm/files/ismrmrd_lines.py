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
# Where the centre is not in the middle, lines and samples may lie beyond the matrix by this part of it.
LARGEST_BEYOND = 1 / 8
# Fields of view are rounded; ratios of them that differ by this part are the same.
SAME_RATIO = 0.05


@dataclass(frozen=True)
class Lines:
    """The lines of an image in k-space, whose centre is at n // 2 in all directions.

    numbers: numbers of the acquisitions in the file.  heads: their headers.
    width, size: size of the readout with its oversampling and without.
    height, depth: size of the phase encoding, and number of partitions, 1 in a 2-D scan.
    skipped, kept: number of samples that are left out at the start of a line and that are kept, in the direction of
    k-space.  columns: position of the first kept sample in the readout with its oversampling.
    rows, partitions: position in both phase encodings.  is_reversed: if the readout ran backwards.
    places: index in each dimension beyond COIL, (lines, 12).
    """

    numbers: Array
    heads: Array
    width: int
    size: int
    height: int
    depth: int
    skipped: Array
    kept: Array
    columns: Array
    rows: Array
    partitions: Array
    is_reversed: Array
    places: Array

    @property
    def beyond(self) -> Shape:
        """Sizes of the dimensions beyond COIL."""
        return tuple(int(n) + 1 for n in self.places.max(0))

    def at(self, place: Shape, partition: int) -> Array:
        """Return the indices of the lines of a partition at a place in the dimensions beyond COIL."""
        return np.flatnonzero((self.partitions == partition) & (self.places == place).all(1))

    def columns_of(self, line: int) -> slice:
        """Return the columns of the readout that a line fills."""
        return slice(int(self.columns[line]), int(self.columns[line] + self.kept[line]))

    def in_kspace(self, line: int, data: Array) -> Array:
        """Return the samples (channels, samples) of a line that are kept, in the direction of k-space."""
        ahead = data[:, ::-1] if self.is_reversed[line] else data
        return ahead[:, self.skipped[line]:self.skipped[line] + self.kept[line]]


def place_lines(path: Path, encoding: Encoding, numbers: Array, heads: Array) -> Lines:
    """Place the lines.  Raises ValueError if they do not fit in the matrix, or mix two directions of the readout."""
    (_, height, depth), (center_1, center_2) = encoding.matrix, encoding.centers
    rows = _positions(heads["idx"]["kspace_encode_step_1"].astype(int), height, center_1)
    steps = heads["idx"]["kspace_encode_step_2"].astype(int)
    is_3d = bool((steps != steps[0]).any())
    partitions, depth = (_positions(steps, depth, center_2), depth) if is_3d else (np.zeros_like(rows), 1)
    is_inside = (_inside(path, rows, np.ones_like(rows), height, "lines") > 0) & (
        _inside(path, partitions, np.ones_like(rows), depth, "partitions") > 0)
    if not is_inside.any():
        raise ValueError(f"{path}: all lines lie outside the encoded matrix")
    numbers, heads, rows, partitions = (array[is_inside] for array in (numbers, heads, rows, partitions))
    samples, pre, post, center = (heads[name].astype(int) for name in ("number_of_samples", "discard_pre",
                                                                       "discard_post", "center_sample"))
    kept, is_reversed = samples - pre - post, has(heads["flags"], Effect.REVERSED)
    if kept.min() < 1 or heads["active_channels"].min() < 1:
        raise ValueError(f"{path}: acquisition {numbers[np.argmin(kept)]} has no samples, or no channels")
    places = _places(heads)
    _check_directions(path, places, is_reversed)
    skipped, center = np.where(is_reversed, post, pre), np.where(is_reversed, samples - 1 - center, center)
    if not heads["center_sample"].any() and not _fits(skipped - center, kept, encoding.matrix[0]):
        center = samples // 2  # Some exporters leave 0, and mean the middle.
    width, size, first = _readout(path, encoding, skipped - center, kept, is_reversed)
    columns = width // 2 + first
    kept = _inside(path, columns, kept, width, "samples of a line")
    skipped += np.maximum(-columns, 0)
    lines = Lines(numbers, heads, width, size, height, depth, skipped, kept, np.maximum(columns, 0), rows, partitions,
                  is_reversed, places)
    _check_size(path, lines)
    return lines


def _inside(path: Path, first: Array, counts: Array, size: int, name: str) -> Array:
    """Return how many of `counts` positions from the first one on lie in a matrix of a size.

    Raises ValueError if too many lie beyond it, and a warning if it is more than one line or sample.
    """
    beyond = int(max(-first.min(), (first + counts).max() - size))
    inside = np.maximum(np.minimum(first + counts, size) - np.maximum(first, 0), 0)
    if beyond > LARGEST_BEYOND * size or not inside.any():
        raise ValueError(f"{path}: {name} lie outside the encoded matrix, {beyond} positions beyond its {size}")
    if beyond > 1:
        doubt(f"{path}: {name} were left out, up to {beyond} positions beyond the {size} of the encoded matrix, because"
              " the centre of k-space is not in their middle")
    return inside


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


def _positions(steps: Array, size: int, center: int | None) -> Array:
    """Return the position of each line in a phase encoding of a size; None: the centre is in the middle."""
    if center is None or (center == 0 and steps.max() >= size - size // 2):  # 0 is a default that some exporters leave.
        center = size // 2
    return steps + size // 2 - center


def _check_size(path: Path, lines: Lines) -> None:
    """Raise ValueError if k-space would be far larger than the lines, or empty: then the header is damaged."""
    if sum(n > 1 for n in (lines.size, lines.height, lines.depth)) < 2:
        raise ValueError(f"{path}: the header leaves an image of {lines.size} x {lines.height} x {lines.depth}")
    channels = int(lines.heads["active_channels"][0])
    images = int(np.prod(lines.beyond, dtype=object))
    samples = lines.width * lines.height * lines.depth * images * channels
    if samples > max(SMALL_KSPACE, KSPACE_EXPANSION * channels * int(lines.kept.sum())):
        raise ValueError(f"{path}: {len(lines.rows)} lines are too few for {images} images of {lines.width} x"
                         f" {lines.height} x {lines.depth} samples, which the header and the counters state")
