"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np
import scipy.fft

NUM_THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
if os.environ.get("OMP_NUM_THREADS", "").isdecimal():  # what BART's users set
    NUM_THREADS = max(1, min(NUM_THREADS, int(os.environ["OMP_NUM_THREADS"])))
SHARES = 10  # of the work for the threads of the CPU; more keep more threads busy, and cost more to sum up
SMALL_BYTES = 1 << 20  # work on less is done before other threads have woken up
CACHE_BYTES = 2 << 20  # images handled together: what a core's cache holds between an FFT and the next loop

_in_pool = threading.local()


def array_module(array):
    """The module that made the array: cupy, torch (in training) or numpy; the first two are never imported here."""
    for name, kind in (("cupy", "ndarray"), ("torch", "Tensor")):
        module = sys.modules.get(name)
        if module is not None and isinstance(array, getattr(module, kind)):
            return module
    return np


def kernels(array):
    """The hot loops for the array: compiled by numba for NumPy, written in CUDA for CuPy."""
    if array_module(array) is np:
        from .kernels import cpu
        return cpu
    from .kernels import cuda
    return cuda


def fftn(array, axes=(-2, -1), overwrite=False):
    """Unitary FFT over `axes`, zero frequency first."""
    return _transform("fftn", array, axes, overwrite)


def ifftn(array, axes=(-2, -1), overwrite=False):
    """Unitary inverse FFT over `axes`, zero frequency first."""
    return _transform("ifftn", array, axes, overwrite)


def _transform(name, array, axes, overwrite):
    if array_module(array) is np:
        return getattr(scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite,
                                          workers=1 if hasattr(_in_pool, "flag") or array.nbytes < SMALL_BYTES
                                          else NUM_THREADS)
    import cupyx.scipy.fft
    return getattr(cupyx.scipy.fft, name)(array, axes=axes, norm="ortho", overwrite_x=overwrite)


def dst1(array):
    """Orthonormal DST of type I over the last two axes, its own inverse."""
    if array_module(array) is np:
        return scipy.fft.dstn(array, type=1, axes=(-2, -1), norm="ortho", workers=NUM_THREADS)
    rows, columns = (_sines(n, array.dtype, array_module(array)) for n in array.shape[-2:])
    return rows @ array @ columns


@lru_cache(maxsize=4)
def _sines(n, dtype=float, xp=np):
    """The matrix of the orthonormal DST of type I; CuPy has no fast one."""
    k = np.arange(1, n + 1)
    return xp.asarray((2 / (n + 1)) ** 0.5 * np.sin(np.pi * np.outer(k, k) / (n + 1)), dtype)


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


PLAN_PART = 8   # FFT plans may keep an eighth of the device's memory,
POOL_PART = 0.9  # CuPy's pool as much of it: the rest is the driver's, and others'


def choose(device, array):
    """The array module for `device`: that of the array for None, numpy for "cpu", cupy for "gpu", the best for "auto".

    Raises ValueError for another word, or where there is no GPU to be had.
    """
    if device is None:
        return array_module(array)
    if device not in ("cpu", "gpu", "auto"):
        raise ValueError(f"device: expected cpu, gpu or auto, got {device!r}")
    try:
        return np if device == "cpu" else _gpu()
    except ValueError:
        if device == "auto":
            return np
        raise


def _gpu():
    """cupy with a device.  ValueError where either is missing: it can be imported without one."""
    try:
        import cupy
        if cupy.cuda.runtime.getDeviceCount() < 1:
            raise ValueError("no CUDA device was found")
        cupy.fft.config.get_plan_cache().set_memsize(cupy.cuda.runtime.memGetInfo()[1] // PLAN_PART)
        pool = cupy.get_default_memory_pool()
        if not pool.get_limit():  # what the user has set stays
            pool.set_limit(fraction=POOL_PART)
    except ImportError as error:
        raise ValueError("no CUDA device can be used: CuPy is not installed"
                         " (pip install 'bart_pogmdm[cuda12]' or [cuda13])") from error
    except RuntimeError as error:  # of the CUDA runtime: no driver, no permission
        raise ValueError(f"no CUDA device can be used ({error})") from error
    return cupy


def move(array, xp):
    """The array as one of another module; None stays None."""
    if array is None or array_module(array) is xp:
        return array
    if xp is np:
        return array.get()
    array = np.asarray(array)
    return xp.asarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def complex_normal(rng, like):
    """Noise of standard deviation 1 in real and imaginary part, like a complex array; the same on every device."""
    out, seed = array_module(like).empty(like.shape, like.dtype), rng.integers(2**64, dtype=np.uint64)
    planes = out.reshape(-1, *like.shape[-2:])

    def work(pieces):
        for part in pieces:
            kernels(out).normal(planes[part], seed, part.start * planes[0].size)

    share(work, len(planes), planes[0])
    return out


def available_memory(xp=np):
    """Bytes of main memory that can be had without swapping, for CuPy of the GPU's; infinite where none says."""
    if xp is not np:
        pool = xp.get_default_memory_pool()
        free = xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
        return min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            return next(1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return float("inf")


def inner(left, right, axes=None):
    """Re <left, right>: a Python number; on a GPU an array of no dimensions, for to read it is to wait.

    With `axes` over these only, and they stay: an array that goes with left and right.
    """
    total = (left.conj() * right).real.sum(axes, keepdims=axes is not None)
    return float(total) if array_module(left) is np and axes is None else total


def at_least(number, floor):
    """max(number, floor) of a result of `inner`, without reading it."""
    return max(number, floor) if isinstance(number, float) else array_module(number).maximum(number, floor)


def for_each(rngs, draw, axis=0):
    """Arrays draw(rng), one for each generator, along a new axis: what one draws does not depend on the others."""
    arrays = [draw(rng) for rng in rngs]
    return array_module(arrays[0]).stack(arrays, axis)


def complex_dtype(dtype):
    """complex128 for double precision and beyond, complex64 otherwise; always in native byte order."""
    return np.complex128 if np.result_type(dtype, np.complex64).itemsize > 8 else np.complex64


def real_dtype(dtype):
    """float64 for double precision and beyond, float32 otherwise."""
    return complex_dtype(dtype)(0).real.dtype
