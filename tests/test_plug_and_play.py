"""Any denoiser as a prior."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import strict_cupy
from conftest import psnr, simulate
from phase_rules import FixedPhase
from properties import random_complex
from scipy.signal import wiener
from test_algorithms import matrices, small_problem

from bart_pogmdm import Diffusion, Map, PlugAndPlay, recon
from bart_pogmdm.algorithms.joint_map import joint_map
from bart_pogmdm.algorithms.likelihood import Likelihood
from bart_pogmdm.evaluate.simulate import kspace as simulated_kspace
from bart_pogmdm.evaluate.simulate import phantom as head
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import ifft2c

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"


def response(shape):
    """The frequency response of a Gaussian, which is wider for finer detail."""
    return np.exp(-8 * np.add.outer(*(np.fft.fftfreq(n) ** 2 for n in shape)))


def smooth(image, sigma):
    """A linear and symmetric denoiser with eigenvalues between 0 and 1."""
    assert image.dtype == np.float32 and image.ndim == 2 and type(sigma) is float
    return np.fft.ifft2(response(image.shape) * np.fft.fft2(image)).real


def adaptive(image, sigma):
    return wiener(image, 5, sigma**2)


def test_a_linear_denoiser_has_the_maximum_of_its_quadratic_energy(rng):
    """x = argmin ||A x - z||^2 / v + <e* x, (1 - D) e* x> / sigma^2."""
    problem, model = small_problem(rng, 3)
    matrix, fourier = matrices(problem, model)
    shape, sigma, phase = problem.images.grid, 0.1, np.exp(1j * rng.standard_normal(problem.images.grid))
    options = Map(iterations=60, sigma=sigma, phase=FixedPhase(phase), image_cg=20,
                  likelihood=Likelihood(noisy=1e-12, noise_floor=1.0))
    turned = fourier * phase.conj().ravel()
    precision = turned.conj().T @ ((1 - response(shape)).reshape(-1, 1) / sigma**2 * turned)
    normal = matrix.conj().T @ matrix / problem.noise_std**2 + precision
    exact = np.linalg.solve(normal, matrix.conj().T @ problem.samples.ravel() / problem.noise_std**2).reshape(shape)
    *_, last = joint_map(problem, PlugAndPlay(smooth), options)
    assert np.linalg.norm(last.image - exact) < 1e-3 * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_it_denoises_real_and_imaginary_part_of_each_image(dtype, rng):
    images = random_complex(rng, (2, 3, 12, 10))
    images = images.astype(dtype) if np.dtype(dtype).kind == "c" else images.real.astype(dtype)
    before, prior = images.copy(), PlugAndPlay(smooth)
    expected = np.fft.ifft2(response((12, 10)) * np.fft.fft2(images))
    expected = expected if images.dtype.kind == "c" else expected.real
    found = prior.denoise(images, 0.2)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(prior.score(images, 0.2), (expected - images) / 0.04, atol=1e-4)
    np.testing.assert_array_equal(images, before)


def test_a_denoiser_may_use_its_arrays_again(rng):
    buffer = np.empty((12, 10), np.float32)

    def in_place(image, sigma):
        buffer[:] = smooth(image, sigma)
        image[:] = np.nan
        return buffer

    image = random_complex(rng, (12, 10))
    found = PlugAndPlay(in_place).denoise(image, 0.1)
    np.testing.assert_allclose(found, PlugAndPlay(smooth).denoise(image, 0.1), atol=1e-6)
    assert np.isfinite(image).all()


@pytest.mark.parametrize("denoiser, message", [
    (lambda image, sigma: image[1:], r"a real image \(12, 10\) from the denoiser, got float32 \(11, 10\)"),
    (lambda image, sigma: image[None], r"a real image \(12, 10\) from the denoiser, got float32 \(1, 12, 10\)"),
    (lambda image, sigma: 1j * image, r"a real image \(12, 10\) from the denoiser, got complex64 \(12, 10\)"),
    (lambda image, sigma: None, r"a real image \(12, 10\) from the denoiser, got object \(\)"),
    (lambda image, sigma: np.nan * image, "a finite image from the denoiser, got one that is not"),
])
def test_what_is_no_image_is_refused(denoiser, message, rng):
    with pytest.raises(ValueError, match=f"^prior: expected {message}$"):
        PlugAndPlay(denoiser).score(random_complex(rng, (12, 10)), 0.1)


def test_a_reconstruction_says_what_the_denoiser_does_wrong():
    kspace, mask, _ = simulate((24, 20), coils=2)
    with pytest.raises(ValueError, match=r"^prior: expected a real image \(24, 20\) from the denoiser, got float32"):
        recon(kspace, mask, prior=PlugAndPlay(lambda image, sigma: image[::2]))


def test_the_denoiser_gets_arrays_of_the_solver(monkeypatch, rng):
    cupy = strict_cupy.install(monkeypatch)

    def halved(image, sigma):
        assert isinstance(image, cupy.ndarray)
        return image / 2

    image, prior = random_complex(rng, (2, 12, 10)).astype(np.complex64), PlugAndPlay(halved)
    found = prior.denoise(cupy.asarray(image), 0.1)
    assert isinstance(found, cupy.ndarray) and isinstance(prior.curvature((12, 10), 0.1, cupy), cupy.ndarray)
    np.testing.assert_allclose(found.get(), image / 2, rtol=1e-6)


def test_a_function_alone_is_no_prior():
    with pytest.raises(TypeError, match=r"prior: expected a PoGMDM, a path or PlugAndPlay\(denoiser\), got function"):
        recon(np.ones((8, 8), complex), prior=smooth)


def gain(image, kspace, reference):
    """PSNR above that of the zero-filled reconstruction, in dB."""
    return psnr(image, reference) - psnr(rss(ifft2c(kspace)), reference)


def test_the_image_is_better_than_the_zero_filled_one(phantom):
    kspace, mask, reference = phantom
    result = recon(kspace, mask, prior=PlugAndPlay(adaptive), iterations=14)
    assert gain(result.image, kspace, reference) > 2
    assert result.info["prior"] == "PlugAndPlay" and result.info["prior_hash"] is None


def test_the_mean_has_less_noise_than_the_maximum():
    shape = (64, 60)
    kspace = simulated_kspace(head(shape), 6, 0.06, 0)
    maximum, mean = (recon(kspace, prior=PlugAndPlay(adaptive), method=Map(iterations=12, last_steps=steps)).image
                     for steps in (12, 2))
    assert gain(mean, kspace, head(shape)) > gain(maximum, kspace, head(shape)) + 0.5


def test_two_sets_and_one_coil_go_with_it():
    kspace, mask, _ = simulate((32, 28), coils=3)
    for coils, maps in ((3, 2), (1, 1)):
        result = recon(kspace[:coils], mask, prior=PlugAndPlay(adaptive), maps=maps, iterations=2)
        assert np.isfinite(result.image).all() and result.image.any()


def test_it_is_a_prior_of_algorithm_1():
    kspace, mask, _ = simulate((32, 28), coils=3)
    method = Diffusion(num_levels=4, come_closer=0.1)
    assert recon(kspace, mask, prior=PlugAndPlay(adaptive), method=method, samples=2).std.max() > 0


def gain_of_example(word):
    """Run the example of the documentation that holds a word, and return its gain."""
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    code, = (block for block in blocks if word in block)
    kspace, mask, reference = simulate((40, 36), coils=4)
    names = {"measured": kspace, "mask": mask, "recon": recon, "PlugAndPlay": PlugAndPlay}
    exec(compile(code, PAGE.name, "exec"), names)
    return gain(names["result"].image, kspace, reference)


def test_the_example_of_drunet_runs_with_its_interface(monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class DRUNet(torch.nn.Module):
        """The call of deepinv's network, images (n, channels, ny, nx) and a noise level, for a moving average."""

        def __init__(self, in_channels=3, out_channels=3, *, pretrained="download"):
            super().__init__()
            assert in_channels == out_channels == 1
            self.average = torch.nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False)
            torch.nn.init.constant_(self.average.weight, 1 / 9)

        def forward(self, x, sigma):
            assert x.ndim == 4 and x.dtype == torch.float32
            return x + min(10 * sigma, 1) * (self.average(x) - x)

    models = SimpleNamespace(DRUNet=DRUNet)
    monkeypatch.setitem(sys.modules, "deepinv", SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "deepinv.models", models)
    assert gain_of_example("DRUNet(") > 1


@pytest.mark.slow
def test_the_example_of_bm3d_runs():
    pytest.importorskip("bm3d", reason="bm3d is not installed")
    assert gain_of_example("bm3d") > 1
