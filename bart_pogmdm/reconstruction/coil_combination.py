"""The result for all coils, from the reconstruction of combined coils."""

from dataclasses import replace

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..physics.coil_compression import mix, separate
from .result import Result


def of_all_coils(result: Result, matrix: Array, normalize: bool) -> Result:
    """Return the Result of combined coils as one of all coils, in BART's order.

    With `normalize` its sensitivities have RSS 1 again, and image, std and samples are scaled accordingly.  The
    deviations of combined coils are taken as independent.
    """
    sens, sens_std = separate(matrix, result.sens), result.sens_std
    if sens_std is not None:
        sens_std = np.sqrt(mix(np.abs(np.linalg.pinv(matrix)) ** 2, sens_std**2).real)
    if not normalize:
        return replace(result, sens=sens, sens_std=sens_std)
    rss = np.sqrt((np.abs(sens) ** 2).sum(COIL, keepdims=True))
    weight = np.where(rss > 0, rss, 1)
    return replace(result, sens=sens / weight, image=result.image * rss,
                   sens_std=None if sens_std is None else sens_std / weight,
                   std=None if result.std is None else result.std * rss,
                   samples=None if result.samples is None else result.samples * rss)
