"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import numpy as np

from .modules import array_module

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
