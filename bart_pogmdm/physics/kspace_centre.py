"""The centre of k-space, which need not be where the grid or the trajectory has its zero frequency.

An echo that is a few samples early or late turns the phase of the image linearly.  The sensitivities, which are found
at low frequencies, and a prior of images with a smooth phase both need the centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module
from .fourier import axes_of, distances, field_size, plane_wave
from .sampling import Scan


@dataclass(frozen=True)
class CentreRules:
    """How the centre of k-space is found."""

    width: float = 4.0
    """Distance from the centre, in cycles per field of view, at which k-space begins to fall: that of an object which
    fills the field of view, seen through sensitivities whose phase turns by a few cycles."""

    unseen: float = 0.03
    """Weight with which samples that were not acquired count as empty: without it, a few lines would fit a centre far
    beside them."""

    strongest: int = 4
    """Side of the square, or cube, of as many samples as count with the amplitude of the weakest of them: the largest
    ones, so that no single sample, as a spike, is the centre."""

    plane: int = 256
    """Points of a plane of a volume from which on its fit counts: noise alone fits up to 0.48 on 64 points, and up to
    0.37 on 256."""

    def __post_init__(self) -> None:
        check_fields(self)


class Centre(NamedTuple):
    """The centre of k-space: its place, in whole samples from zero frequency, and the fit there, from 0 to 1."""

    place: Shape
    fit: float


def find_centre(scan: Scan, rules: CentreRules) -> Centre:
    """Return the centre of k-space.

    The amplitude a is fitted by a multiple of t(k) = (1 + |k|^2 / width^2)^(-f / 2) about each point d, k in cycles per
    field of view, with the fall f = (D + 1) / 2 of D-dimensional images with edges.  The fit is best where
    (sum_k a(k) t(k - d))^2 / (sum_k t(k - d)^2 + unseen sum t^2) is largest, with sums over the sampled frequencies but
    the last.  Divided by sum a^2 it is the part of the energy that is explained, at most 1.  Frequencies wrap around at
    the border of the grid.  Samples that are all alike have no centre: then the place is zero frequency, and the fit 0.

    An object that goes on through a slab has its energy near a plane of k-space, which no t of three dimensions fits.
    The fit of a volume is therefore the best of its own and of those at the same place of its mean power along each
    axis, if `plane` points are left.
    """
    power, sampled = scan.power()
    xp = array_module(power)
    field = field_size(power.shape)
    fits = _fits(power, sampled, field, rules)
    if not bool((fits > 0).any()):
        return Centre((0,) * power.ndim, 0.0)
    best = np.unravel_index(int(fits.argmax()), fits.shape)
    fit = float(fits[best])
    for axis in range(power.ndim):
        if power.ndim == 3 and power.size >= rules.plane * power.shape[axis]:
            count = sampled.sum(axis)
            of_plane = _fits(power.sum(axis) / xp.maximum(count, 1), count > 0, field, rules)
            fit = max(fit, float(of_plane[best[:axis] + best[axis + 1:]]))
    return Centre(tuple(int(i) - n // 2 for i, n in zip(best, fits.shape)), fit)


def _fits(power: Array, sampled: Array, field: float, rules: CentreRules) -> Array:
    """Return the fit about each point (*grid), with `field` samples per field of view; 0 if all samples are alike."""
    xp = array_module(power)
    amplitude = xp.sqrt(power)
    ascending = xp.sort(amplitude[sampled])
    amplitude = xp.minimum(amplitude, ascending[-min(rules.strongest**power.ndim, len(ascending) // 4 + 1)])
    # Noise and fine detail are everywhere: they say where samples are, and not where the centre is.
    amplitude = xp.where(sampled, xp.maximum(amplitude - xp.median(ascending), 0), 0)
    if not bool((amplitude > np.finfo(np.float32).eps * ascending[-1]).any()):
        return xp.zeros(power.shape)
    template = usual_amplitude(*(xp.asarray(field / rules.width * np.fft.fftfreq(n)) for n in power.shape))
    seen = _correlation(sampled, template**2) + rules.unseen * (template**2).sum()
    fits: Array = _correlation(amplitude, template) ** 2 / seen / (amplitude**2).sum()
    return fits


def _correlation(array: Array, template: Array) -> Array:
    """Return sum_k array(k) template(k - d) for each d, with frequencies that wrap around."""
    axes = axes_of(array.shape)
    spectrum, of_template = (fftn(values.astype(complex), axes) for values in (array, template))
    return ifftn(spectrum * of_template.conj(), axes).real * array.size**0.5


def usual_amplitude(*frequencies: Array) -> Array:
    """Return t(k) = (1 + |k|^2)^(-(D + 1) / 4), the usual amplitude of k-space in D dimensions about its centre.

    frequencies: along each axis, in units of `CentreRules.width`.
    """
    amplitude: Array = (1 + distances(*frequencies) ** 2) ** (-(len(frequencies) + 1) / 4)
    return amplitude


def phase_ramp(centre: Shape, image: Array) -> Array:
    """Return exp(2 pi i d r / n), by which an image is multiplied to move the centre of its k-space to d."""
    return plane_wave(tuple(2 * np.pi * d / n for d, n in zip(centre, image.shape[-len(centre):])), image)
