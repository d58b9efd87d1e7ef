"""Linear combinations of coils: noise prewhitening and compression."""

from dataclasses import replace

import numpy as np

from ..arrays.bart_dims import COIL
from ..physics.coil_compression import separate


def of_all(result, matrix, normalize):
    """The Result of combined coils as one of all coils; with `normalize` the sensitivities have RSS 1 again."""
    sens = separate(matrix, result.sens)
    if not normalize:
        return replace(result, sens=sens)
    rss = np.sqrt((np.abs(sens) ** 2).sum(COIL, keepdims=True))
    scaled = {name: None if (array := getattr(result, name)) is None else array * rss
              for name in ("image", "std", "samples")}
    return replace(result, sens=sens / np.where(rss > 0, rss, 1), **scaled)
