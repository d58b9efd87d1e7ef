"""Nonseparable digital shearlets: 20 filters from a lowpass and a directional filter.

W.-Q Lim, Nonseparable shearlet transform, IEEE TIP 22(5), 2013, doi 10.1109/TIP.2013.2258353.
"""

import numpy as np

NUM_SHEARS = 5
SUPPORT = 65  # holds 99.9999 % of every filter's energy


def _upsample(array, factor, axis):
    """factor - 1 zeros between neighbours along one axis."""
    shape = list(array.shape)
    shape[axis] = factor * (shape[axis] - 1) + 1
    out = np.zeros(shape)
    out[(slice(None),) * axis + (slice(None, None, factor),)] = array
    return out


def _convolve(left, right):
    """Full linear convolution in two dimensions."""
    shape = [a + b - 1 for a, b in zip(left.shape, right.shape)]
    return np.fft.irfft2(np.fft.rfft2(left, shape) * np.fft.rfft2(right, shape), shape)


def _shear(array, shear):
    """Row r moved by shear * (centre - r) samples; the grid grows to hold it."""
    rows, columns = array.shape
    centre = rows // 2
    margin = abs(shear) * centre
    out = np.zeros((rows, columns + 2 * margin))
    for row in range(rows):
        start = margin + shear * (centre - row)
        out[row, start:start + columns] = array[row]
    return out


def _crop(array, size):
    """The centred size x size part, zero where the array ends."""
    out = np.zeros((size, size))
    (from_rows, to_rows), (from_columns, to_columns) = (
        (slice(max(0, n // 2 - size // 2), n // 2 + size // 2 + 1),
         slice(max(0, size // 2 - n // 2), size // 2 + n // 2 + 1)) for n in array.shape)
    out[to_rows, to_columns] = array[from_rows, from_columns]
    return out


def filter_bank(lowpass, directional):
    """Filters K_1..K_20: two scales (coarse first) x five shears, vertical cone, then its transpose.

    psi = up(P, 4, rows) * outer(h0, g), sheared on a grid twice as fine along the columns.
    lowpass h (9,), directional P (17, 17) -> (20, 65, 65), centred.
    """
    h = np.asarray(lowpass, float)
    signs = (-1.0) ** (np.arange(h.size) - h.size // 2)
    h0, g0 = (np.convolve(_upsample(first, 2, 0), h) for first in (h, signs * h))
    cone = []
    for g in (g0, signs * h):
        psi = _convolve(_upsample(np.asarray(directional, float), 4, 0), np.outer(h0, g))
        fine = _convolve(_upsample(psi, 2, 1), h[None])
        for shear in range(-(NUM_SHEARS // 2), NUM_SHEARS // 2 + 1):
            sheared = _convolve(_shear(fine, shear), h[None, ::-1])
            columns = sheared.shape[1]
            cone.append(_crop(2 * sheared[:, columns // 2 % 2::2], SUPPORT))
    return np.stack(cone + [filter_.T for filter_ in cone])


def spectra(filters, shape):
    """Frequency responses of centred filters at an image size, (K, ny, nx), zero frequency first.

    A filter larger than the image wraps around: the image is periodic.
    """
    out = np.zeros((len(filters), *shape))
    centre = filters.shape[1] // 2
    rows, columns = ((np.arange(-centre, centre + 1)) % n for n in shape)
    np.add.at(out, (slice(None), rows[:, None], columns), filters)
    return np.fft.fft2(out)
