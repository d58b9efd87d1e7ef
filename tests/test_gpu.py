"""Everything on CuPy arrays: on a GPU where there is one, and always on the stand-in of `strict_cupy`."""

import os
import subprocess
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import strict_cupy
from conftest import simulate
from properties import assert_adjoint, random_complex
from test_phase_poles import GRID, fitted, wound

from bart_pogmdm import Diffusion, Gibbs, recon, to_bart, write
from bart_pogmdm.algorithms.chains import chains_that_fit, solver_memory
from bart_pogmdm.arrays.devices import available_memory, choose
from bart_pogmdm.arrays.fft import dst1, sine_matrix
from bart_pogmdm.arrays.kernels import cuda
from bart_pogmdm.arrays.modules import move
from bart_pogmdm.evaluate.simulate import sensitivities
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import resample, resize
from bart_pogmdm.physics.image_set import ImageSet
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.phase_poles import without_poles
from bart_pogmdm.physics.sobolev_maps import SobolevMaps, SobolevRules
from bart_pogmdm.prior.pogmdm import _spectra
from bart_pogmdm.volume import workers

pytestmark = pytest.mark.slow

METHODS = {"map": None, "gibbs": Gibbs(chains=2, burn_in=1, thin=1), "diffusion": Diffusion(num_levels=6)}


@pytest.fixture(params=["stand-in", "gpu"])
def cupy(request, monkeypatch):
    if request.param == "stand-in":
        return strict_cupy.install(monkeypatch)
    try:
        return choose("gpu", None)
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def small():
    return simulate((40, 36), coils=4)


