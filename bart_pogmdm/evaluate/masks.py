"""Sampling masks on the grid of k-space, boolean (ny, nx), with the zero frequency at n // 2.

`named` makes a mask from a word: a kind and its number, as cartesian4, and for some kinds the size of the fully sampled
centre, as uniform2acs24.  Words joined by + leave what all of them sample: uniform2acs24+partial0.75.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array, Shape
from .poisson_disc import CENTRE_PART, ellipse_radius, poisson_disc

ACS_FRACTION = 0.08  # Part of the lines that is fully sampled at the centre (ACS), as in fastMRI at R = 4.
ACS_LINES = 24       # Calibration lines of uniform masks: usual on scanners.
ARMS = 8             # Of a spiral.
GAUSSIAN_WIDTH = 1 / 6  # Standard deviation of the density of points, as a part of each side.
MaskMaker: TypeAlias = Callable[..., Array]  # (shape, number, seed, **options) -> mask


def cartesian(shape: Shape, acceleration: float, seed: int, *, acs_fraction: float = ACS_FRACTION,
              horizontal: bool = False) -> Array:
    """Sample 1 / acceleration of all lines: `acs_fraction` of all at the centre, and others at random.

    The lines are vertical (one column each) unless `horizontal` is set.
    """
    if horizontal:
        return cartesian(shape[::-1], acceleration, seed, acs_fraction=acs_fraction).T
    lines = shape[1]
    centre = max(1, round(acs_fraction * lines))
    line = _centre(lines, centre)
    others = np.flatnonzero(~line)
    wanted = max(0, round(lines / acceleration) - centre)
    line[np.random.default_rng(seed).choice(others, min(wanted, len(others)), replace=False)] = True
    return np.tile(line, (shape[0], 1))


def uniform(shape: Shape, acceleration: int, *, acs: int = ACS_LINES) -> Array:
    """Sample every vertical line whose distance from the centre is a multiple of `acceleration`, and `acs` lines."""
    lattice = (np.arange(shape[1]) - shape[1] // 2) % acceleration == 0
    return np.tile(lattice | _centre(shape[1], acs), (shape[0], 1))


def caipi(shape: Shape, acceleration: int, *, acs: int = ACS_LINES) -> Array:
    """Sample every second row, in it one of `acceleration` / 2 points, and a centre of `acs` x `acs` points.

    The points are shifted by one in every other of these rows: CAIPIRINHA, for two directions of phase encoding.
    F. A. Breuer et al., Magn. Reson. Med. 55, 2006, doi 10.1002/mrm.20787.
    """
    y, x = (np.arange(n) - n // 2 for n in shape)
    lattice = (y[:, None] % 2 == 0) & ((x - y[:, None] // 2 % 2) % (acceleration // 2) == 0)
    return lattice | np.logical_and.outer(*(_centre(n, acs) for n in shape))


def partial_fourier(shape: Shape, part: float, axis: int = 1) -> Array:
    """Sample the first `part` of the vertical lines, or the last of each line (an asymmetric echo) along axis 0."""
    kept = np.arange(shape[axis]) < round(part * shape[axis])
    return np.broadcast_to(kept if axis else kept[::-1, None], shape)


def gaussian(shape: Shape, acceleration: float, seed: int) -> Array:
    """Draw 1 / acceleration of all points from a normal density with a standard deviation of 1 / 6 of each side."""
    rng = np.random.default_rng(seed)
    y, x = (((np.arange(n) - n // 2) / n) ** 2 for n in shape)
    log_density = -(y[:, None] + x) / (2 * GAUSSIAN_WIDTH**2)
    keys = log_density + rng.gumbel(size=shape)  # The points of the largest keys are a draw without replacement.
    keys[shape[0] // 2, shape[1] // 2] = np.inf
    count = max(1, round(keys.size / acceleration))
    return keys >= np.partition(keys, -count, axis=None)[-count]


def radial(shape: Shape, spokes: int) -> Array:
    """Sample spokes through the centre at multiples of the golden angle, rounded to the grid."""
    angles = np.arange(spokes)[:, None] * np.pi * (5**0.5 - 1) / 2
    return _on_grid(shape, np.linspace(-0.5, 0.5, 4 * max(shape)), angles)


def spiral(shape: Shape, acceleration: float) -> Array:
    """Sample evenly rotated Archimedean spirals with turns `acceleration` grid points apart, rounded to the grid."""
    turns = max(shape) / (2 * ARMS * acceleration)
    place = np.linspace(0, 1, int(16 * (turns + 1) * max(shape))) ** 0.5
    return _on_grid(shape, place / 2, 2 * np.pi * (turns * place + np.arange(ARMS)[:, None] / ARMS))


def _on_grid(shape: Shape, radius: Array, angle: Array) -> Array:
    """Sample the grid points nearest to polar coordinates; the radius is in units of each side."""
    mask = np.zeros(shape, bool)
    y, x = (np.round(n // 2 + n * radius * turn).astype(int) for n, turn in zip(shape, (np.sin(angle), np.cos(angle))))
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    mask[y[inside], x[inside]] = True
    return mask


def _centre(lines: int, width: int) -> Array:
    """Return a vector of `lines` that is True at the `width` lines around the centre."""
    place = np.arange(lines) - lines // 2 + width // 2
    return (place >= 0) & (place < width)


@dataclass(frozen=True)
class Kind:
    """A kind of masks: make(shape, number, seed) and, where `acs` is not 0, make(shape, number, seed, acs).

    smallest, largest: the bounds of its number; a kind with smallest None has none.  step: its number is a multiple.
    acs: the largest size of the fully sampled centre.
    """

    make: MaskMaker
    smallest: float | None = 1
    largest: float = np.inf
    step: int = 0
    acs: float = 0


KINDS: dict[str, Kind] = {
    "cartesian": Kind(lambda shape, number, seed, acs=100 * ACS_FRACTION: cartesian(
        shape, number, seed, acs_fraction=acs / 100), acs=100),
    "horizontal": Kind(lambda shape, number, seed, acs=100 * ACS_FRACTION: cartesian(
        shape, number, seed, acs_fraction=acs / 100, horizontal=True), acs=100),
    "uniform": Kind(lambda shape, number, seed, acs=ACS_LINES: uniform(shape, int(number), acs=int(acs)),
                    step=1, acs=np.inf),
    "caipi": Kind(lambda shape, number, seed, acs=ACS_LINES: caipi(shape, int(number), acs=int(acs)),
                  smallest=2, step=2, acs=np.inf),
    "gaussian": Kind(gaussian),
    "poisson": Kind(lambda shape, number, seed, acs=None: poisson_disc(
        shape, number, seed, min(shape) // CENTRE_PART if acs is None else int(acs)), acs=np.inf),
    "radial": Kind(lambda shape, number, seed: radial(shape, round(number))),
    "spiral": Kind(lambda shape, number, seed: spiral(shape, number)),
    "full": Kind(lambda shape, number, seed: np.ones(shape, bool), None),
    "partial": Kind(lambda shape, number, seed: partial_fourier(shape, number), 0.5, 1),
    "echo": Kind(lambda shape, number, seed: partial_fourier(shape, number, axis=0), 0.5, 1),
    "ellipse": Kind(lambda shape, number, seed: ellipse_radius(shape) <= 1, None)}


def parse(word: str) -> list[tuple[str, float, dict[str, float]]]:
    """Return (kind, number, options) of each factor of a word, as uniform2acs24+partial0.75.

    The number is 0 for a kind without one.  Raises ValueError for a word of another form.
    """
    return [_parse_factor(factor, word) for factor in word.split("+")]


def _parse_factor(factor: str, word: str) -> tuple[str, float, dict[str, float]]:
    match = re.fullmatch(r"([a-z]+?)([0-9]+(?:\.[0-9]+)?)?(?:acs([0-9]+(?:\.[0-9]+)?))?", factor)
    kind = KINDS.get(match[1]) if match else None
    if not match or not kind:
        raise ValueError(f"masks: expected one of {', '.join(KINDS)} with its number, as cartesian4; words joined by +"
                         f" keep the samples that all have, got {word!r}")
    number = float(match[2] or 0)
    if kind.smallest is None:
        if match[2]:
            raise ValueError(f"masks: {match[1]} takes no number, got {word!r}")
    elif not (match[2] and kind.smallest <= number <= kind.largest and not (kind.step and number % kind.step)):
        bounds = f">= {kind.smallest:g}" if kind.largest == np.inf else f"from {kind.smallest:g} to {kind.largest:g}"
        form = {0: "a number", 1: "a whole number", 2: "an even number"}[kind.step]
        raise ValueError(f"masks: {match[1]} expects {form} {bounds}, got {word!r}")
    if match[3] and float(match[3]) > kind.acs:
        raise ValueError(f"masks: {match[1]} " + (f"expects at most {kind.acs:g} percent at the centre" if kind.acs
                                                  else "has no acs") + f", got {word!r}")
    return match[1], number, {"acs": float(match[3])} if match[3] else {}


def named(word: str, shape: Shape, seed: int) -> Array:
    """Make the mask of a word such as cartesian4 or full+ellipse.  Raises ValueError for a word of another form."""
    factors = [KINDS[kind].make(shape, number, seed, **options) for kind, number, options in parse(word)]
    return np.logical_and.reduce(factors)
