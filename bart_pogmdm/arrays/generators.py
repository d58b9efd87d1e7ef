"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import numpy as np

from .modules import array_module, kernels_for
from .threads import share


def complex_normal(rng, like):
    """Noise of standard deviation 1 in real and imaginary part, like a complex array; the same on every device."""
    out, seed = array_module(like).empty(like.shape, like.dtype), rng.integers(2**64, dtype=np.uint64)
    planes = out.reshape(-1, *like.shape[-2:])

    def work(pieces):
        for part in pieces:
            kernels_for(out).normal(planes[part], seed, part.start * planes[0].size)

    share(work, len(planes), planes[0])
    return out


def for_each(rngs, draw, axis=0):
    """Arrays draw(rng), one for each generator, along a new axis: what one draws does not depend on the others."""
    arrays = [draw(rng) for rng in rngs]
    return array_module(arrays[0]).stack(arrays, axis)
