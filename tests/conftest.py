import os
import subprocess
from pathlib import Path

# Before NumPy is imported: processes of `pytest -n` share the cores, for threads that wait for each other take longer.
if (processes := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // processes)))
# ESPIRiT's eigenvalue problem for two sets rounds as BLAS does with its number of threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

from bart_pogmdm import bart as call_bart
from bart_pogmdm import load_prior
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate.simulate import coordinates, phantom
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.toolbox.find_bart import find

FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))  # more of them: FUZZ_EXAMPLES=20000 pytest -k any_bytes
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items):
    """Every test that is not marked as slow is quick: `pytest -m quick`."""
    for item in items:
        if not item.get_closest_marker("slow"):
            item.add_marker("quick")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def prior():
    return load_prior()


@pytest.fixture(scope="session")
def shared():
    """shared(name) -> path of a development file, or skip."""
    def path(name):
        if not (SHARED / name).exists():
            pytest.skip(f"development data shared/{name} not here")
        return SHARED / name
    return path


@pytest.fixture(scope="session")
def bart():
    if find() is None:
        pytest.skip("BART is not installed")
    return call_bart


@pytest.fixture
def pogmdm(capfd, monkeypatch):
    """pogmdm(*words, cwd) -> exit code and text of the command, which runs in this process to save a start."""
    def call(*words, cwd):
        monkeypatch.chdir(cwd)
        capfd.readouterr()  # Commands of BART may have printed.
        code = main([str(word) for word in words])
        return subprocess.CompletedProcess(words, code, *capfd.readouterr())

    return call


@pytest.fixture(scope="session", name="phantom")
def undersampled_phantom():
    """Eight-coil k-space of a piecewise smooth head with noise, its mask and the noise-free RSS image."""
    return simulate()


def simulate(shape=(72, 64), coils=8, noise_std=0.01, seed=1):
    """Undersampled k-space (J, ny, nx) of the phantom, its mask and the noise-free RSS image."""
    rng, image, (y, x) = np.random.default_rng(seed), phantom(shape), coordinates(shape)
    angles = 2 * np.pi * np.arange(coils) / coils
    sens = np.stack([np.exp(-((x - 1.3 * np.cos(a)) ** 2 + (y - 1.3 * np.sin(a)) ** 2) / 2 + 1j * (a + x * np.sin(a)))
                     for a in angles])
    kspace = fft2c(sens * image)
    kspace = kspace + noise_std * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
    radius = np.hypot(x, y)
    mask = (rng.random(shape) < np.exp(-(radius / 0.45) ** 2)) | (radius < 0.15)
    return (kspace * mask).astype(np.complex64), mask, np.sqrt((np.abs(sens * image) ** 2).sum(0))


def psnr(image, reference):
    """PSNR in dB over the object, after scaling the image to the reference by least squares."""
    reference = np.abs(reference)
    inside, magnitude = reference > 0.1 * reference.max(), np.abs(image)
    scale = (magnitude * reference)[inside].sum() / (magnitude[inside] ** 2).sum()
    return 10 * np.log10(reference.max() ** 2 / np.mean((scale * magnitude - reference)[inside] ** 2))
