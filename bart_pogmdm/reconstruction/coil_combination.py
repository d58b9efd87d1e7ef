"""The result for all coils, from the reconstruction of combined coils."""

from dataclasses import replace

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..physics.coil_compression import mix
from ..physics.fourier import divide
from .result import Result


def of_all_coils(result: Result, matrix: Array, normalize: bool) -> Result:
    """Return the Result of combined coils as one of all coils, in BART's order.

    Its image * sens are the images of the coils, except for what the combination has left out.  With `normalize` its
    sensitivities have RSS 1 again, and image, std and samples are scaled accordingly.  The deviations of combined coils
    are taken as independent.
    """
    inverse, sens_std = np.linalg.pinv(matrix), result.sens_std
    sens = mix(inverse, result.sens)
    if sens_std is not None:
        sens_std = np.sqrt(mix(np.abs(inverse) ** 2, sens_std**2).real)
    if not normalize:
        return replace(result, sens=sens, sens_std=sens_std)
    rss = np.sqrt((np.abs(sens) ** 2).sum(COIL, keepdims=True))
    return replace(result, sens=divide(sens, rss), image=result.image * rss,
                   sens_std=None if sens_std is None else divide(sens_std, rss),
                   std=None if result.std is None else result.std * rss,
                   samples=None if result.samples is None else result.samples * rss)
