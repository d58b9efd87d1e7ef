"""Nonseparable digital shearlets: 20 filters from a lowpass and a directional filter.

W.-Q Lim, Nonseparable shearlet transform, IEEE TIP 22(5), 2013, doi 10.1109/TIP.2013.2258353.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, Shape
from ..arrays.fft import fftn
from ..arrays.modules import array_module

NUM_SHEARS = 5
NUM_FILTERS = 4 * NUM_SHEARS  # two scales, two cones
SUPPORT = 65        # samples along each axis: they hold 99.9999 % of the energy of every filter
HALF = SUPPORT // 2
GRID = (128, 128)   # resolves every frequency response


def _toeplitz(taps: Array, step: int, count: int, half: int) -> Array:
    """Return the matrix of x -> up(x, step) * taps, cut to the central 2 half + 1 samples; (2 half + 1, count)."""
    xp, n = array_module(taps), len(taps)
    tap = np.arange(-half, half + 1)[:, None] - step * (np.arange(count) - count // 2) + n // 2
    padded = xp.concatenate([taps, 0 * taps[:1]])
    return padded[np.where((tap >= 0) & (tap < n), tap, n)]


def _convolve(left: Array, right: Array, step: int = 1) -> Array:
    """Return the full convolution up(left, step) * right."""
    length = step * (len(left) - 1) + len(right)
    return _toeplitz(right, step, len(left), length // 2) @ left


def filter_bank(lowpass: Array, directional: Array) -> Array:
    """Return the filters K_1..K_20: two scales (coarse first) x five shears, vertical cone, then its transpose.

    psi = up(P, 4, rows) * outer(h0, g), sheared on a grid twice as fine along the columns, where it is convolved with
    h, and with h reversed before every second column is kept.  Both convolutions commute with the shear of the rows.
    lowpass h (9,), directional P (17, 17), of NumPy or torch -> (20, 65, 65), centred.
    """
    xp, h = array_module(lowpass), lowpass
    every = np.arange(len(h))
    odd = (every - len(h) // 2) % 2
    h1 = xp.concatenate([h, -h])[every + odd * len(h)]  # (-1)^n h
    h0 = _convolve(h, h, 2)
    antialias = _convolve(h, h[every[::-1].copy()])
    rows = _toeplitz(h0, 4, len(directional), HALF)
    y, x = np.mgrid[-HALF:HALF + 1, -HALF:HALF + 1]
    reach = HALF * (2 + NUM_SHEARS // 2)
    cone = []
    for g in (_convolve(h1, h, 2), h1):
        columns = _toeplitz(_convolve(g, antialias, 2), 2, len(directional), reach)
        fine = rows @ directional @ columns.T
        cone += [2 * fine[y + HALF, 2 * x + shear * y + reach]
                 for shear in range(-(NUM_SHEARS // 2), NUM_SHEARS // 2 + 1)]
    return xp.stack(cone + [filter_.T for filter_ in cone])


def is_fine() -> Array:
    """Return which of the filters have the fine scale, (20,) booleans."""
    return np.arange(NUM_FILTERS) // NUM_SHEARS % 2 == 1


def spectra(filters: Array, shape: Shape, dtype: DTypeLike = complex) -> Array:
    """Return the frequency responses of centred filters at an image size, (K, ny, nx), zero frequency first.

    A filter larger than the image wraps around, because the image is periodic.
    """
    out = np.zeros((len(filters), *shape), dtype)
    centre = filters.shape[1] // 2
    rows, columns = ((np.arange(-centre, centre + 1)) % n for n in shape)
    places: Any = slice(None), rows[:, None], columns
    filters = np.prod(shape) ** 0.5 * filters
    if min(shape) < filters.shape[1]:
        np.add.at(out, places, filters)  # slow, but it adds up what falls on one place
    else:
        out[places] = filters
    return fftn(out, overwrite=True)


def low(spectra: Array, shape: Shape) -> Array:
    """Return the low frequencies of responses (K, …) of real filters on a smaller grid, (K, ny, nx).

    The highest frequency of an even size stands for two of the larger grid, n / 2 and -n / 2, so that filters stay
    real.
    """
    for axis, n in enumerate(shape, 1):
        if spectra.shape[axis] != n:
            whole, spectra = spectra, spectra.take(np.fft.fftfreq(n, 1 / n).astype(int), axis)
            if n % 2 == 0:
                np.moveaxis(spectra, axis, 0)[n // 2] += whole.take(n // 2, axis)
                np.moveaxis(spectra, axis, 0)[n // 2] /= 2
    return spectra


def power(spectra: Array) -> Array:
    """Return |S_k|^2."""
    return spectra.real**2 + spectra.imag**2


def total_power(spectra: Array) -> Any:
    """Return sum_k |S_k|^2."""
    return sum(power(one) for one in spectra)


def overlap(filters: Array) -> Any:
    """Return max_w sum_k |S_k(w)|^2 of filters of NumPy or torch."""
    return total_power(array_module(filters).fft.fft2(filters, GRID)).max()


def frame_weight(spectra: Array, overlap: Any, ridge: float) -> Array:
    """Return W = (sum_j |S_j|^2 + ridge overlap)^(-1/2): the W S_k are nearly a Parseval frame.

    So no frequency counts more than once.  The ridge keeps the lowest frequencies, which no filter passes, from being
    amplified.
    """
    return (total_power(spectra) + ridge * overlap) ** -0.5
