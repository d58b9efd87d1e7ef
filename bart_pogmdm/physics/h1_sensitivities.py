"""The sensitivity update of the paper: a gradient step, then smoothing by the discrete Laplacian."""

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.conjugate_gradients import at_least
from ..arrays.devices import kept_on_device
from ..arrays.fft import dst1
from ..arrays.modules import array_module, real_dtype
from .fourier import PLANE
from .sampling import Sampling


def smooth(maps: Array, weight: Array | float) -> Array:
    """Return (I + weight L)^-1 c for maps (J, ny, nx): the proximal map of weight ||D c||^2 / 2.

    L = D^T D is the five-point Laplacian with zeros beyond the border; the DST of type I makes it diagonal.
    """
    return dst1(dst1(maps) / (1 + weight * _laplacian(maps.shape[-2:], real_dtype(maps.dtype), array_module(maps))))


@kept_on_device(2)
def _laplacian(shape: Shape, dtype: np.dtype, xp: ArrayModule) -> Array:
    """Return the eigenvalues of L."""
    rows, columns = (4 * np.sin(np.pi * np.arange(1, n + 1) / (2 * (n + 1))) ** 2 for n in shape)
    return xp.asarray(rows[:, None] + columns, dtype)


def h1_step(sampling: Sampling, samples: Array, image: Array, sens: Array, inverse_step: float) -> Array:
    """Take a gradient step of 1 / mu on ||M F (c_j x) - z||^2 / 2, then `smooth` with the weight 1 / mu.

    mu is `inverse_step`, but at least max |x|^2, a Lipschitz constant of this gradient.  For chains as in
    `coil_model.CoilModel`, with samples (J, 1, …).
    """
    xp = array_module(image)
    mu = at_least(xp.abs(image).max(PLANE, keepdims=True) ** 2, inverse_step)
    residual = sampling.forward(sens * image) - samples
    images = sampling.equalize(sampling.adjoint(residual))
    return smooth(sens - image.conj() * images / mu, 1 / mu)
