"""Sampling masks on the grid of k-space, boolean (ny, nx), with the zero frequency at n // 2.

`named` makes a mask from a word of a kind and a number: cartesian4, horizontal4, radial24, spiral4, gaussian8,
poisson8.  cartesian4acs4 samples 4 % of the lines at the centre instead of 8 %.
"""

import re
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array, Shape
from .poisson_disc import poisson_disc

ACS_FRACTION = 0.08  # Part of the lines that is fully sampled at the centre (ACS), as in fastMRI at R = 4.
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
    first = lines // 2 - centre // 2
    line = np.zeros(lines, bool)
    line[first:first + centre] = True
    others = np.flatnonzero(~line)
    wanted = max(0, round(lines / acceleration) - centre)
    line[np.random.default_rng(seed).choice(others, min(wanted, len(others)), replace=False)] = True
    return np.tile(line, (shape[0], 1))


def gaussian(shape: Shape, acceleration: float, seed: int, *, width: float = 1 / 6) -> Array:
    """Draw 1 / acceleration of all points from a normal density with the standard deviation `width` of each side."""
    rng = np.random.default_rng(seed)
    y, x = (((np.arange(n) - n // 2) / n) ** 2 for n in shape)
    log_density = -(y[:, None] + x) / (2 * width**2)
    keys = log_density + rng.gumbel(size=shape)  # The points of the largest keys are a draw without replacement.
    keys[shape[0] // 2, shape[1] // 2] = np.inf
    count = max(1, round(keys.size / acceleration))
    return keys >= np.partition(keys, -count, axis=None)[-count]


def radial(shape: Shape, spokes: int) -> Array:
    """Sample spokes through the centre at multiples of the golden angle, rounded to the grid."""
    angles = np.arange(spokes)[:, None] * np.pi * (5**0.5 - 1) / 2
    return _on_grid(shape, np.linspace(-0.5, 0.5, 4 * max(shape)), angles)


def spiral(shape: Shape, acceleration: float, *, arms: int = 8) -> Array:
    """Sample evenly rotated Archimedean spirals with turns `acceleration` grid points apart, rounded to the grid."""
    turns = max(shape) / (2 * arms * acceleration)
    place = np.linspace(0, 1, int(16 * (turns + 1) * max(shape))) ** 0.5
    return _on_grid(shape, place / 2, 2 * np.pi * (turns * place + np.arange(arms)[:, None] / arms))


def _on_grid(shape: Shape, radius: Array, angle: Array) -> Array:
    """Sample the grid points nearest to polar coordinates; the radius is in units of each side."""
    mask = np.zeros(shape, bool)
    y, x = (np.round(n // 2 + n * radius * turn).astype(int) for n, turn in zip(shape, (np.sin(angle), np.cos(angle))))
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    mask[y[inside], x[inside]] = True
    return mask


def _lines(horizontal: bool) -> MaskMaker:
    def mask(shape: Shape, number: float, seed: int, acs: float = 100 * ACS_FRACTION) -> Array:
        return cartesian(shape, number, seed, acs_fraction=acs / 100, horizontal=horizontal)
    return mask


KINDS: dict[str, MaskMaker] = {
    "cartesian": _lines(False), "horizontal": _lines(True), "gaussian": gaussian, "poisson": poisson_disc,
    "radial": lambda shape, number, seed: radial(shape, round(number)),
    "spiral": lambda shape, number, seed: spiral(shape, number)}
KINDS_WITH_ACS = ("cartesian", "horizontal")


def parse(word: str) -> tuple[str, float, dict[str, float]]:
    """Return kind, number and options of a word such as cartesian4.  Raises ValueError for a word of another form."""
    match = re.fullmatch(r"([a-z]+?)([0-9]+(?:\.[0-9]+)?)(?:acs([0-9]+(?:\.[0-9]+)?))?", word)
    if not match or match[1] not in KINDS or float(match[2]) < 1 \
            or (match[3] and (match[1] not in KINDS_WITH_ACS or float(match[3]) > 100)):
        raise ValueError(f"masks: expected one of {', '.join(KINDS)} with a number >= 1, as cartesian4"
                         f" or (lines only, percent at the centre) cartesian4acs4, got {word!r}")
    return match[1], float(match[2]), {"acs": float(match[3])} if match[3] else {}


def named(word: str, shape: Shape, seed: int) -> Array:
    """Make the mask of a word such as cartesian4.  Raises ValueError for a word of another form."""
    kind, number, options = parse(word)
    return KINDS[kind](shape, number, seed, **options)
