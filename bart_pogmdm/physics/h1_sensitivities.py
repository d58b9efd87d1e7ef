"""Coil sensitivities: smooth maps on a padded field of view, estimated from the low frequencies.

A map is a short Fourier series whose coefficients carry the Sobolev weight of nonlinear inversion
(M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691).  Smooth maps are known from the
centre of k-space, so everything here works on a small grid; only the finished maps have full size.
"""

from functools import lru_cache

import numpy as np

from ..arrays.conjugate_gradients import at_least
from ..arrays.fft import dst1
from ..arrays.modules import array_module, real_dtype
from .fourier import PLANE


def smooth(maps, weight):
    """The paper's smoothing (I + weight L)^-1 of maps (J, ny, nx): the proximal map of weight ||D c||^2 / 2.

    L = D^T D is the five-point Laplacian with zeros beyond the border, diagonal under the DST of type I.
    """
    return dst1(dst1(maps) / (1 + weight * _laplacian(maps.shape[-2:], real_dtype(maps.dtype), array_module(maps))))


@lru_cache(maxsize=2)
def _laplacian(shape, dtype, xp):
    """The eigenvalues of L."""
    rows, columns = (4 * np.sin(np.pi * np.arange(1, n + 1) / (2 * (n + 1))) ** 2 for n in shape)
    return xp.asarray(rows[:, None] + columns, dtype)


def h1_step(sampling, samples, image, sens, inverse_step):
    """The paper's update: a gradient step 1 / mu on ||M F (c_j x) - z||^2 / 2, then `smooth` with 1 / mu.

    mu is at least max |x|^2: a longer step would not be stable.  Of chains as `operators.CoilModel`, samples (J, 1, …).
    """
    xp = array_module(image)
    inverse_step = at_least(xp.abs(image).max(PLANE, keepdims=True) ** 2, inverse_step)
    residual = sampling.forward(sens * image) - samples
    images = sampling.equalize(sampling.adjoint(residual))
    return smooth(sens - image.conj() * images / inverse_step, 1 / inverse_step)
