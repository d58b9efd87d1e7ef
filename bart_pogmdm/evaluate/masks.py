"""Sampling masks on the grid of k-space, boolean (ny, nx), zero frequency at n // 2, drawn from a seed.

`named` makes one from a word: a kind and a number, as cartesian4, horizontal4, radial24, spiral4, gaussian8, poisson8;
cartesian4acs4 has 4 % of the lines at the centre, instead of 8 %.
"""

import re

import numpy as np

from ..toolbox.bart_call import bart

ACS_FRACTION = 0.08
BISECTIONS = 8


def cartesian(shape, acceleration, seed, *, acs_fraction=ACS_FRACTION, horizontal=False):
    """Random whole lines, vertical ones by default: 1 / acceleration of all, with the `acs_fraction` at the centre."""
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


def gaussian(shape, acceleration, seed, *, width=1 / 6):
    """1 / acceleration of all points, from a normal density of a standard deviation of `width` times each side."""
    rng = np.random.default_rng(seed)
    y, x = (((np.arange(n) - n // 2) / n) ** 2 for n in shape)
    log_density = -(y[:, None] + x) / (2 * width**2)
    keys = log_density + rng.gumbel(size=shape)  # the largest are a draw without replacement
    keys[shape[0] // 2, shape[1] // 2] = np.inf
    count = max(1, round(keys.size / acceleration))
    return keys >= np.partition(keys, -count, axis=None)[-count]


def radial(shape, spokes):
    """Lines through the centre at multiples of the golden angle, on the nearest grid points."""
    angles = np.arange(spokes)[:, None] * np.pi * (5**0.5 - 1) / 2
    return _on_grid(shape, np.linspace(-0.5, 0.5, 4 * max(shape)), angles)


def spiral(shape, acceleration, *, arms=8):
    """Archimedean spirals, evenly rotated, `acceleration` grid points apart, on the nearest grid points."""
    turns = max(shape) / (2 * arms * acceleration)
    place = np.linspace(0, 1, int(16 * (turns + 1) * max(shape))) ** 0.5
    return _on_grid(shape, place / 2, 2 * np.pi * (turns * place + np.arange(arms)[:, None] / arms))


def _on_grid(shape, radius, angle):
    """The grid points nearest to polar coordinates, the radius in parts of each side."""
    mask = np.zeros(shape, bool)
    y, x = (np.round(n // 2 + n * radius * turn).astype(int) for n, turn in zip(shape, (np.sin(angle), np.cos(angle))))
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    mask[y[inside], x[inside]] = True
    return mask


def poisson(shape, acceleration, seed):
    """BART's Poisson disc of variable density with a centre of a twelfth of the side; its spacing by bisection."""
    low, high = 1.0, acceleration
    for _ in range(BISECTIONS):
        spacing = (low * high) ** 0.5
        words = ["poisson", f"-Y{shape[0]}", f"-Z{shape[1]}", f"-y{spacing}", f"-z{spacing}",
                 f"-C{min(shape) // 12}", "-v", "-e", f"-s{seed}"]
        mask = np.abs(bart(1, words).reshape(shape)) > 0
        low, high = (spacing, high) if mask.mean() > 1 / acceleration else (low, spacing)
    return mask


def _lines(horizontal):
    def mask(shape, number, seed, acs=100 * ACS_FRACTION):
        return cartesian(shape, number, seed, acs_fraction=acs / 100, horizontal=horizontal)
    return mask


KINDS = {"cartesian": _lines(False), "horizontal": _lines(True), "gaussian": gaussian, "poisson": poisson,
         "radial": lambda shape, number, seed: radial(shape, round(number)),
         "spiral": lambda shape, number, seed: spiral(shape, number)}
WITH_ACS = ("cartesian", "horizontal")


def parse(word):
    """Kind, number and options of a word such as cartesian4.  ValueError for a word that is none."""
    match = re.fullmatch(r"([a-z]+?)([0-9]+(?:\.[0-9]+)?)(?:acs([0-9]+(?:\.[0-9]+)?))?", word)
    if not match or match[1] not in KINDS or float(match[2]) < 1 \
            or (match[3] and (match[1] not in WITH_ACS or float(match[3]) > 100)):
        raise ValueError(f"masks: expected one of {', '.join(KINDS)} with a number >= 1, as cartesian4"
                         f" or (lines only, percent at the centre) cartesian4acs4, got {word!r}")
    return match[1], float(match[2]), {"acs": float(match[3])} if match[3] else {}


def named(word, shape, seed):
    """The mask of a word such as cartesian4.  ValueError for a word that is none."""
    kind, number, options = parse(word)
    return KINDS[kind](shape, number, seed, **options)
