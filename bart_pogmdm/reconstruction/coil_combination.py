"""The result for all coils, from the reconstruction of combined coils."""

from dataclasses import replace

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..physics.coil_compression import separate
from .result import Result


def of_all_coils(result: Result, matrix: Array, normalize: bool) -> Result:
    """Return the Result of combined coils as one of all coils, in BART's order.

    With `normalize` its sensitivities have RSS 1 again, and image, std and samples are scaled accordingly.
    """
    sens = separate(matrix, result.sens)
    if not normalize:
        return replace(result, sens=sens)
    rss = np.sqrt((np.abs(sens) ** 2).sum(COIL, keepdims=True))
    return replace(result, sens=sens / np.where(rss > 0, rss, 1), image=result.image * rss,
                   std=None if result.std is None else result.std * rss,
                   samples=None if result.samples is None else result.samples * rss)
