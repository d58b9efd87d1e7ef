"""The device that does the work: the choice between CPU and GPU, and how much memory it has left."""

import numpy as np

from .array_types import Array, ArrayModule
from .memory import free_memory
from .modules import array_module

PLAN_PART = 8    # cached FFT plans may take an eighth of the device's memory, because other arrays need the rest
POOL_PART = 0.9  # CuPy's memory pool may grow to this part of the device, because the driver and others need some


def choose(device: str | None, array: Array | None) -> ArrayModule:
    """Return numpy for "cpu", cupy for "gpu", the best available for "auto", and the array's own module for None.

    Raises ValueError for any other word, or for "gpu" where no GPU can be used.
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


def _gpu() -> ArrayModule:
    """Return cupy.  ValueError where CuPy or a device is missing: CuPy can be imported without a device."""
    try:
        import cupy
        if cupy.cuda.runtime.getDeviceCount() < 1:
            raise ValueError("device: no CUDA device was found")
        cupy.fft.config.get_plan_cache().set_memsize(cupy.cuda.runtime.memGetInfo()[1] // PLAN_PART)
        pool = cupy.get_default_memory_pool()
        if not pool.get_limit():  # a limit that the user has set stays
            pool.set_limit(fraction=POOL_PART)
    except ImportError as error:
        raise ValueError("device: no CUDA device can be used: CuPy is not installed"
                         " (pip install 'bart_pogmdm[cuda12]' or [cuda13])") from error
    except RuntimeError as error:  # of the CUDA runtime: no driver, no permission
        raise ValueError(f"device: no CUDA device can be used ({error})") from error
    return cupy


def available_memory(xp: ArrayModule = np) -> float:
    """Return the bytes of main memory (for cupy: of the GPU's) that are free; infinity where nothing tells."""
    if xp is np:
        return free_memory()
    pool = xp.get_default_memory_pool()
    free = xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
    return min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free
