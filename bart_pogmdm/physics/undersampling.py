"""Undersampling: how strong it is, up to which frequency there is none, and how much of k-space nothing sees."""

import numpy as np

from ..arrays.array_types import Array
from ..arrays.modules import array_module
from .fourier import averaged, axes_of, distances, field_size
from .kspace_centre import usual_amplitude

KNOWN = 0.9  # Part of the frequencies that one coil must sample to know them: single ones may be missing.
SAME = 1e-6  # Variance of the density below which all frequencies are sampled alike.
REACH = 1.0  # How far coils mix frequencies, in cycles per field of view: a standard deviation.


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


def unseen_part(density: Array, coils: int, width: float) -> float:
    """Return the part of the amplitude of k-space that neither samples nor the coils beside them see.

    sum_k t(k) (1 - s(k)) / sum_k t(k), with the `usual_amplitude` t and s = min(max(density, J^(1/2) G * density), 1):
    J coils see frequencies within the Gaussian G about each sample.
    density: (*grid) with D dimensions, zero frequency first; width: that of `CentreRules`.
    """
    xp, grid = array_module(density), density.shape
    unit = field_size(grid) / width
    amplitude = usual_amplitude(*(xp.asarray(unit * np.fft.fftfreq(n), density.dtype) for n in grid))
    seen = xp.maximum(density, coils**0.5 * averaged(density, REACH, axes_of(grid))).clip(0, 1)
    return float((amplitude * (1 - seen)).sum() / amplitude.sum())


def _best_axis(density: Array) -> int:
    """Return the axis along which the mean of the density keeps most of its variance."""
    xp = array_module(density)
    return int(xp.stack([density.mean(axis).var() for axis in range(density.ndim)]).argmax())
