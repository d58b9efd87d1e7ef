"""A plan of finufft, or of cufinufft on a GPU."""

import math
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.modules import array_module, real_dtype

ACCURACY = 2e-6  # of the transform, relative: below the rounding of an FFT in single precision over a large image
MOST_ON_DEVICE = 2**31 - 1  # points of the finer grid of a plan

_planning = threading.Lock()  # FFTW has one planner for all threads


def library(xp: ArrayModule) -> ModuleType:
    """Return the module finufft, or for CuPy cufinufft.  ImportError that says how to install it."""
    name = "finufft" if xp is np else "cufinufft"
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"traj: needs {name}, which cannot be imported ({error}):"
                          f" pip install {repr('bart_pogmdm[nufft]') if xp is np else name}") from error


def make_plan(kind: int, angles: Array, shape: Shape, dtype: type, count: int) -> Any:
    """Return a plan of type 1 or 2 with its points set.  MemoryError where a GPU has no room for it."""
    xp, sign = array_module(angles), 1 if kind == 1 else -1
    dtype = np.complex128 if xp is np else dtype
    points = [xp.ascontiguousarray(axis, real_dtype(dtype)) for axis in angles]
    if xp is np:
        with _planning:
            plan = library(xp).Plan(kind, shape, count, ACCURACY, sign, dtype, nthreads=1, upsampfac=1.25)
            plan.setpts(*points)
        return plan
    if math.prod(2 * n for n in shape) > MOST_ON_DEVICE:
        raise MemoryError(f"traj: a GPU has no room for the convolution of {' x '.join(map(str, shape))} pixels, which"
                          " cufinufft counts in 32 bits: use the CPU")
    try:
        plan = library(xp).Plan(kind, shape, count, ACCURACY, sign, dtype, gpu_device_id=xp.cuda.Device().id,
                                gpu_stream=xp.cuda.get_current_stream().ptr)
        plan.setpts(*points)
    except RuntimeError as error:  # it does not say why, and allocates outside CuPy's pool
        raise xp.cuda.memory.OutOfMemoryError(0, 0) from error
    return plan