def relative(result, expected):
    """Norm of the difference of an array, of CuPy or NumPy, from one of NumPy, relative to the latter."""
    return np.linalg.norm(move(result, np) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("dtype, tolerance", [(np.complex64, 1e-5), (np.complex128, 1e-10)])
def test_prior(cupy, prior, rng, dtype, tolerance):
    x = (random_complex(rng, (2, 40, 36)) / 5).astype(dtype)
    for sigma in (0.02, 0.3):
        assert relative(prior.score(cupy.asarray(x), sigma), prior.score(x, sigma)) < tolerance
        assert relative(prior.score(cupy.asarray(x), sigma, exact=True), prior.score(x, sigma, exact=True)) < tolerance
        np.testing.assert_allclose(prior.potential(cupy.asarray(x), sigma), prior.potential(x, sigma), rtol=1e-6)
    draws = [prior.drawn_score(array, 0.1, np.random.default_rng(1).spawn(2)) for array in (cupy.asarray(x), x)]
    assert relative(*draws) < 2e-2  # rounding may draw another component for a few responses


def test_operators(cupy, rng):
    mask, sens = cupy.asarray(rng.random((24, 20)) < 0.4), cupy.asarray(random_complex(rng, (3, 24, 20)))
    model = CoilModel(CartesianSampling.centred(mask, float), sens)
    maps = SobolevMaps.on_grid((24, 20), (24, 20), np.complex128, SobolevRules(), cupy)

    def on_device(function):
        return lambda x: move(function(cupy.asarray(x)), np)

    assert_adjoint(on_device(model.forward), on_device(model.adjoint), (24, 20), (3, 24, 20), rng,
                   restrict=move(model.sampling.mask, np))
    assert_adjoint(on_device(maps.forward), on_device(maps.adjoint), (3, *maps.weight.shape), (3, 24, 20), rng)
    x = cupy.asarray(random_complex(rng, (2, 7, 10)))
    assert relative(dst1(x), dst1(move(x, np))) < 1e-12


def test_unwound_maps_are_those_of_the_cpu(cupy, rng):
    on_cpu, on_gpu = (SobolevMaps.on_grid(GRID, GRID, np.complex128, SobolevRules(), xp) for xp in (np, cupy))
    own = wound([(20.5, 9.5, 1)])
    image, coefficients = 1 / abs(own) + random_complex(rng, GRID), fitted(on_cpu, sensitivities(GRID, 3) * own)
    expected = without_poles(image, coefficients, on_cpu, ImageSet(GRID), 0.01, 15)
    found = without_poles(cupy.asarray(image), cupy.asarray(coefficients), on_gpu, ImageSet(GRID), 0.01, 15)
    for result, other in zip(found, expected, strict=True):
        assert relative(result, other) < 1e-6


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_result_as_on_the_cpu(cupy, small, name, coils):
    kspace, mask = small[0][:coils], small[1]
    expected = recon(kspace, mask, method=METHODS[name], iterations=5, seed=3)
    device = recon(cupy.asarray(kspace), cupy.asarray(mask), method=METHODS[name], iterations=5, seed=3)
    assert type(device.image) is type(device.sens) is cupy.ndarray
    moved = recon(kspace, mask, method=METHODS[name], iterations=5, seed=3, device="gpu")
    assert type(moved.image) is type(moved.sens) is np.ndarray
    tolerance = {"map": 5e-4, "gibbs": 0.05, "diffusion": 5e-3}[name]
    for result in (device, moved):
        assert relative(result.image, expected.image) < tolerance
        assert (result.std is None) == (name == "map")


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
def test_memory_is_about_the_estimate(small, monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    kspace, mask, _ = simulate((200, 180), coils=8)
    kspace, mask = cupy.asarray(kspace), cupy.asarray(mask)
    for method, samples in ((None, None), (Gibbs(chains=1, burn_in=0, thin=1), 1), (Diffusion(num_levels=3), 4)):
        recon(kspace, mask, method=method, samples=samples, iterations=1)  # makes tables and compiled code, which stay
        _spectra.cache_clear()  # the estimate includes the spectra of the filters
        tracemalloc.start()
        estimate = recon(kspace, mask, method=method, samples=samples, iterations=12).info["memory"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert 0.7 < peak / estimate < 1.2


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
@pytest.mark.parametrize("known", [False, True])
def test_padded_kspace(cupy, small, known):
    kspace, mask = (resize(array, (80, 72)) for array in small[:2])
    sens = resample(small[0], (80, 72)) if known else None
    expected = recon(kspace, mask, sens=sens, iterations=2)
    sens = None if sens is None else cupy.asarray(sens)
    result = recon(cupy.asarray(kspace), cupy.asarray(mask), sens=sens, iterations=2)
    assert relative(result.image, expected.image) < 1e-4
    assert relative(result.sens, expected.sens) < 1e-3


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
def test_weights_and_two_sets(cupy, small, rng):
    kspace, mask, _ = small
    weights = mask * rng.uniform(0.5, 1, mask.shape)
    own = mask & (rng.random(kspace.shape) < 0.9)
    sets = np.stack([recon(kspace, mask, iterations=3).sens] * 2)
    for pattern, method in ((weights, None), (own, None), (own, METHODS["diffusion"])):
        expected = recon(kspace, pattern, method=method, iterations=3)
        result = recon(cupy.asarray(kspace), cupy.asarray(pattern), method=method, iterations=3)
        assert relative(result.image, expected.image) < 1e-4
    expected = recon(kspace, mask, sens=sets, iterations=3)
    result = recon(cupy.asarray(kspace), cupy.asarray(mask), sens=cupy.asarray(sets), iterations=3)
    assert relative(result.image, expected.image) < 1e-4


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
def test_no_transfer_within_an_iteration(small, monkeypatch):
    """The number of transfers from and to the device does not grow with the number of iterations."""
    cupy = strict_cupy.install(monkeypatch)
    kspace, mask = cupy.asarray(small[0]), cupy.asarray(small[1])

    def transfers(**options):
        recon(kspace, mask, **options)  # makes tables, which stay
        strict_cupy.transfers.clear()
        recon(kspace, mask, **options)
        return +strict_cupy.transfers

    assert transfers(iterations=3) == transfers(iterations=6)
    few, many = (transfers(method=Gibbs(chains=3, burn_in=1, thin=sweeps), samples=3, iterations=1)
                 for sweeps in (2, 5))
    assert few == many
    few, many = (transfers(method=Diffusion(num_levels=levels, num_corrector=1), samples=3)
                 for levels in (3, 6))
    assert few == many and few["__float__"] > 0


def test_as_many_chains_as_memory_has_room_for(small, monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    sens = cupy.asarray(small[0])
    for room in (1, 2, 3):
        free = solver_memory(sens.shape, sens.dtype, room)
        monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", lambda: (free + 9, 1 << 40))  # noqa: B023
        assert [chains_that_fit(chains, sens.shape, sens) for chains in (1, 2, 8)] == [1, min(2, room), room]


def test_a_factor_with_more_images_than_a_grid_has_rows(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    images, factor = cupy.ones((cuda.MOST_ROWS + 1, 1, 2), np.complex64), cupy.asarray([[2, 3]], np.float32)
    cuda.scale(images, factor)
    np.testing.assert_array_equal(images.get()[-1], [[2, 3]])


def test_plans_are_dropped_where_memory_is_short(small, monkeypatch):
    """The FFT has no memory for the plan of all coils: the work goes on in smaller pieces."""
    cupy = strict_cupy.install(monkeypatch)
    sampling, sens = CartesianSampling.centred(cupy.asarray(small[1]), np.float32), cupy.asarray(small[0])
    whole = CoilModel(sampling, sens).normal(sens[0])
    strict_cupy.install(monkeypatch, largest_plan=2 * sens[0].nbytes)
    before = strict_cupy.transfers["plans dropped"]
    assert relative(CoilModel(sampling, sens).normal(sens[0]), move(whole, np)) < 1e-6
    assert strict_cupy.transfers["plans dropped"] > before


def test_what_is_kept_lies_on_the_device_of_the_call(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    kept = {}
    for device in (0, 1, 0):
        monkeypatch.setattr(cupy.cuda, "device", device)
        found = sine_matrix(7, float, cupy)
        assert kept.setdefault(device, found) is found
    assert kept[0] is not kept[1]


def test_plans_along_trajectories_are_smaller_where_memory_is_short(monkeypatch, rng):
    """cufinufft has no room for a plan of more than two images: it is finufft here, and says RuntimeError."""
    finufft = pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    cupy, tried = strict_cupy.install(monkeypatch), []

    class Plan:
        def __init__(self, kind, shape, count, accuracy, sign, dtype, *, gpu_device_id, gpu_stream):
            tried.append(count)
            if count > 2:
                raise RuntimeError("Error creating plan.")
            self.plan = finufft.Plan(kind, shape, count, accuracy, sign, dtype)

        def setpts(self, *points):
            self.plan.setpts(*map(np.asarray, points))

        def execute(self, array):
            return cupy.asarray(self.plan.execute(np.asarray(array)))

    monkeypatch.setitem(sys.modules, "cufinufft", SimpleNamespace(Plan=Plan))
    points, images = rng.uniform(-9, 9, (2, 200)), random_complex(rng, (4, 22, 19)).astype(np.complex64)
    expected = Nufft(points, (22, 19), np.complex64).forward(images)
    found = Nufft(cupy.asarray(points), (22, 19), np.complex64).forward(cupy.asarray(images))
    assert relative(found, expected) < 1e-4 and tried == [4, 2]


def test_auto_takes_the_cpu_where_cuda_lacks_a_part(small, monkeypatch):
    cupy = strict_cupy.install(monkeypatch)

    def fail(self):
        raise cupy.cuda.compiler.CompileException("no headers")

    monkeypatch.setattr(strict_cupy._Kernels, "compile", fail)
    assert choose("auto", None) is np
    with pytest.raises(ValueError, match=r"device: no CUDA device can be used \(no headers"):
        choose("gpu", None)


def test_each_process_of_a_volume_gets_one_of_the_visible_devices(monkeypatch):
    strict_cupy.install(monkeypatch)
    for visible, expected in (("", ["0"]), ("2,5", ["2"]), ("3", ["3"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert workers._gpus("gpu") == expected and workers._gpus("cpu") == []


def test_the_pool_is_capped_unless_the_user_did(monkeypatch):
    cupy = strict_cupy.install(monkeypatch)
    pool, total = cupy.get_default_memory_pool(), cupy.cuda.runtime.memGetInfo()[1]
    assert available_memory(cupy) == total
    choose("gpu", None)
    assert pool.limit == available_memory(cupy) == int(0.9 * total)
    pool.limit = 1000
    choose("gpu", None)
    assert pool.limit == available_memory(cupy) == 1000


def test_no_memory_says_what_to_do(small, monkeypatch):
    cupy = strict_cupy.install(monkeypatch, largest_array=1.5 * small[0].nbytes)
    everywhere = random_complex(np.random.default_rng(0), small[0].shape, np.complex64)
    for kspace, mask in (small[:2], (everywhere, np.ones_like(small[1]))):
        with pytest.raises(MemoryError, match=r"memory does not hold what a slice needs, about .* MiB: use the CPU"):
            recon(cupy.asarray(kspace), cupy.asarray(mask), samples=2, iterations=1)


@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")
def test_result_is_the_same_where_memory_is_short(small, monkeypatch):
    kspace, mask, _ = small
    options = {"method": Diffusion(num_levels=3), "samples": 4}
    cupy = strict_cupy.install(monkeypatch)
    expected = recon(cupy.asarray(kspace), cupy.asarray(mask), **options).image.get()
    # The tables of the experts are as large as 57 images, the responses of the filters for four chains as 80 images.
    cupy = strict_cupy.install(monkeypatch, largest_array=60 * kspace[0].nbytes)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        cupy.empty((80, *mask.shape), kspace.dtype)
    assert relative(recon(cupy.asarray(kspace), cupy.asarray(mask), **options).image, expected) < 1e-6


def test_smaller_pieces_where_memory_is_short(cupy):
    kspace, mask, _ = simulate((40, 34), coils=4)
    sizes = []

    class Narrow(CartesianSampling):
        """A sampling on a device that has room for the transform of one image only, or of none in `normal`."""

        def forward(self, images):
            sizes.append(len(images))
            if len(images) > 1:
                raise cupy.cuda.memory.OutOfMemoryError(images.nbytes, 0)
            return super().forward(images)

        def normal(self, images):
            raise cupy.cuda.memory.OutOfMemoryError(images.nbytes, 0)

    expected = recon(cupy.asarray(kspace), cupy.asarray(mask), iterations=2)
    image, sens, samples = expected.image, expected.sens, 0 * expected.sens
    sampling, narrow = (kind.centred(cupy.asarray(mask), np.float32) for kind in (CartesianSampling, Narrow))
    # Each coil alone is one piece, and both results are sums over the coils.
    alone = [CoilModel(sampling, sens[j:j + 1]).gradient(image, samples[j:j + 1]) for j in range(4)]
    parts = CoilModel(narrow, sens).gradient(image, samples)
    assert sizes.count(1) == 4
    for part, of_coils in zip(parts, zip(*alone)):
        assert relative(part, move(sum(of_coils), np)) < 1e-6
    with pytest.raises(MemoryError, match="does not hold even single images"):
        CoilModel(narrow, sens).normal(image)


def test_without_a_gpu(small, tmp_path):
    try:
        choose("gpu", None)
    except ValueError as error:
        assert "no CUDA device" in str(error)
    else:
        pytest.skip("there is a GPU")
    assert recon(small[0], small[1], iterations=1, device="auto").image.shape == (40, 36)
    with pytest.raises(ValueError, match="no CUDA device"):
        recon(small[0], small[1], device="gpu")
    with pytest.raises(ValueError, match="device: expected cpu, gpu or auto, got 'tpu'"):
        recon(small[0], small[1], device="tpu")
    write({tmp_path / "ksp": to_bart(small[0])})
    command = [sys.executable, "-m", "bart_pogmdm", "-i1"]
    for words, value, code in ((["-g"], "", 1), ([], "1", 1), ([], "0", 0)):
        run = subprocess.run([*command, *words, "ksp", "out"], cwd=tmp_path, capture_output=True, text=True,
                             check=False, env={**os.environ, "BART_GPU": value})
        assert run.returncode == code and run.stderr.startswith("ERROR: -g: no CUDA device" if code else "")
        assert (tmp_path / "out.cfl").exists() == (code == 0)


def test_cupy_without_a_driver(small, monkeypatch):
    """CuPy can be imported without a driver, and then fails when it is asked for devices."""
    cupy = strict_cupy.install(monkeypatch)

    def fail():
        raise RuntimeError("cudaErrorInsufficientDriver")

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", fail)
    with pytest.raises(ValueError, match=r"no CUDA device can be used .*InsufficientDriver"):
        recon(small[0], small[1], device="gpu")
