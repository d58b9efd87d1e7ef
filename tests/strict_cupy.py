"""A stand-in for CuPy where there is no GPU: NumPy arrays that, like CuPy's, refuse to meet NumPy's own."""

import sys
import types

import numpy as np
import scipy.fft


class ndarray(np.ndarray):
    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        for array in (*inputs, *(out or ())):
            if type(array) is np.ndarray and array.ndim:
                raise TypeError(f"Unsupported type numpy.ndarray in {ufunc.__name__}")
        if out:
            keywords["out"] = tuple(map(_plain, out))
        result = getattr(ufunc, method)(*map(_plain, inputs), **keywords)
        return out[0] if out else _wrap(result)


def _plain(value):
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.view(np.ndarray) if isinstance(value, ndarray) else value


def _wrap(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return np.asarray(value).view(ndarray)
    return tuple(map(_wrap, value)) if isinstance(value, tuple) else value


def _strict(function, name):
    def call(*arguments, **keywords):
        converts = name in ("asarray", "array", "ascontiguousarray")
        if not converts and any(type(a) is np.ndarray and a.ndim for a in (*arguments, *keywords.values())):
            raise TypeError(f"cupy.{name}: got a NumPy array")
        return _wrap(function(*map(_plain, arguments), **{key: _plain(value) for key, value in keywords.items()}))
    return call


class _Module(types.ModuleType):
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


def install(monkeypatch):
    """Make `import cupy` and `import cupyx.scipy.fft` find the stand-in; returns it."""
    cupy, fft = _Module("cupy", np), _Module("cupyx.scipy.fft", scipy.fft)
    cupy.ndarray = ndarray
    packages = {"cupyx": _Module("cupyx", None), "cupyx.scipy": _Module("cupyx.scipy", None)}
    packages["cupyx"].scipy, packages["cupyx.scipy"].fft = packages["cupyx.scipy"], fft
    for name, module in {"cupy": cupy, **packages, "cupyx.scipy.fft": fft}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return cupy
