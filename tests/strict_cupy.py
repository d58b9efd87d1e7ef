"""A stand-in for CuPy on machines without a GPU: arrays that, like CuPy's, raise TypeError when mixed with NumPy's.

The CUDA kernels run as well: their source is compiled as plain C++, and each row of the grid is one block of one
thread.  `transfers` counts what would go to or from the device.  The memory of the device can be limited.
"""

import ctypes
import math
import shutil
import subprocess
import sys
import types
from collections import Counter
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import scipy.fft

from bart_pogmdm.arrays.kernels.cuda import MOST_ROWS, SOURCE, STANDARD

SHIM = """
#include <cmath>
#define __global__
#define __device__ static
#define __shared__
#define __align__(n) alignas(n)
#define __syncthreads()
using namespace std;
static struct { long x, y; } blockIdx, blockDim = {1, 1}, gridDim = {1, 1}, threadIdx;
char memory[1 << 20];
extern "C" void set_row(long row) { blockIdx.y = row; }
#line 1 "kernels.cu"
"""

transfers = Counter()
"""Numbers and arrays that went to or from the device so far, by the name of the method that moved them."""


def _counted(name):
    """A method of NumPy's array that reads from the device, and counts that."""
    def read(self, *arguments):
        transfers[name] += 1
        return getattr(self.view(np.ndarray), name)(*arguments)
    return read


class ndarray(np.ndarray):
    """An array on the device."""

    __float__, __int__, __complex__, __bool__, __index__, item, tolist = map(_counted, (
        "__float__", "__int__", "__complex__", "__bool__", "__index__", "item", "tolist"))

    def get(self, order="C"):
        """Return the array as one of NumPy."""
        transfers["get"] += 1
        return np.array(self, order=order)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        for array in (*inputs, *(out or ())):
            if type(array) is np.ndarray and array.ndim:
                raise TypeError(f"Unsupported type numpy.ndarray in {ufunc.__name__}")
        if out:
            keywords["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*map(_plain, inputs), **keywords)
        return out[0] if out else _wrap(result)


def _plain(value):
    """Return an array of the device, or a list of them, as NumPy's."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.view(np.ndarray) if isinstance(value, ndarray) else value


def _wrap(value):
    """Return an array or number of NumPy as an array of the device, which must hold it."""
    if isinstance(value, (np.ndarray, np.generic)):
        if value.nbytes > _Cuda.largest_array and getattr(value, "base", None) is None:
            raise _Cuda.memory.OutOfMemoryError(value.nbytes, _Cuda.largest_array)
        return np.asarray(value).view(ndarray)
    return tuple(map(_wrap, value)) if isinstance(value, tuple) else value


def _strict(function, name):
    """A function of NumPy for arrays of the device only; those that convert arrays also take NumPy's."""
    def call(*arguments, **keywords):
        converts = name in ("asarray", "array")
        transfers["upload"] += converts and type(arguments[0]) is np.ndarray
        if not converts and any(type(a) is np.ndarray and a.ndim for a in (*arguments, *keywords.values())):
            raise TypeError(f"cupy.{name}: got a NumPy array")
        return _wrap(function(*map(_plain, arguments), **{key: _plain(value) for key, value in keywords.items()}))
    return call


class _Cuda:
    """The part of `cupy.cuda` that is used, and the size in bytes of the largest array that memory has room for."""

    memory = types.SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {}))
    cufft = types.SimpleNamespace(CuFFTError=type("CuFFTError", (RuntimeError,), {}))
    compiler = types.SimpleNamespace(CompileException=type("CompileException", (Exception,), {}))
    device = 0
    Device = staticmethod(lambda: types.SimpleNamespace(id=_Cuda.device))
    get_current_stream = staticmethod(lambda: types.SimpleNamespace(ptr=0))
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, memGetInfo=lambda: (1 << 30, 1 << 30))
    largest_array = largest_plan = math.inf


class _Pool:
    """A memory pool that holds nothing."""

    limit = 0

    def free_all_blocks(self):
        pass

    def free_bytes(self):
        return 0

    used_bytes = free_bytes

    def get_limit(self):
        return self.limit

    def set_limit(self, fraction):
        self.limit = int(fraction * _Cuda.runtime.memGetInfo()[1])


