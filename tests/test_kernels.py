"""The hot loops, and those with Fourier transforms: compiled by numba, and in CUDA run as plain C++, against their slow
twins in array operations.
"""

import shutil
import subprocess

import numpy as np
import pytest
import strict_cupy
from properties import random_complex

from bart_pogmdm.arrays.fft import fftn, ifftn
from bart_pogmdm.arrays.generators import complex_normal
from bart_pogmdm.arrays.kernels import cpu, cuda, generic, transforms
from bart_pogmdm.physics.fourier import axes_of
from bart_pogmdm.physics.grid_transform import Convolution, OnlyLines, SampledLines
from bart_pogmdm.prior.experts import of_spectra

NAMES = ["expand", "combine", "scale", "scatter", "multiply", "interpolate", "draw", "normal",
         "normal_where", "mixture_means", "mixture"]
SEED = np.uint64(2**63 + 5)


def random_arguments(name, rng, dtype):
    """Arguments of a kernel, and the places of those that it writes to."""
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
        "scatter": ((images, np.array([1, 2, 3, 5, 7, 8]), np.empty((3, 8, 9), dtype)), (2,)),
        "multiply": ((random_complex(rng, (5, 7), dtype), random_complex(rng, (3, 7, 6), dtype),
                      np.empty((3, 5, 6), dtype)), (2,)),
        "interpolate": ((values, table, real.type(1.5), real.type(3.0)), (0,)),
        "draw": ((values, accept, alias, means.astype(real), real.type(1.5), real.type(3.0), SEED, 2), (0,)),
        "normal": ((images, SEED, 11), (0,)),
        "normal_where": ((images, (rng.random((2, 8, 6)) < 0.4).astype(real), SEED, 1), (0,)),
        "mixture_means": ((np.linspace(0, 60, 40), weights, means, 0.02, np.empty((4, 40))), (4,)),
        "mixture": ((exact, np.log(weights + 1e-9), means, 0.3, np.empty_like(exact), np.empty_like(exact)), (4, 5)),
    }[name]


def arguments_of_the_prior(name, prior, rng, sigma=0.07):
    """The arguments that a score or potential of the prior gives a kernel, otherwise as `random_arguments`."""
    experts, spectra = prior.experts, prior.spectra((30, 28)).astype(complex)
    std, table, latents = experts.std(sigma), experts.table(sigma), experts.latents(sigma)
    spectrum = np.fft.fft2(random_complex(rng, (30, 28)))
    responses = np.fft.ifft2(spectra * spectrum)
    values = responses.view(float).reshape(len(spectra), -1)
    nodes = np.linspace(0, table.radius, 301)
    with np.errstate(divide="ignore"):
        log_weights = np.log(experts.weights)
    return {
        "expand": ((spectra, spectrum, np.empty_like(responses)), (2,)),
        "combine": ((spectra, np.fft.fft2(responses), np.zeros_like(spectrum)), (2,)),
        "interpolate": ((values, table.means, table.radius, table.inverse_variance), (0,)),
        "draw": ((values, latents.accept, latents.alias, latents.means, latents.radius, latents.inverse_variance,
                  SEED, 0), (0,)),
        "mixture_means": ((nodes, experts.weights, experts.means, std, np.empty((len(spectra), nodes.size))), (4,)),
        "mixture": ((values, log_weights, experts.means, std, np.empty_like(values), np.empty_like(values)), (4, 5)),
    }[name]


def results(module, name, given, written, monkeypatch):
    """What a module's kernel writes, as arrays of NumPy."""
    given = [value.copy() if isinstance(value, np.ndarray) else value for value in given]
    if module is cuda:
        cupy = strict_cupy.install(monkeypatch)
        given = [cupy.asarray(value) if isinstance(value, np.ndarray) else value for value in given]
    getattr(module, name)(*given)
    return [np.array(given[place]) for place in written]


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("module", [cpu, cuda], ids=["cpu", "cuda"])
def test_kernels_agree(module, name, dtype, rng, monkeypatch):
    given, written = random_arguments(name, rng, dtype)
    single = np.dtype(dtype).itemsize == 8 and not name.startswith("mixture")
    for got, expected in zip(results(module, name, given, written, monkeypatch),
                             results(generic, name, given, written, monkeypatch)):
        np.testing.assert_allclose(got, expected, rtol=1e-4 if single else 1e-10, atol=1e-5 if single else 1e-12)


