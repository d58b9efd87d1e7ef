"""Lines of raw data that repeat at the same place: whether their average is one of like samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.doubts import doubt
from .ismrmrd_acquisitions import Acquisitions
from .ismrmrd_lines import Lines


@dataclass(frozen=True)
class RepeatRules:
    """When repeats of a line contradict each other: their differences are those of noise where they do not."""

    images: int = 64
    """Images that are looked at, evenly from the first to the last: each takes as long as a part of its own reading."""

    centre: int = 24
    """Repeated lines of an image that are looked at, those nearest to the centre of k-space, and the samples of each
    that count: they hold the energy."""

    noise: float = 1.5
    """Variance of the repeats at the centre, as a multiple of the noise, above which they differ by more than noise:
    noise may vary from line to line."""

    chance: float = 10.0
    """Standard errors by which that multiple is larger, since it is the mean of a number of samples."""

    part: float = 0.025
    """Variance of the repeats beyond the noise, as a part of the power of their average, below which it does not
    matter: phases that differ by 0.23 radians have so much."""

    def __post_init__(self) -> None:
        check_fields(self)


def check_repeats(source: Acquisitions, lines: Lines, rules: RepeatRules) -> None:
    """Warn if lines that will be averaged contradict each other in an image."""
    if any(_contradict(source, lines, found, rules) for found in _repeats(lines, rules)):
        doubt(f"{source.path}: lines at the same place differ by far more than noise, and are averaged: did the object"
              " move, is a line damaged, or are these different images (average, segment, user)?")


def _repeats(lines: Lines, rules: RepeatRules) -> Iterator[list[Array]]:
    """Yield the indices of the lines at each of the repeated places next to the centre of an image, image by image."""
    places = np.ravel_multi_index((*lines.places.T, lines.partitions, lines.rows),
                                  (*lines.beyond, lines.depth, lines.height))
    repeated, counts = np.unique(places, return_counts=True)
    repeated = repeated[counts > 1]
    image, partition, row = np.unravel_index(repeated, (int(np.prod(lines.beyond)), lines.depth, lines.height))
    distance = np.hypot(partition - lines.depth // 2, row - lines.height // 2)
    in_order = np.argsort(places, kind="stable")
    images = np.unique(image)
    for number in images[::-(-len(images) // rules.images) or 1]:
        central = repeated[image == number][np.argsort(distance[image == number], kind="stable")[:rules.centre]]
        starts, ends = (np.searchsorted(places, central, side, in_order) for side in ("left", "right"))
        yield [in_order[start:end] for start, end in zip(starts, ends)]


def _contradict(source: Acquisitions, lines: Lines, found: list[Array], rules: RepeatRules) -> bool:
    """Return whether the repeats of some lines differ by more than noise, and by a part of their average that matters.

    The noise is the median variance of the samples of whole lines, coil by coil: differences of signal have their peak
    at the centre.
    """
    numbers = np.sort(np.concatenate(found))
    samples = dict(zip(numbers, source.samples(lines.numbers[numbers])))
    per_line = [_statistics(lines, at_place, [samples[line] for line in at_place]) for at_place in found]
    variance, power, typical, distance = (np.concatenate(arrays, -1) for arrays in zip(*per_line))
    is_central = distance <= rules.centre / 2
    if not is_central.any():
        return False
    variance, power, noise = variance[:, is_central], power[:, is_central].mean(1).sum(), np.median(typical, 1).sum()
    mean, most = variance.mean(1).sum(), rules.noise + rules.chance / variance.size**0.5
    return bool(mean > most * noise and mean - noise > rules.part * power)


def _statistics(lines: Lines, found: Array, samples: list[Array]) -> tuple[Array, Array, Array, Array]:
    """Return numbers (channels, samples) of the samples of a line that repeat, and their distance from the centre.

    These are the variance of the repeats, the power of their mean, and the variance whose median is that of the noise:
    a variance of n repeats of noise has a median of (1 - 1 / (9 n - 9))^3 (E. B. Wilson and M. M. Hilferty, Proc. Natl.
    Acad. Sci. 17, 1931, doi 10.1073/pnas.17.12.684).
    """
    shape = (len(samples[0]), lines.width)
    count, total, energy = np.zeros(lines.width), np.zeros(shape, complex), np.zeros(shape)
    for line, data in zip(found, samples):
        columns, kept = lines.columns_of(line), lines.in_kspace(line, data).astype(complex)
        count[columns] += 1
        total[:, columns] += kept
        energy[:, columns] += abs(kept) ** 2
    repeats = count > 1
    count, power = count[repeats], abs(total[:, repeats]) ** 2
    variance = (energy[:, repeats] - power / count).clip(0) / (count - 1)
    distance = abs(np.arange(lines.width) - lines.width // 2)[repeats] * lines.size / lines.width
    return variance, power / count**2, variance / (1 - 1 / (9 * count - 9)) ** 3, distance
