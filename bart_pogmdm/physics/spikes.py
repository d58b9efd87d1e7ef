"""Spikes: single samples of k-space that outshine all those about them, and would cross the image with stripes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .cartesian_scan import CartesianScan
from .fourier import distances, fft2c, ifft2c, power_of_coils, resize
from .noncartesian import NonCartesianScan

ROUNDS = 12  # of 1/2 each, where the readout is oversampled twice
BLOCK = 1 << 15  # samples beside others that are looked at together


@dataclass(frozen=True)
class SpikeRules:
    """Which samples are spikes."""

    contrast: float = 25.0
    """Least contrast: the power of a sample, divided by that of the sample of rank `rank` among those beside it."""

    of_centre: float = 8.0
    """Least contrast, as a multiple of that of the centre of k-space: stripes of an object have no more than that."""

    rank: int = 2
    """So many less one beside a spike may be spikes, too; more are a burst, of which only the ends would be found."""

    audible: float = 1e-4
    """Least power, as a part of that of all samples: less changes no image."""

    far: float = 4.0
    """Distance from the centre of k-space, in cycles per field of view, from which on samples may be spikes."""

    beside: int = 24
    """Nearest samples that count as those beside it: on a grid in a square or cube, along a trajectory of the same
    readout.  They are those that are sampled beside the centre, too."""

    least: int = 8
    """Samples beside it that there have to be: fewer tell nothing."""

    sides: tuple[int, int] = (31, 7)
    """Side of the square, and of the cube."""

    def __post_init__(self) -> None:
        check_fields(self, ["audible"])


def spikes_on_grid(scan: CartesianScan, rules: SpikeRules) -> Array:
    """Return which samples of a scan are spikes, booleans (*grid); zero frequency is at n // 2."""
    power, sampled = scan.power()
    xp, side = array_module(power), rules.sides[power.ndim - 2]
    shape = xp.asarray(power.shape)[:, None, None]
    steps = _nearest_first(product(range(-(side // 2), side // 2 + 1), repeat=power.ndim))

    def beside(places: Array) -> tuple[Array, Array]:
        others = xp.stack(xp.unravel_index(places, power.shape))[:, :, None] + xp.asarray(steps.T[:, None])
        inside = ((others >= 0) & (others < shape)).all(0)
        others = tuple(xp.where(inside, others, 0))
        return power[others], inside & sampled[others]

    distance = distances(*(xp.arange(n) - n // 2 for n in power.shape))
    return _spikes(power.ravel(), sampled.ravel(), distance.ravel(), beside, rules).reshape(power.shape)


def fill_spikes(kspace: Array, sampled: Array, size: int, rules: SpikeRules) -> bool:
    """Replace the spikes of a plane (J, nx, ny) by what its image tells, which has `size` pixels along x.

    Oversampled readouts are told by half of their samples.  Each round projects onto such images (A. Papoulis, IEEE
    Trans. Circuits Syst. 22, 1975, doi 10.1109/TCS.1975.1084118), and takes size / nx off the error of a single sample.
    sampled: (nx, ny).  Returns whether there are any.
    """
    spikes = np.zeros(sampled.shape, bool)
    while (found := spikes_on_grid(CartesianScan(kspace, sampled & ~spikes), rules)).any():  # these may hide others
        spikes |= found
        kspace[:, found] = 0
    lines = spikes.any(0)
    for _ in range(ROUNDS if lines.any() else 0):
        image = ifft2c(kspace[:, :, lines], (1,))
        narrow = resize(resize(image, (size, image.shape[2])), image.shape[1:])
        kspace[:, spikes] = fft2c(narrow, (1,))[:, spikes[:, lines]]
    return bool(lines.any())


def spikes_along_readouts(scan: NonCartesianScan, centre: Shape, rules: SpikeRules) -> Array:
    """Return which samples of a scan are spikes, booleans (M,); centre: that of k-space, in whole samples."""
    xp, power = array_module(scan.samples), power_of_coils(scan.samples)
    if scan.readouts is None:
        return xp.zeros(len(power), bool)
    order = xp.argsort(scan.readouts, kind="stable")
    power, readouts = power[order], scan.readouts[order]
    distance = xp.sqrt(((scan.points[:, order] - xp.asarray(centre)[:, None]) ** 2).sum(0))
    steps = xp.asarray(_nearest_first((step,) for step in range(-rules.beside, rules.beside + 1))[:, 0])

    def beside(places: Array) -> tuple[Array, Array]:
        others = places[:, None] + steps
        inside = (others >= 0) & (others < len(power))
        others = xp.where(inside, others, 0)
        return power[others], inside & (readouts[others] == readouts[places][:, None]) & (power[others] > 0)

    found = xp.empty(len(power), bool)
    found[order] = _spikes(power, power > 0, distance, beside, rules)
    return found


def _nearest_first(steps: Iterable[tuple[int, ...]]) -> np.ndarray:
    """Return steps (K, D) in the order of their lengths, without that to the sample itself."""
    return np.array(sorted(steps, key=lambda step: sum(part * part for part in step))[1:])


def _spikes(power: Array, sampled: Array, distance: Array, beside: Callable[[Array], tuple[Array, Array]],
            rules: SpikeRules) -> Array:
    """Return which samples (M,) are spikes.

    beside: returns the power beside places (C,), nearest first, and which of it was sampled, both (C, K).
    """
    xp, found = array_module(power), array_module(power).zeros(power.shape, bool)
    # They are not many, since their power adds up.
    places = xp.flatnonzero(sampled & (power > rules.audible * power[sampled].sum()) & (distance > rules.far))
    centre = (power * sampled * (distance <= rules.far)).argmax()
    of_centre, by_centre = beside(xp.reshape(centre, 1))

    def outshine(places: Array) -> Array:
        near, known = beside(places)
        known &= by_centre
        known &= xp.cumsum(known, 1) <= rules.beside
        second, of_second = (xp.sort(xp.where(known, values, 0), 1)[:, -rules.rank] for values in (near, of_centre))
        least = xp.maximum(rules.contrast, rules.of_centre * power[centre] / of_second)
        return (known.sum(1) >= rules.least) & (power[places] > least * second)

    step = max(1, BLOCK // of_centre.size)
    for first in range(0, len(places), step):  # those beside all of them may need much memory
        some = places[first:first + step]
        found[some] = outshine(some)
    return found