@pytest.mark.parametrize("module", [cpu, cuda], ids=["cpu", "cuda"])
@pytest.mark.parametrize("shape", [(1, 6), (8, 1), (1, 1)])
def test_scale_by_a_factor_of_size_1(shape, module, rng, monkeypatch):
    given = random_complex(rng, (3, 8, 6)), rng.random(shape)
    found, = results(module, "scale", given, (0,), monkeypatch)
    np.testing.assert_allclose(found, given[0] * given[1], 1e-10)


@pytest.mark.parametrize("rows, inner", [(1, 1), (3, 4), (4, 3), (4, 4), (6, 9), (8, 10), (11, 8)])
def test_matrix_product_of_any_size(rows, inner, rng):
    matrix, stack = rng.standard_normal((rows, inner)), rng.standard_normal((2, inner, 7))
    out = np.full((2, rows, 7), np.nan)
    cpu.multiply(matrix, stack, out)
    np.testing.assert_allclose(out, matrix @ stack, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_table_goes_on_beyond_its_ends_and_keeps_nan(real):
    values = np.array([[np.nan, -np.inf, np.inf, -1e30, 1e30, -9, 9]], real)
    cpu.interpolate(values, np.array([[1, 2, 4]], real), real(3), real(0.5))
    np.testing.assert_array_equal(values, np.array([[np.nan, np.inf, -np.inf, 5e29, -5e29, 5, -2.5]], real))


@pytest.mark.parametrize("name", ["expand", "combine", "interpolate", "draw", "mixture_means", "mixture"])
@pytest.mark.parametrize("module", [cpu, cuda], ids=["cpu", "cuda"])
def test_kernels_agree_on_the_arrays_of_the_prior(module, name, prior, rng, monkeypatch):
    given, written = arguments_of_the_prior(name, prior, rng)
    for got, expected in zip(results(module, name, given, written, monkeypatch),
                             results(generic, name, given, written, monkeypatch)):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_table_of_the_prior_is_the_slow_one(prior):
    experts, table = prior.experts, prior.experts.table(0.07)
    means = np.empty_like(table.means)
    nodes = np.linspace(-table.radius, table.radius, table.means.shape[1])
    generic.mixture_means(nodes, experts.weights, experts.means, experts.std(0.07), means)
    np.testing.assert_allclose(table.means, means, rtol=1e-9, atol=1e-12)


def test_kernels_refuse_strided_arrays(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    maps = cupy.asarray(np.ones((3, 8, 6), complex))
    with pytest.raises(ValueError, match="expected C-contiguous arrays"):
        cuda.expand(maps[:, :, ::2], maps[0, :, ::2], maps[:, :, ::2])


@pytest.mark.parametrize("real", ["float", "double"])
def test_nvcc_accepts_the_kernels(real, tmp_path):
    if not shutil.which("nvcc"):
        pytest.skip("nvcc is not installed")
    subprocess.run(["nvcc", "-ptx", f"-DREAL={real}", "-std=c++14", str(cuda.SOURCE), "-o", str(tmp_path / "k.ptx")],
                   check=True)
    text = (tmp_path / "k.ptx").read_text()
    assert all(f".entry {name}(" in text for name in ("expand", "interpolate", "draw", "mixture"))


@pytest.mark.parametrize("shape, masks", [((3, 40, 30), 1), ((3, 40, 30), 3), ((3, 5, 8, 6), 1), ((3, 5, 8, 6), 3)])
def test_noise_of_a_mask_is_that_without_it_where_the_mask_is(shape, masks, rng):
    like, mask = np.empty(shape, np.complex64), (rng.random((masks, *shape[1:])) < 0.3).astype("f4")
    found, expected = (complex_normal(np.random.default_rng(5), like, *args) for args in ((mask,), ()))
    np.testing.assert_array_equal(found, expected * mask)


def test_normal_numbers_are_normal():
    out = np.empty((300, 200), complex)
    cpu.normal(out, np.uint64(3), 0)
    from scipy.stats import kstest
    parts = np.concatenate([out.real.ravel(), out.imag.ravel()])
    assert kstest(parts, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(out.real.ravel(), out.imag.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(parts[1:], parts[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.float32, np.int16, ">c8"])
@pytest.mark.parametrize("axes", [(-1,), (2,), (-3,), (-2, -1), (-3, -2, -1), (0, 2), ()])
def test_transform_of_any_layout(axes, dtype, rng):
    array = (9 * rng.standard_normal((2, 5, 4, 6))).astype(dtype)
    accuracy = 1e-12 if dtype is np.complex128 else 1e-5
    for given in (array, np.asfortranarray(array), array.swapaxes(0, 2), array[0], array[:, ::2]):
        if max(axes, default=0) >= given.ndim or -min(axes, default=0) > given.ndim:
            continue
        before = given.copy()
        spectrum = fftn(given, axes)
        np.testing.assert_allclose(spectrum, np.fft.fftn(given, axes=axes, norm="ortho"), accuracy, 9 * accuracy)
        np.testing.assert_array_equal(given, before)
        np.testing.assert_allclose(ifftn(spectrum, axes), given, accuracy, 9 * accuracy)


def test_transform_in_place_and_of_memory_that_is_mapped(rng, tmp_path):
    array = random_complex(rng, (3, 8, 6))
    spectrum = np.fft.fftn(array, axes=(-2, -1), norm="ortho")
    mapped = np.memmap(tmp_path / "array", array.dtype, "w+", shape=array.shape)
    mapped[:] = array
    np.testing.assert_allclose(fftn(mapped), spectrum, 1e-10, 1e-12)
    np.testing.assert_array_equal(mapped, array)  # a view of other type is not taken for a copy
    assert np.may_share_memory(fftn(array, overwrite=True), array)
    np.testing.assert_allclose(array, spectrum, 1e-10, 1e-12)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (2, 3), (1, 2, 3)])
def test_transforms_do_not_depend_on_the_number_of_threads(axes, dtype, rng):
    stack = random_complex(rng, (3, 30, 35, 22), dtype)
    found = [np.empty_like(stack) for _ in range(4)]
    for threads, out in enumerate(found, 1):
        transforms.fft(stack, out, np.array(axes), True, 0.5, threads)
        np.testing.assert_array_equal(out, found[0])


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("shape, wide, along", [
    ((8, 6), None, None), ((7, 6), (15, 12), None), ((4, 5, 6), None, None), ((4, 5, 6), (8, 9, 12), None),
    ((8, 6), None, -2), ((8, 6), None, -1), ((4, 5, 6), None, -3), ((4, 5, 6), None, -1)])
def test_convolutions_are_those_in_operations(shape, wide, along, dtype, rng):
    lines, axes, factor = None, axes_of(shape), rng.random(wide or shape)
    if along is not None:
        mask = np.zeros([1 if axis == along else n for axis, n in zip(axes, shape)])
        mask.reshape(-1)[::3] = 1
        lines = OnlyLines.of(np.broadcast_to(mask, shape))
        axes, factor = tuple(axis for axis in axes if axis != along), lines.taken(factor)
    convolution = Convolution(shape, factor.astype(dtype(0).real.dtype), axes, lines)
    images = random_complex(rng, (2, 3, *shape), dtype)
    expected = convolution.by_operations(images.copy())
    accuracy = 1e-5 if dtype is np.complex64 else 1e-12
    np.testing.assert_allclose(convolution.of(images.copy()), expected, accuracy, accuracy)
    np.testing.assert_allclose(convolution.of(images.swapaxes(0, 1)), expected.swapaxes(0, 1), accuracy, accuracy)


@pytest.mark.parametrize("shape, along", [((8, 6), -2), ((8, 6), -1), ((4, 5, 6), -3), ((4, 5, 6), -1)])
def test_convolutions_of_whole_lines_keep_only_the_numbers_of_the_lines(shape, along, rng):
    across = [1 if axis == along else n for axis, n in zip(axes_of(shape), shape)]
    mask = np.zeros(across, np.float32)
    mask.reshape(-1)[::3] = 1
    mask = np.broadcast_to(mask, shape)
    convolution = SampledLines.of(mask).convolution(mask, True)
    images = random_complex(rng, (3, *shape), np.complex64)
    expected = np.fft.ifftn(mask * np.fft.fftn(images, axes=axes_of(shape)), axes=axes_of(shape))
    assert convolution.factor.shape == tuple(across)
    np.testing.assert_allclose(convolution.of(images.copy()), expected, 1e-5, 1e-5)
    np.testing.assert_allclose(convolution.by_operations(images), expected, 1e-5, 1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_of_spectra_are_those_in_operations(prior, dtype, rng):
    table = prior.experts.table(0.07, dtype=dtype)
    spectra = random_complex(rng, (6, 2, 9, 8), np.result_type(dtype, np.complex64))
    part = slice(4, 10)
    expected = of_spectra(lambda responses: table.apply(responses, part), spectra.copy())
    accuracy = 1e-4 if dtype is np.float32 else 1e-10
    found = table.apply_to_spectra(spectra, part)
    np.testing.assert_allclose(found, expected, accuracy, accuracy * abs(expected).max())
