"""The hot loops on an NVIDIA GPU, bound to `kernels.cu`; `generic` documents each of them."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..array_types import Array

SOURCE = Path(__file__).with_name("kernels.cu")
STANDARD = "-std=c++14"
THREADS = 256
MOST_BLOCKS = 4096  # the loops stride over the grid
MOST_ROWS = 65535   # of a grid, by CUDA
REALS = {4: "float", 8: "double"}


@lru_cache(maxsize=2)
def _module(real: str) -> Any:
    import cupy
    return cupy.RawModule(code=SOURCE.read_text(), options=(f"-DREAL={real}", STANDARD))


@lru_cache
def _function(real: str, name: str) -> Any:
    return _module(real).get_function(name)


def compile_all() -> None:
    """Compile the kernels.  Raises an error of CuPy where it lacks a part of CUDA."""
    for real in REALS.values():
        _module(real).compile()


def _launch(name: str, real_bytes: int, size: int, arguments: Iterable[Any], rows: int = 1,
            shared_bytes: int = 0) -> None:
    """Run a kernel on `size` elements in each of `rows` rows of blocks."""
    blocks = max(1, min(MOST_BLOCKS, -(-size // THREADS)))
    _function(REALS[real_bytes], name)((blocks, rows), (THREADS,), tuple(arguments), shared_mem=shared_bytes)


def _whole(*arrays: Array) -> tuple[Array, ...]:
    """Return the arrays.  ValueError or TypeError unless they are contiguous and of one precision."""
    if not all(array.flags.c_contiguous for array in arrays):
        raise ValueError("kernels: expected C-contiguous arrays")
    if len(kinds := {array.real.dtype for array in arrays}) > 1:
        raise TypeError(f"kernels: expected one precision, got {', '.join(sorted(map(str, kinds)))}")
    return arrays


def expand(maps: Array, image: Array, out: Array) -> None:
    _launch("expand", out.itemsize // 2, image.size, (*_whole(maps, image, out), image.size, maps[0].size),
            rows=len(maps))


def combine(maps: Array, images: Array, out: Array) -> None:
    _launch("combine", out.itemsize // 2, out.size, (*_whole(maps, images, out), len(maps), out.size, maps[0].size))


def scale(images: Array, factor: Array) -> None:
    rows = images.size // factor.size
    if factor.shape[-1] == 1 or rows > MOST_ROWS:
        images *= factor
    else:
        _launch("scale", factor.itemsize, factor.size, (*_whole(images, factor), factor.size), rows=rows)


def scatter(columns: Array, numbers: Array, out: Array) -> None:
    out[...] = 0
    out[..., numbers] = columns


def multiply(matrix: Array, stack: Array, out: Array) -> None:
    import cupy
    cupy.matmul(matrix, stack, out=out)


def interpolate(values: Array, table: Array, radius: float, inverse_variance: float) -> None:
    (count, size), nodes = values.shape, table.shape[1]
    _launch("interpolate", values.itemsize, size // 8, (*_whole(values, table), radius, inverse_variance, size, nodes),
            rows=count, shared_bytes=nodes * values.itemsize)


def draw(values: Array, accept: Array, alias: Array, means: Array, radius: float, inverse_variance: float, seed: Any,
         first_row: int) -> None:
    (count, size), (_, nodes, components) = values.shape, accept.shape
    _whole(values[0], means)
    _launch("draw", values.itemsize, size, (values, *_whole(accept), *_whole(alias), means, radius, inverse_variance,
                                            seed, first_row, size, values.strides[0] // values.itemsize, nodes,
                                            components), rows=count)


def normal(out: Array, seed: Any, first: int) -> None:
    _launch("normal", out.itemsize // 2, out.size, (*_whole(out), seed, first, out.size))


def normal_where(out: Array, masks: Array, seed: Any, first: int) -> None:
    import cupy
    normal(out, seed, first * out[0].size)
    out *= (masks != 0)[cupy.arange(first, first + len(out)) % len(masks)]


def mixture_means(nodes: Array, weights: Array, means: Array, std: float, out: Array) -> None:
    (count, size), components = out.shape, means.size
    arrays = _whole(nodes, weights, means)
    _launch("mixture_means", 8, out.size, (*arrays, float(std), *_whole(out), count, size, components))


def mixture(values: Array, log_weights: Array, means: Array, std: float, log_density: Array, mean: Array) -> None:
    (count, size), components = values.shape, means.size
    arrays = _whole(values, log_weights, means)
    _launch("mixture", 8, size, (*arrays, float(std), *_whole(log_density, mean), size, components), rows=count)
