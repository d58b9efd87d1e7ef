"""Gaussian noise from counters: a seed gives the same numbers on every device and with any number of threads."""

from collections.abc import Callable, Sequence

import numpy as np

from .array_types import Array
from .modules import array_module, kernels_for
from .threads import share

Rngs = Sequence[np.random.Generator]
"""Random generators, one for each chain: a chain draws the same numbers whatever the number of chains."""


def complex_normal(rng: np.random.Generator, like: Array, mask: Array | None = None) -> Array:
    """Return noise of standard deviation 1 in real and imaginary part, of the shape and type of a complex array.

    mask: (1 or J, *grid) for an array (J, *grid); the noise is 0 where the mask is, and the same elsewhere.
    """
    out, seed = array_module(like).empty(like.shape, like.dtype), rng.integers(2**64, dtype=np.uint64)
    planes, kernels = out.reshape(-1, *like.shape[-2:]), kernels_for(out)
    masks = None if mask is None else mask.reshape(-1, *like.shape[-2:])

    def work(pieces: list[slice]) -> None:
        for part in pieces:
            if masks is None:
                kernels.normal(planes[part], seed, part.start * planes[0].size)
            else:
                kernels.normal_where(planes[part], masks, seed, part.start)

    share(work, len(planes), planes[0])
    return out


def white_noise(rngs: Sequence[np.random.Generator], like: Array) -> Array:
    """Return `complex_normal` of every generator, stacked along a new first axis."""
    return for_each(rngs, lambda rng: complex_normal(rng, like))


def for_each(rngs: Sequence[np.random.Generator], draw: Callable[[np.random.Generator], Array],
             axis: int = 0) -> Array:
    """Return draw(rng) of every generator, stacked along a new axis; each draws independently of the others."""
    arrays = [draw(rng) for rng in rngs]
    return array_module(arrays[0]).stack(arrays, axis)
