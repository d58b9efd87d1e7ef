"""The compared methods of BART: `nlinv`, and `pics` with the sensitivities of `ecalib`.

Each is a function of k-space (J, ny, nx), a mask (ny, nx) and its parameter.  Stored results of these methods stay
valid as long as this module and BART are the same.
"""

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import to_bart
from ..physics.coil_model import rss
from ..toolbox.bart_call import quiet_bart as bart
from .estimate import Estimate


def nlinv(kspace: Array, mask: Array, steps: int) -> Estimate:
    """Run `nlinv` with a number of Newton steps."""
    image, sens = bart(2, f"nlinv -S -i{steps}", to_bart(kspace * mask))
    return Estimate(image.reshape(mask.shape), sens=sets_first(sens, kspace.shape)[0])


def ecalib_pics(iterations: int, sets: int, options: tuple[str, ...], kspace: Array, mask: Array,
                weight: float) -> Estimate:
    """Run `pics` with `sets` sets of sensitivities of `ecalib` and with options in which {} stands for the weight."""
    return pics(iterations, options, kspace * mask, ecalib(kspace * mask, sets), weight)


def pics(iterations: int, options: tuple[str, ...], kspace: Array, maps: Array, weight: float) -> Estimate:
    """Run `pics` on undersampled k-space with sensitivities (sets, J, ny, nx); the image is the RSS of its coils."""
    command = ["pics", "-S", f"-i{iterations}", *(word.format(weight) for word in options)]
    stacked = np.stack([to_bart(sens) for sens in maps], -1)
    images = np.moveaxis(bart(1, command, to_bart(kspace), stacked).reshape(*maps.shape[2:], len(maps)), -1, 0)
    if len(maps) == 1:
        return Estimate(images[0], sens=maps[0])
    return Estimate(rss((maps * images[:, None]).sum(0)))


def ecalib(kspace: Array, sets: int = 1) -> Array:
    """Return the sensitivities (sets, J, ny, nx) of `ecalib`; 1 for one coil."""
    if len(kspace) == 1:
        return np.ones((1, *kspace.shape), np.complex64)
    return sets_first(bart(1, f"ecalib -m{sets} -c0", to_bart(kspace)), kspace.shape)


def sets_first(sens: Array, shape: Shape) -> Array:
    """Return sensitivities in BART's order as (sets, J, ny, nx), for k-space of a shape (J, ny, nx)."""
    return np.moveaxis(sens.reshape(shape[1], shape[2], shape[0], -1), (-1, -2), (0, 1))
