"""The centred Fourier transform against its definition and BART's, and images at another size."""

import numpy as np
import pytest
from properties import assert_adjoint, assert_unitary, random_complex

from bart_pogmdm.physics.fourier import fft2c, ifft2c, resample, resize

SHAPES = [(8, 8), (9, 7), (12, 15), (1, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_fft_is_unitary_and_centred(shape, rng):
    assert_unitary(fft2c, ifft2c, shape, rng)
    point = np.zeros(shape, complex)
    point[tuple(n // 2 for n in shape)] = 1
    np.testing.assert_allclose(fft2c(point), np.full(shape, np.prod(shape) ** -0.5), atol=1e-14)
    np.testing.assert_allclose(ifft2c(np.ones(shape, complex)), point * np.prod(shape) ** 0.5, atol=1e-12)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7)])
def test_fft_is_barts(shape, rng, bart):
    x = random_complex(rng, shape, np.complex64)
    np.testing.assert_allclose(bart(1, "fft -u 3", x), fft2c(x), atol=1e-5)


@pytest.mark.parametrize("old, new", [((8, 9), (5, 12)), ((9, 8), (4, 3)), ((7, 7), (10, 8))])
def test_resize_and_resample_are_adjoint_both_ways(old, new, rng):
    for operator in (resize, resample):
        assert_adjoint(lambda x: operator(x, new), lambda y: operator(y, old), old, new, rng)  # noqa: B023
    inner = random_complex(rng, tuple(map(min, old, new)))
    np.testing.assert_allclose(resize(resize(inner, tuple(map(max, old, new))), inner.shape), inner)


def test_resample_keeps_a_smooth_function():
    wave = [np.exp(2j * np.pi * (np.arange(n) - n // 2)[:, None] / n) * np.ones(n) for n in (16, 23)]
    np.testing.assert_allclose(resample(wave[0] / 16, (23, 23)), wave[1] / 23, atol=1e-12)
