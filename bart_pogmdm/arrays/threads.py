"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np

from .modules import array_module

NUM_THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
if os.environ.get("OMP_NUM_THREADS", "").isdecimal():  # what BART's users set
    NUM_THREADS = max(1, min(NUM_THREADS, int(os.environ["OMP_NUM_THREADS"])))
SHARES = 10  # of the work for the threads of the CPU; more keep more threads busy, and cost more to sum up
SMALL_BYTES = 1 << 20  # work on less is done before other threads have woken up
CACHE_BYTES = 2 << 20  # images handled together: what a core's cache holds between an FFT and the next loop
_in_pool = threading.local()


@lru_cache(maxsize=1)
def _pool():
    return ThreadPoolExecutor(NUM_THREADS, initializer=lambda: setattr(_in_pool, "flag", True))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def share(work, count, image):
    """[work(pieces), …]: the indices 0..count-1 shared among the threads, each share in pieces (slices).

    A piece holds as many arrays like `image` as the cache takes.  The shares depend on nothing but `count`, so sums
    over them are the same whatever the number of threads.  A GPU gets one share, of one piece if that fits.
    """
    if array_module(image) is not np:
        return _share_on_device(work, count, image)
    step = max(1, CACHE_BYTES // image.nbytes)
    number = min(SHARES, count)
    bounds = [count * i // number for i in range(number + 1)]
    shares = [[slice(i, min(i + step, stop)) for i in range(start, stop, step)]
              for start, stop in pairwise(bounds)]
    alone = NUM_THREADS == 1 or number == 1 or count * image.nbytes < SMALL_BYTES or hasattr(_in_pool, "flag")
    return list((map if alone else _pool().map)(work, shares))


_device_pieces = {}  # (count, size of an image) -> as many pieces as the device's memory has asked for so far


def _share_on_device(work, count, image):
    """[work(pieces)] with more and smaller pieces each time that the memory is not enough."""
    import cupy
    key = count, image.nbytes
    while True:
        pieces = _device_pieces.setdefault(key, 1)
        bounds = [count * i // pieces for i in range(pieces + 1)]
        try:
            return [work([slice(*bound) for bound in pairwise(bounds)])]
        except cupy.cuda.memory.OutOfMemoryError as error:
            if pieces == count:
                raise MemoryError("the GPU's memory does not hold even single images of"
                                  f" {image.nbytes / 2**20:.3g} MiB: use the CPU") from error
        _device_pieces[key] = min(2 * pieces, count)
        cupy.get_default_memory_pool().free_all_blocks()
