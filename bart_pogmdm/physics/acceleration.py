"""How strongly a sampling undersamples each direction, and how far from zero frequency it samples all."""

import numpy as np

from ..arrays.array_types import Array
from ..arrays.modules import array_module
from .fourier import distances, field_size

KNOWN = 0.9  # Part of the frequencies that one coil must sample to know them: single ones may be missing.
SAME = 1e-6  # Variance of the density below which all frequencies are sampled alike.


def acceleration(density: Array) -> float:
    """Return R^((1 + s) / 2) of a density (*grid): R for lines, which undersample one direction, about R^(1/2) for two.

    R is the number of frequencies over that of those sampled, and s the part of the variance of the density that its
    mean along the best axis explains: 1 for lines along an axis, near 0 for samples without such an order.  A volume is
    taken as its mean along the axis, the readouts, that explains most.
    """
    density = density.clip(0, 1)
    while density.ndim > 2:
        density = density.mean(_best_axis(density))
    variance = float(density.var())
    explained = float(density.mean(_best_axis(density)).var()) / variance if variance > SAME else 1.0
    return float(max(float(density.mean()), SAME) ** (-(1 + explained) / 2))


def known_radius(density: Array, ndim: int, coils: int) -> float:
    """Return the radius about zero frequency, in cycles per field of view, within which the frequencies are known.

    density: (…, *grid) with `ndim` dimensions of the grid, zero frequency first; the least radius of several.  Several
    coils know twice as many frequencies as they sample.
    """
    xp, grid, part = array_module(density), density.shape[-ndim:], KNOWN / min(coils, 2)
    rings = xp.asarray(distances(*(np.fft.fftfreq(n) * field_size(grid) for n in grid)).astype(int).ravel())
    frequencies, radii = xp.bincount(rings).cumsum(), []
    for one in density.clip(0, 1).reshape(-1, rings.size):
        missing = xp.bincount(rings, one).cumsum() < part * frequencies
        radii.append(int(missing.argmax()) if bool(missing.any()) else len(missing))
    return float(min(radii))


def _best_axis(density: Array) -> int:
    """Return the axis along which the mean of the density keeps most of its variance."""
    xp = array_module(density)
    return int(xp.stack([density.mean(axis).var() for axis in range(density.ndim)]).argmax())
