"""Chains side by side: how many fit, and which generators they draw from."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, Shape
from ..arrays.devices import available_memory
from ..arrays.modules import array_module
from ..arrays.threads import CACHE_BYTES, NUM_THREADS, SHARES
from ..prior.shearlets import NUM_FILTERS


def solver_memory(shape: Shape, dtype: DTypeLike, chains: int) -> int:
    """Return about how many bytes the solver of one slice (J, *grid) needs for so many chains side by side.

    It counts 3 complex images per filter for spectra and 2 per coil for statistics, and for each chain one per filter
    and 4 per coil (measured).  The filters of a volume are those of its planes: it counts 24 images, 3 per thread and 2
    per coil, one of them the sensitivities of the result, and for each further chain 12 and 1 per coil.
    """
    coils, *grid = shape
    shared, own = 3 * NUM_FILTERS + 2 * coils, NUM_FILTERS + 4 * coils
    if len(grid) > 2:
        shared, own = 12 + 3 * min(NUM_THREADS, SHARES, coils) + coils, 12 + coils
    return (shared + chains * own) * math.prod(grid) * np.dtype(dtype).itemsize


def chains_that_fit(chains: int, shape: Shape, image: Array) -> int:
    """Return how many of the chains go together: as many as a CPU's cache or a GPU's memory has room for.

    shape: (J, *grid) of the sensitivities of a slice; image: an array of their precision, on their device.
    """
    xp = array_module(image)
    if xp is np:
        room: float = CACHE_BYTES // (math.prod(shape[1:]) * image.itemsize)
    else:
        alone, both = (solver_memory(shape, image.dtype, number) for number in (1, 2))
        room = 1 + (available_memory(xp) - alone) // (both - alone)
    return int(np.clip(room, 1, chains))


def batches(chains: int, size: int, seed: tuple[int, ...]) -> Iterator[tuple[range, list[np.random.Generator]]]:
    """Yield the numbers of the chains that go together, at most `size`, each with its generator."""
    for first in range(0, chains, size):
        batch = range(first, min(first + size, chains))
        yield batch, [np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, chain))) for chain in batch]
