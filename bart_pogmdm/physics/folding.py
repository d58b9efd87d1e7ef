"""How much a sampling pattern folds the image: the point spread function away from its centre."""

from __future__ import annotations

from functools import reduce

import numpy as np

from ..arrays.array_types import Array
from ..arrays.fft import fftn
from ..arrays.modules import array_module, complex_dtype
from .fourier import axes_of, resize

NEAR = 0.1    # of the field of view: nearer to the centre the point spread function only blurs
FINENESS = 4  # points of the point spread function in the plane for each pixel, so that no peak lies between them


def folding(density: Array) -> float:
    """Return the largest |p(r)| / p(0) away from r = 0, for the point spread function p = F^-1 density.

    It is 1 for a regular lattice, which copies the image, and where there are no samples.  density: (*grid), zero
    frequency first.
    """
    if not bool((density != 0).any()):
        return 1.0
    xp, axes = array_module(density), axes_of(density.shape)
    fineness = FINENESS if density.ndim == 2 else 1  # in three dimensions the memory of finer ones is large
    shape = tuple(fineness * n for n in density.shape)
    spectrum = xp.fft.ifftshift(resize(xp.fft.fftshift(density), shape))
    spread = xp.abs(fftn(spectrum.astype(complex_dtype(density.dtype)), axes))
    places = xp.meshgrid(*(xp.asarray(abs(np.fft.fftfreq(n))) for n in shape), indexing="ij", sparse=True)
    away = reduce(xp.maximum, places) >= NEAR  # in fields of view
    return float((spread * away).max() / spread.ravel()[0])
