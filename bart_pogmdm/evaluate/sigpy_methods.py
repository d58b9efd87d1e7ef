"""The compared method of SigPy (extra `sigpy`): joint estimation of sensitivities, then l1-wavelets."""

import numpy as np

from ..arrays.array_types import Array
from ..physics.coil_model import rss
from ..physics.fourier import divide, ifft2c
from .estimate import Estimate

ITERATIONS = 100  # Iterations of the reconstruction, as those of `pics`.
CALIBRATION = 24  # Side of the centre of k-space from which the sensitivities are found, SigPy's default.


def jsense(kspace: Array, mask: Array, weight: float) -> Estimate:
    """Run SigPy's JsenseRecon, and L1WaveletRecon with its sensitivities, on data whose image has maximum 1.

    L. Ying and J. Sheng, Magn. Reson. Med. 57, 2007, doi 10.1002/mrm.21245.  Raises ImportError without SigPy.
    """
    try:
        from sigpy.mri.app import JsenseRecon, L1WaveletRecon
    except ImportError:
        raise ImportError("jsense needs SigPy: pip install 'bart_pogmdm[sigpy]'") from None
    samples = (kspace * mask).astype(np.complex64)
    samples /= rss(ifft2c(samples)).max()
    sens = np.ones_like(samples)
    if len(samples) > 1:
        sens = JsenseRecon(samples, ksp_calib_width=min(CALIBRATION, *mask.shape), show_pbar=False).run()
        sens = divide(sens, rss(sens))
    image = L1WaveletRecon(samples, sens, weight, max_iter=ITERATIONS, show_pbar=False).run()
    return Estimate(np.asarray(image), sens=np.asarray(sens))
