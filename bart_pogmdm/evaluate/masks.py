"""Sampling masks on the grid of k-space, boolean (ny, nx), zero frequency at n // 2, drawn from a seed."""

import numpy as np

ACS_FRACTION = 0.08


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
    count = round(keys.size / acceleration)
    return keys >= np.partition(keys, -count, axis=None)[-count]


def radial(shape, spokes):
    """Lines through the centre at multiples of the golden angle, on the nearest grid points."""
    mask = np.zeros(shape, bool)
    angles = np.arange(spokes) * np.pi * (5**0.5 - 1) / 2
    radius = np.linspace(-0.5, 0.5, 4 * max(shape))
    for angle in angles:
        y, x = (np.round(n // 2 + n * radius * f(angle)).astype(int) for n, f in zip(shape, (np.sin, np.cos)))
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        mask[y[inside], x[inside]] = True
    return mask
