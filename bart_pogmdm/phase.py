"""The smooth phase of an image, which the prior does not see: it was learned on real images."""

from functools import lru_cache

import numpy as np

from .backend import array_module, fftn, ifftn, real_dtype

PHASE_CYCLES = 3  # per field of view: how fast the phase may turn


def smooth_phase(image):
    """exp(i phi) = y / |y| of the smoothed y = F^-1 exp(-|k| / 3) F (|x|^2 x) of an image (…, ny, nx); 1 where y = 0.

    k in cycles per field of view: in space the kernel falls off so slowly that dark parts take the phase of bright
    ones, and |x|^2 lets these count more.
    """
    xp = array_module(image)
    image = image / xp.abs(image).max().clip(1e-30)
    smoothed = ifftn(_window(image.shape[-2:], real_dtype(image.dtype), xp) * fftn(xp.abs(image) ** 2 * image))
    magnitude = xp.abs(smoothed)
    return xp.where(magnitude > 0, smoothed, 1) / xp.where(magnitude > 0, magnitude, 1)


@lru_cache(maxsize=2)
def _window(shape, dtype, xp):
    """exp(-|k| / PHASE_CYCLES), zero frequency first; pixels are about square."""
    rows, columns = (np.fft.fftfreq(n) * np.prod(shape) ** 0.5 for n in shape)
    return xp.asarray(np.exp(-np.hypot(rows[:, None], columns) / PHASE_CYCLES), dtype)