class _Module(types.ModuleType):
    """A module of NumPy or SciPy whose functions take arrays of the device only."""

    def __init__(self, name, source):
        super().__init__(name)
        self._source = source
        self.__path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._source, name)
        if isinstance(value, types.ModuleType):
            return _Module(name, value)
        return value if isinstance(value, type) or not callable(value) else _strict(value, name)


class _Fft(_Module):
    """SciPy's transforms, which need a plan of the size of the array."""

    def __getattr__(self, name):
        transform = super().__getattr__(name)

        def call(array, **keywords):
            if array.nbytes > _Cuda.largest_plan:
                raise _Cuda.cufft.CuFFTError("CUFFT_ALLOC_FAILED")
            return transform(array, **keywords)
        return call


def _argument(value):
    """Return a kernel's argument as CuPy would pass it."""
    if isinstance(value, np.ndarray):
        assert isinstance(value, ndarray), "a kernel got a NumPy array"
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, (int, np.uint64)):
        return ctypes.c_uint64(int(value) % 2**64)
    return ctypes.c_float(value) if isinstance(value, np.float32) else ctypes.c_double(value)


class _Kernels:
    """The compiled kernels for one type of real numbers, in the place of `cupy.RawModule`."""

    def __init__(self, real):
        with TemporaryDirectory() as folder:
            source, library = Path(folder, "kernels.cpp"), Path(folder, "kernels.so")
            source.write_text(SHIM + SOURCE.read_text())
            subprocess.run(["g++", "-O1", "-shared", "-fPIC", STANDARD, "-pedantic-errors", "-Wall", "-Werror",
                            f"-DREAL={real}", str(source), "-o", str(library)], check=True)
            self._library = ctypes.CDLL(str(library))

    def compile(self):
        """Do nothing: they are compiled."""

    def get_function(self, name):
        """Return the function that launches a kernel."""
        def launch(grid, block, arguments, shared_mem):
            assert shared_mem <= 48 << 10 and grid[0] >= 1 and grid[1] <= MOST_ROWS and block[0] <= 1024
            for row in range(grid[1]):
                self._library.set_row(ctypes.c_long(row))
                getattr(self._library, name)(*map(_argument, arguments))
        return launch


_kernels = lru_cache(_Kernels)


def install(monkeypatch, largest_array=math.inf, largest_plan=math.inf):
    """Make `import cupy` and `import cupyx.scipy.fft` find the stand-in, and return it.

    largest_array: size in bytes of the largest array that a function of the stand-in can make; a larger one raises
    OutOfMemoryError, as on a device that is nearly full.  largest_plan: the same for arrays that are transformed.
    """
    if not shutil.which("g++"):
        pytest.skip("the CUDA kernels need g++ to run as plain C++")
    for name, found in (("_module", _kernels), ("_function", lambda real, name: _kernels(real).get_function(name))):
        monkeypatch.setattr(f"bart_pogmdm.arrays.kernels.cuda.{name}", found)
    monkeypatch.setattr(_Cuda, "device", 0)
    monkeypatch.setattr(_Cuda, "largest_array", largest_array)
    monkeypatch.setattr(_Cuda, "largest_plan", largest_plan)
    cupy, fft = _Module("cupy", np), _Fft("cupyx.scipy.fft", scipy.fft)
    cupy.ndarray, cupy.cuda = ndarray, _Cuda
    cupy.fft = _Module("cupy.fft", np.fft)
    plans = types.SimpleNamespace(clear=lambda: transfers.update(["plans dropped"]))
    cupy.fft.config = types.SimpleNamespace(get_plan_cache=lambda: plans)
    pool = _Pool()
    cupy.get_default_memory_pool = lambda: pool
    packages = {"cupyx": _Module("cupyx", None), "cupyx.scipy": _Module("cupyx.scipy", None)}
    packages["cupyx"].scipy, packages["cupyx.scipy"].fft = packages["cupyx.scipy"], fft
    for name, module in {"cupy": cupy, **packages, "cupyx.scipy.fft": fft}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return cupy
