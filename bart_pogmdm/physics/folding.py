"""How much a sampling pattern folds the image: the point spread function away from its centre."""

from __future__ import annotations

import numpy as np

from ..arrays.array_types import Array
from ..arrays.fft import fftn
from ..arrays.modules import array_module, complex_dtype
from .fourier import resize

NEAR = 0.1    # of the field of view: nearer to the centre the point spread function only blurs
FINENESS = 4  # points of the point spread function for each pixel, so that no peak lies between them


def folding(density: Array) -> float:
    """Return the largest |p(r)| / p(0) away from r = 0, for the point spread function p = F^-1 density.

    It is 1 for a regular lattice, which copies the image, and where there are no samples.  density: (ny, nx), zero
    frequency first.
    """
    if not bool((density != 0).any()):
        return 1.0
    xp, shape = array_module(density), tuple(FINENESS * n for n in density.shape)
    spectrum = xp.fft.ifftshift(resize(xp.fft.fftshift(density), shape))
    spread = xp.abs(fftn(spectrum.astype(complex_dtype(density.dtype))))
    rows, columns = (xp.asarray(abs(np.fft.fftfreq(n))) for n in shape)  # in fields of view
    away = (rows[:, None] >= NEAR) | (columns >= NEAR)
    return float((spread * away).max() / spread[0, 0])
