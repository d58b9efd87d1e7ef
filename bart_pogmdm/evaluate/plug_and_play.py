"""Plug-and-play reconstruction with the denoiser BM3D (extra `bm3d`, free for non-commercial use only).

The image is split from a denoised copy: K. Zhang et al., IEEE Trans. Pattern Anal. Mach. Intell. 44, 2022,
doi 10.1109/TPAMI.2021.3088914.  BM3D: Y. Makinen et al., IEEE Trans. Image Process. 29, 2020,
doi 10.1109/TIP.2020.3014721.
"""

from functools import partial

import numpy as np

from ..arrays.array_types import Array
from ..arrays.conjugate_gradients import conjugate_gradients
from ..physics.coil_model import rss
from ..physics.fourier import fft2c, ifft2c
from .bart_methods import ecalib, low_phase
from .estimate import Estimate

FIRST_LEVEL = 0.2   # Noise level of the first denoising, for images of maximum 1; the levels fall to the parameter.
STEPS = 8           # Denoising steps, as in the reference.
CG_STEPS = 20       # Conjugate gradient steps of each linear problem, which starts from the last image.
TRADE_OFF = 0.23    # Weight of the denoised copy, the value of the reference.


def pnp_bm3d(kspace: Array, mask: Array, noise: float) -> Estimate:
    """Reconstruct with sensitivities of `ecalib`, for data with this noise per part and an image of maximum 1.

    BM3D denoises real and imaginary part after the phase of the low frequencies has been taken out.
    Raises ImportError without bm3d.
    """
    try:
        from bm3d import bm3d
        from bm3d.profiles import BM3DProfileLC
    except ImportError:
        raise ImportError("pnp-bm3d needs bm3d, which is free for non-commercial use only:"
                          " pip install 'bart_pogmdm[bm3d]'") from None
    samples = (kspace * mask).astype(np.complex64)
    samples /= rss(ifft2c(samples)).max()
    sens = ecalib(samples)[0]
    sens = sens * low_phase(samples, sens)
    rhs = (sens.conj() * ifft2c(samples)).sum(0)

    def denoised(image: Array, level: float) -> Array:
        real, imaginary = (bm3d(part, level, BM3DProfileLC()) for part in (image.real, image.imag))
        return (real + 1j * imaginary).astype(image.dtype)

    def normal(image: Array, ratio: float) -> Array:
        return (sens.conj() * ifft2c(mask * fft2c(sens * image))).sum(0) + ratio * image

    image = copy = rhs
    for level in np.geomspace(FIRST_LEVEL, noise, STEPS):
        ratio = TRADE_OFF * (noise / level) ** 2
        image = conjugate_gradients(partial(normal, ratio=ratio), rhs + ratio * copy, image, iterations=CG_STEPS)
        copy = denoised(image, level)
    return Estimate(copy, sens=sens)
