"""Which acquisitions of an ISMRMRD file are lines of the image, and in which encoding."""

import math
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..arrays.doubts import doubt
from .ismrmrd_flags import Effect, has, names
from .ismrmrd_header import Encoding, Header

# K-space is sorted by these counters; the lines of all averages and segments are put together.
COUNTERS = ("slice", "contrast", "phase", "repetition", "set")
# Calibration of these modes is a scan of its own; in any other mode, repeated lines decide.
SEPARATE = ("separate", "external")
# The standard's matrix of a 2-D acquisition has z = 1; programs for Pulseq write 2, and have one partition.
LARGEST_2D = 2
# Of several encodings with lines of an image, one counts as that of the image if its matrix is so many times as large.
CLEARLY_LARGER = 2


def noise_lines(heads: Array) -> Array:
    """Return the numbers of the noise scans."""
    return np.flatnonzero(has(heads["flags"], Effect.NOISE))


def image_lines(path: Path, header: Header, heads: Array) -> tuple[Encoding, Array]:
    """Return the encoding of the image and the numbers of its acquisitions.

    Raises ValueError if there are none, if it is not clear which they are, or if they are not those of a Cartesian
    acquisition with the same coils.
    """
    is_line = ~has(heads["flags"], Effect.NOISE, Effect.LEFT_OUT)
    only_calibrates = is_line & has(heads["flags"], Effect.CALIBRATION) & ~has(heads["flags"], Effect.IMAGE)
    is_image = is_line & ~only_calibrates
    encoding, is_in_encoding = _encoding(path, header, heads, is_image if is_image.any() else only_calibrates)
    is_image &= is_in_encoding
    only_calibrates &= is_in_encoding
    if not _is_separate(encoding, heads, is_image, only_calibrates):
        is_image |= only_calibrates
    numbers = np.flatnonzero(is_image)
    if not len(numbers):
        raise ValueError(_no_line(path, heads["flags"]))
    _check_flags(path, heads["flags"][numbers])
    _check_kind(path, encoding, heads[numbers])
    _check_channels(path, heads[numbers])
    _check_diffusion(path, header.diffusion_counter, heads[numbers])
    return encoding, numbers


def _no_line(path: Path, flags: Array) -> str:
    found = names(flags, Effect.NOISE, Effect.LEFT_OUT, Effect.CALIBRATION)
    return f"{path}: no line of an image among {len(flags)} acquisitions" + (f" ({', '.join(found)})" if found else "")


def _check_flags(path: Path, flags: Array) -> None:
    compressed, unknown = names(flags, Effect.REFUSED), names(flags, Effect.UNKNOWN)
    if compressed:
        raise ValueError(f"{path}: its lines are compressed ({', '.join(compressed)}); expected plain samples")
    if unknown:
        doubt(f"{path}: some lines have flags that the standard does not define ({', '.join(unknown)}); it is not known"
              " whether they belong to the image, and they were used")


def _encoding(path: Path, header: Header, heads: Array, is_image: Array) -> tuple[Encoding, Array]:
    """Return the encoding of the image, and a mask of all acquisitions in it."""
    references, counts = np.unique(heads["encoding_space_ref"][is_image], return_counts=True)
    if not len(references):
        raise ValueError(_no_line(path, heads["flags"]))
    if references[-1] >= len(header.encodings):
        raise ValueError(f"{path}: a line refers to encoding {references[-1]}, but the header has"
                         f" {len(header.encodings)}, counted from 0")
    by_size = sorted(references, key=lambda number: -_size(header.encodings[number]))
    chosen = by_size[0]
    if len(by_size) > 1:
        lines = ", ".join(f"{count} in encoding {number}" for number, count in zip(references, counts))
        if _size(header.encodings[chosen]) < CLEARLY_LARGER * _size(header.encodings[by_size[1]]):
            raise ValueError(f"{path}: it is not clear which encoding is that of the image (lines: {lines})")
        doubt(f"{path}: the image is that of encoding {chosen}, the largest one; the lines of the others were left out"
              f" (lines: {lines})")
    return header.encodings[chosen], heads["encoding_space_ref"] == chosen


def _size(encoding: Encoding) -> int:
    return math.prod(encoding.matrix)


def _is_separate(encoding: Encoding, heads: Array, is_image: Array, only_calibrates: Array) -> bool:
    """Return whether the lines that only calibrate are a scan of their own.

    The header says so, or they repeat a line of the image at the same place: within one scan, such a line would
    calibrate as well.
    """
    if encoding.calibration in SEPARATE:
        return True
    steps = ("kspace_encode_step_1", "kspace_encode_step_2")
    keys = np.stack([heads["idx"][name] for name in (*COUNTERS, *steps)], 1)
    return not {*map(tuple, keys[is_image])}.isdisjoint(map(tuple, keys[only_calibrates]))


def _check_kind(path: Path, encoding: Encoding, heads: Array) -> None:
    if encoding.trajectory != "cartesian":
        raise ValueError(f"{path}: expected a Cartesian acquisition, got {encoding.trajectory or 'no trajectory'}")
    if encoding.matrix[2] > LARGEST_2D and len(np.unique(heads["idx"]["kspace_encode_step_2"])) == 1:
        raise ValueError(f"{path}: expected lines in several of the {encoding.matrix[2]} partitions of the encoded"
                         " matrix, got those of one")


def _check_channels(path: Path, heads: Array) -> None:
    counts = np.unique(heads["active_channels"])
    if len(counts) > 1:
        raise ValueError(f"{path}: expected all lines with the same channels, got lines of"
                         f" {' and '.join(map(str, counts))} channels")
    masks = heads["channel_mask"]
    if len(np.unique(masks[masks.any(1)], axis=0)) > 1:
        raise ValueError(f"{path}: expected all lines with the same channels, got several channel masks")


def _check_diffusion(path: Path, counter: str, heads: Array) -> None:
    """Raise ValueError if lines of different diffusion weightings would be averaged."""
    if not counter or counter in COUNTERS:
        return
    values = (heads["idx"]["user"][:, int(counter[-1])] if counter.startswith("user_") and counter[-1] in "01234567"
              else heads["idx"][counter] if counter in ("average", "segment") else heads["flags"][:0])
    if len(np.unique(values)) > 1:
        raise ValueError(f"{path}: its diffusion weightings are numbered by `{counter}`, over which lines are averaged;"
                         f" expected one of {', '.join(COUNTERS)}")
