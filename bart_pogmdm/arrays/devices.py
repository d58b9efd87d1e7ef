"""The device that does the work: the choice between CPU and GPU, and how much memory it has left."""

import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar

import numpy as np

from .array_types import Array, ArrayModule
from .memory import free_memory
from .modules import array_module

POOL_PART = 0.9  # CuPy's memory pool may grow to this part of the device, because the driver and others need some

Function = TypeVar("Function", bound=Callable[..., Any])


def choose(device: str | None, array: Array | None) -> ArrayModule:
    """Return numpy for "cpu", cupy for "gpu", the best available for "auto", and the array's own module for None.

    Raises ValueError for any other word, or for "gpu" where no GPU can be used.
    """
    if device is None:
        return array_module(array)
    if not num_gpus(device):
        return np
    try:
        return _ready_gpu()
    except ValueError:
        if device == "gpu":
            raise
        return np


def num_gpus(device: str | None) -> int:
    """Return how many GPUs there are for "gpu" or "auto", without taking memory of them; 0 for "cpu".

    Raises ValueError for any other word, or for "gpu" where there is none.
    """
    if device not in ("cpu", "gpu", "auto"):
        raise ValueError(f"device: expected cpu, gpu or auto, got {device!r}")
    if device == "cpu":
        return 0
    try:
        import cupy
        if count := int(cupy.cuda.runtime.getDeviceCount()):
            return count
        reason = "none was found"
    except ImportError:
        reason = "CuPy is not installed: pip install 'bart_pogmdm[cuda12]' or [cuda13]"
    except RuntimeError as error:  # of the CUDA runtime: no driver, no permission; CuPy can be imported without
        reason = str(error)
    if device == "auto":
        return 0
    raise ValueError(f"device: no CUDA device can be used ({reason})")


def _ready_gpu() -> ArrayModule:
    """Return cupy.  ValueError where it lacks a part of CUDA, which it only finds when it first needs it."""
    import cupy

    from .kernels import cuda
    try:
        cuda.compile_all()
        cupy.matmul(*[cupy.fft.fft(cupy.ones((2, 2), np.complex64))] * 2)
        pool = cupy.get_default_memory_pool()
        if not pool.get_limit():  # a limit that the user has set stays
            pool.set_limit(fraction=POOL_PART)
    except (ImportError, OSError, MemoryError, RuntimeError, cupy.cuda.compiler.CompileException) as error:
        raise ValueError(f"device: no CUDA device can be used ({error})") from error
    return cupy


def available_memory(xp: ArrayModule = np) -> float:
    """Return the bytes of main memory (for cupy: of the GPU's) that are free; infinity where nothing tells."""
    if xp is np:
        return free_memory()
    pool = xp.get_default_memory_pool()
    free = xp.cuda.runtime.memGetInfo()[0] + pool.free_bytes()
    return min(free, pool.get_limit() - pool.used_bytes()) if pool.get_limit() else free


def kept_on_device(most: int) -> Callable[[Function], Function]:
    """Keep the last results of a function that makes arrays of a given module: for CuPy those of each device."""
    def decorate(function: Function) -> Function:
        kept = lru_cache(most)(lambda device, *arguments: function(*arguments))

        @wraps(function)
        def call(*arguments: Any) -> Any:
            cupy = sys.modules.get("cupy")
            on_device = cupy is not None and any(argument is cupy for argument in arguments)
            return kept(cupy.cuda.Device().id if cupy is not None and on_device else None, *arguments)

        call.cache_clear = kept.cache_clear  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]
    return decorate
