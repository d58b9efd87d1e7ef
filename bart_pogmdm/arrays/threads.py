"""Work on stacks of images, shared among the threads of the CPU or passed to a GPU in pieces.

The shares depend on the number and the size of the images only, so sums over them are the same with any number of
threads.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np

from .array_types import Array
from .memory import size_text
from .modules import array_module

Outcome = TypeVar("Outcome")
Work = Callable[[list[slice]], Outcome]


def _usable_cores() -> int:
    """Return the number of cores this process may use, or OMP_NUM_THREADS where that is lower, as BART does.

    In a list, one number for each level of nesting, the first counts; it alone is left in the environment, because
    rocket-fft knows no lists.  ValueError for another text.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not text:
        os.environ.pop("OMP_NUM_THREADS", None)
        return cores
    if not all(number.strip().isdecimal() for number in text.split(",")):
        raise ValueError(f"OMP_NUM_THREADS: expected a number of threads, as 4 or 4,2, got {text!r}")
    os.environ["OMP_NUM_THREADS"] = first = text.split(",")[0].strip()
    return max(1, min(cores, int(first)))


NUM_THREADS = _usable_cores()
SHARES = 10             # parts that work is cut into at most: more keep more threads busy, but cost more to sum up
SHARE_BYTES = 2 << 20   # of arrays in a share, about: with fewer, threads wait for Python's lock and to be woken up
CACHE_BYTES = 2 << 20   # images handled together: a core's cache holds them between an FFT and the next loop
DEVICE_BYTES = 64 << 20  # the same for a GPU, which needs much work at once, but has no room for a copy of all

_in_pool = threading.local()
_device_pieces: dict[tuple[int, int], int] = {}  # (count, bytes of an image) -> pieces that the device's memory needs


def threads_for(array: Array) -> int:
    """Return how many threads a library should use for an array: one for small arrays and inside our own pool."""
    return 1 if hasattr(_in_pool, "flag") else max(1, min(NUM_THREADS, round(array.nbytes / SHARE_BYTES)))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(NUM_THREADS, initializer=lambda: setattr(_in_pool, "flag", True))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def share(work: Work[Outcome], count: int, image: Array) -> list[Outcome]:
    """Return the outcomes of `shares`."""
    return list(shares(work, count, image))


def share_arrays(change: Callable[[slice], Array], count: int, image: Array) -> Array:
    """Return the arrays that `change` gives for each piece of the indices as one, shared as in `shares`."""
    parts = share(lambda pieces: [change(piece) for piece in pieces], count, image)
    return array_module(image).concatenate(list(chain.from_iterable(parts)))


def shares(work: Work[Outcome], count: int, image: Array) -> Iterator[Outcome]:
    """Return an iterator over work(pieces), … with the indices 0..count-1 shared among the threads.

    Each share comes as a list of pieces (slices), and a piece holds as many arrays like `image` as the cache takes.
    A GPU gets one share, in one piece if that fits its memory.
    """
    if array_module(image) is not np:
        return iter(_share_on_device(work, count, image))
    step = max(1, CACHE_BYTES // image.nbytes)
    number = max(1, min(SHARES, count, round(count * image.nbytes / SHARE_BYTES)))
    bounds = [count * i // number for i in range(number + 1)]
    parts = [[slice(i, min(i + step, stop)) for i in range(start, stop, step)]
             for start, stop in pairwise(bounds)]
    alone = NUM_THREADS == 1 or number == 1 or hasattr(_in_pool, "flag")
    return iter((map if alone else _pool().map)(work, parts))


def joined(pieces: list[slice]) -> slice:
    """Return the pieces of a share as one, for a compiled loop that goes through its arrays one by one."""
    return slice(pieces[0].start, pieces[-1].stop)


def pieces(count: int, image: Array) -> list[slice]:
    """Return pieces of the indices 0..count-1, each of as many arrays like `image` as the cache takes.

    Work on one after the other needs the memory of a piece only.  A GPU gets larger pieces.
    """
    step = max(1, (CACHE_BYTES if array_module(image) is np else DEVICE_BYTES) // image.nbytes)
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def by_pieces(change: Callable[[slice], Array], arrays: Array) -> Array:
    """Return as one the arrays that `change` gives for the `pieces` of some arrays, one piece after the other."""
    changed = None
    for part in pieces(len(arrays), arrays[0]):
        of_part = change(part)
        if changed is None:
            changed = array_module(of_part).empty((len(arrays), *of_part.shape[1:]), of_part.dtype)
        changed[part] = of_part
    assert changed is not None, "there is at least one array"
    return changed


def _share_on_device(work: Work[Outcome], count: int, image: Array) -> list[Outcome]:
    """Do all the work in one share, whose pieces are halved each time that the device's memory is not enough."""
    import cupy
    key = count, image.nbytes
    while True:
        pieces = _device_pieces.setdefault(key, 1)
        bounds = [count * i // pieces for i in range(pieces + 1)]
        try:
            return [work([slice(*bound) for bound in pairwise(bounds)])]
        except (cupy.cuda.memory.OutOfMemoryError, cupy.cuda.cufft.CuFFTError) as error:
            if isinstance(error, cupy.cuda.cufft.CuFFTError) and "ALLOC" not in str(error):
                raise
            if pieces == count:
                raise MemoryError(f"the GPU's memory does not hold even single images of {size_text(image.nbytes)}: use"
                                  f" the CPU ({error.__cause__ or error})") from error
        _device_pieces[key] = min(2 * pieces, count)
        cupy.fft.config.get_plan_cache().clear()  # the plans hold memory to work in
        cupy.get_default_memory_pool().free_all_blocks()
