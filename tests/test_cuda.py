"""The CUDA kernels without a GPU: compiled by nvcc, and run as plain C++ beside the others."""

import shutil
import subprocess

import numpy as np
import pytest
import strict_cupy
from properties import random_complex

from bart_pogmdm.arrays.kernels.cpu import normal
from bart_pogmdm.arrays.kernels.cuda import SOURCE, expand


def arguments(name, rng, dtype):
    """Arguments for a kernel, and the places of those that it writes to."""
    real = np.dtype(dtype).type(0).real.dtype
    maps, images, image = (random_complex(rng, shape, dtype) for shape in ((3, 8, 6), (3, 8, 6), (8, 6)))
    values = rng.standard_normal((4, 50)).astype(real)
    table, means = rng.standard_normal((4, 33)).astype(real), np.linspace(-1, 1, 7)
    weights = rng.random((4, 7))
    weights[:, 2:] = 0
    accept, alias = rng.random((4, 33, 7)).astype(np.float32), rng.integers(7, size=(4, 33, 7), dtype=np.uint8)
    exact = values.astype(float)
    return {
        "expand": ((maps, image, images), (2,)),
        "combine": ((maps, images, image), (2,)),
        "scale": ((images, rng.random((8, 6)).astype(real)), (0,)),
        "multiply": ((random_complex(rng, (5, 8), dtype), images, np.empty((3, 5, 6), dtype)), (2,)),
        "interpolate": ((values, table, real.type(1.5), real.type(3.0)), (0,)),
        "draw": ((values, accept, alias, means.astype(real), real.type(1.5), real.type(3.0),
                  np.uint64(2**63 + 5), 2), (0,)),
        "normal": ((images, np.uint64(2**63 + 5), 11), (0,)),
        "mixture_means": ((np.linspace(0, 60, 40), weights, means, 0.02, np.empty((4, 40))), (4,)),
        "mixture": ((exact, np.log(weights + 1e-9), means, 0.3, np.empty_like(exact), np.empty_like(exact)), (4, 5)),
    }[name]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", ["expand", "combine", "scale", "multiply", "interpolate", "draw", "normal",
                                  "mixture_means", "mixture"])
def test_kernels_agree(name, dtype, monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    results = []
    for module in (generic, cpu, cuda):
        given, written = arguments(name, np.random.default_rng(0), dtype)
        if module is cuda:
            given = [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in given]
        getattr(module, name)(*given)
        results.append([np.array(given[place]) for place in written])
    single = np.dtype(dtype).itemsize == 8 and not name.startswith("mixture")
    for result in results[1:]:
        for got, expected in zip(result, results[0]):
            np.testing.assert_allclose(got, expected, rtol=1e-4 if single else 1e-10, atol=1e-5 if single else 1e-12)


def test_kernels_refuse_strided_arrays(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    maps = cupy.asarray(np.ones((3, 8, 6), complex))
    with pytest.raises(ValueError, match="expected C-contiguous arrays"):
        expand(maps[:, :, ::2], maps[0, :, ::2], maps[:, :, ::2])


@pytest.mark.parametrize("real", ["float", "double"])
def test_nvcc_accepts_the_kernels(real, tmp_path):
    if not shutil.which("nvcc"):
        pytest.skip("nvcc is not installed")
    subprocess.run(["nvcc", "-ptx", f"-DREAL={real}", "-std=c++14", str(SOURCE), "-o", str(tmp_path / "k.ptx")],
                   check=True)
    text = (tmp_path / "k.ptx").read_text()
    assert all(f".entry {name}(" in text for name in ("expand", "interpolate", "draw", "mixture"))


def test_normal_numbers_are_normal():
    out = np.empty((300, 200), complex)
    normal(out, np.uint64(3), 0)
    from scipy.stats import kstest
    parts = np.concatenate([out.real.ravel(), out.imag.ravel()])
    assert kstest(parts, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(out.real.ravel(), out.imag.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(parts[1:], parts[:-1])[0, 1]) < 0.02
