import os
from pathlib import Path

import numpy as np
import pytest

from bart_pogmdm import load_prior
from bart_pogmdm.toolbox.bart_call import bart
from bart_pogmdm.toolbox.find_bart import find

FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))  # more of them: FUZZ_EXAMPLES=20000 pytest -k any_bytes
SHARED = Path(__file__).resolve().parents[2] / "shared"


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
    return bart


@pytest.fixture(scope="session")
def phantom():
    """Eight-coil k-space of a piecewise smooth head with noise, its mask and the noise-free RSS image."""
    return simulate()


def field(shape):
    """y and x from -1 to 1."""
    return np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")


def head(shape):
    """A piecewise constant head with a smooth phase."""
    y, x = field(shape)
    ellipses = ((0.6, 0, 0, 0.8, 0.9), (0.4, 0.3, -0.2, 0.2, 0.3),
                (-0.3, -0.3, 0.1, 0.25, 0.2), (0.3, 0, 0.6, 0.5, 0.1))
    image = sum(value * ((((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) < 1) for value, cx, cy, rx, ry in ellipses)
    return image * np.exp(0.5j * x + 0.3j * y**2)


def simulate(shape=(72, 64), coils=8, noise_std=0.01, seed=1):
    from bart_pogmdm.physics.fourier import fft2c
    rng, image, (y, x) = np.random.default_rng(seed), head(shape), field(shape)
    angles = 2 * np.pi * np.arange(coils) / coils
    sens = np.stack([np.exp(-((x - 1.3 * np.cos(a)) ** 2 + (y - 1.3 * np.sin(a)) ** 2) / 2 + 1j * (a + x * np.sin(a)))
                     for a in angles])
    kspace = fft2c(sens * image)
    kspace = kspace + noise_std * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
    radius = np.hypot(x, y)
    mask = (rng.random(shape) < np.exp(-(radius / 0.45) ** 2)) | (radius < 0.15)
    return (kspace * mask).astype(np.complex64), mask, np.sqrt((np.abs(sens * image) ** 2).sum(0))


def psnr(image, reference):
    """In dB over the object, after one least-squares scale."""
    reference = np.abs(reference)
    inside, magnitude = reference > 0.1 * reference.max(), np.abs(image)
    scale = (magnitude * reference)[inside].sum() / (magnitude[inside] ** 2).sum()
    return 10 * np.log10(reference.max() ** 2 / np.mean((scale * magnitude - reference)[inside] ** 2))
