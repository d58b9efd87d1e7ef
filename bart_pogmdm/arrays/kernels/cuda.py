"""The hot loops on an NVIDIA GPU, bound to `kernels.cu`; `generic` says what each computes."""

from functools import lru_cache
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.cu")
THREADS = 256
MOST_BLOCKS = 4096  # the loops stride over the grid
REALS = {4: "float", 8: "double"}


@lru_cache(maxsize=2)
def _module(real):
    import cupy
    return cupy.RawModule(code=SOURCE.read_text(), options=(f"-DREAL={real}", "-std=c++14"))


def _launch(name, real_bytes, size, arguments, rows=1, shared_bytes=0):
    """Run a kernel on `size` elements in each of `rows` rows of blocks."""
    function = _module(REALS[real_bytes]).get_function(name)
    blocks = max(1, min(MOST_BLOCKS, -(-size // THREADS)))
    function((blocks, rows), (THREADS,), tuple(arguments), shared_mem=shared_bytes)


def _whole(*arrays):
    """The arrays, which the kernels take to be contiguous and of one type (integers apart)."""
    if not all(array.flags.c_contiguous for array in arrays):
        raise ValueError("kernels: expected C-contiguous arrays")
    if len(kinds := {array.real.dtype for array in arrays}) > 1:
        raise TypeError(f"kernels: expected one precision, got {', '.join(sorted(map(str, kinds)))}")
    return arrays


def expand(maps, image, out):
    _launch("expand", out.itemsize // 2, image.size, (*_whole(maps, image, out), image.size, maps[0].size),
            rows=len(maps))


def combine(maps, images, out):
    _launch("combine", out.itemsize // 2, out.size, (*_whole(maps, images, out), len(maps), out.size, maps[0].size))


def scale(images, factor):
    _launch("scale", factor.itemsize, factor.size, (*_whole(images, factor), factor.size),
            rows=images.size // factor.size)


def multiply(matrix, stack, out):
    import cupy
    cupy.matmul(matrix, stack, out=out)


def interpolate(values, table, radius, inverse_variance):
    (count, size), nodes = values.shape, table.shape[1]
    _launch("interpolate", values.itemsize, size // 8, (*_whole(values, table), radius, inverse_variance, size, nodes),
            rows=count, shared_bytes=nodes * values.itemsize)


def draw(values, accept, alias, means, radius, inverse_variance, seed, first_row):
    (count, size), (_, nodes, components) = values.shape, accept.shape
    _whole(values[0], means)
    _launch("draw", values.itemsize, size, (values, *_whole(accept), *_whole(alias), means, radius, inverse_variance,
                                            seed, first_row, size, values.strides[0] // values.itemsize, nodes,
                                            components), rows=count)


def normal(out, seed, first):
    _launch("normal", out.itemsize // 2, out.size, (*_whole(out), seed, first, out.size))


def mixture_means(nodes, weights, means, std, out):
    (count, size), components = out.shape, means.size
    arrays = _whole(nodes, weights, means)
    _launch("mixture_means", 8, out.size, (*arrays, float(std), *_whole(out), count, size, components))


def mixture(values, log_weights, means, std, log_density, mean):
    (count, size), components = values.shape, means.size
    arrays = _whole(values, log_weights, means)
    _launch("mixture", 8, size, (*arrays, float(std), *_whole(log_density, mean), size, components), rows=count)
