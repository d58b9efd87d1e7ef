"""The non-uniform FFT against the direct sum and against BART's."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from properties import assert_adjoint, assert_gradient, random_complex
from trajectories import error, radial

from bart_pogmdm.algorithms.quadratic_step import newton_step
from bart_pogmdm.physics import series
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import axes_of
from bart_pogmdm.physics.nufft import Nufft

pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")

SHAPES = [(16, 20), (15, 12), (6, 7, 8)]


def operator(shape, rng, dtype=np.complex128, count=150):
    """A Nufft at random points with random weights of two kinds, and its matrix (M, pixels)."""
    points = np.stack([rng.uniform(-n / 2, n / 2, count) for n in shape])
    waves = [np.exp(-2j * np.pi * np.outer(k, np.arange(n) - n // 2) / n) for k, n in zip(points, shape)]
    matrix = reduce(lambda plane, wave: np.einsum("ma,mb->mab", plane, wave).reshape(count, -1), waves)
    matrix = matrix / np.prod(shape) ** 0.5
    mask = rng.uniform(0.1, 2, count)
    return Nufft(points, shape, dtype, mask=mask).weighted(rng.uniform(0.1, 1, count)), mask[:, None] * matrix


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_transform_is_the_direct_sum(shape, dtype, rng):
    nufft, matrix = operator(shape, rng, dtype)
    x, z = random_complex(rng, (3, *shape), dtype), random_complex(rng, (3, 150), dtype)
    transposed = matrix.conj().T * nufft.weights
    normal = transposed @ matrix
    forward, adjoint, filtered = nufft.forward(x.copy()), nufft.adjoint(z.copy()), nufft.normal(x.copy())
    assert forward.dtype == adjoint.dtype == filtered.dtype == dtype
    assert error(forward, x.reshape(3, -1) @ matrix.T) < 1e-5
    assert error(adjoint.reshape(3, -1), z @ transposed.T) < 1e-5
    assert error(filtered.reshape(3, -1), x.reshape(3, -1) @ normal.T) < 1e-5
    fourier = np.fft.fftn(np.eye(normal.shape[0]).reshape(-1, *shape), axes=axes_of(shape), norm="ortho")
    fourier = fourier.reshape(normal.shape[0], -1)
    diagonal = np.einsum("ia,ij,ja->a", fourier, normal, fourier.conj()).real
    assert error(nufft.density.ravel(), diagonal) < 1e-5


def test_points_of_weight_zero_change_nothing(rng):
    for nufft in (operator((16, 20), rng)[0], replace(operator((16, 20), rng)[0], mask=None, weights=None)):
        x, z = random_complex(rng, (3, 16, 20)), random_complex(rng, (3, 150))
        padded, samples = series.padded(nufft, z, 170)
        assert padded.count == nufft.count and samples.shape == padded.noise(rng, samples).shape == (3, 170)
        assert error(padded.adjoint(samples), nufft.adjoint(z)) < 1e-5
        assert error(padded.forward(x)[:, :150], nufft.forward(x)) < 1e-5 and not padded.forward(x)[:, 150:].any()
        assert error(padded.density, nufft.density) < 1e-5
        np.testing.assert_array_equal(padded.radius((16, 20)), [*nufft.radius((16, 20)), *[np.inf] * 20])


def test_operator_and_coil_model_are_adjoint(rng):
    nufft, _ = operator((16, 20), rng)
    equal = nufft.weighted(None)
    assert_adjoint(equal.forward, equal.adjoint, (5, 16, 20), (5, 150), rng, rtol=1e-5)
    model = CoilModel(equal, random_complex(rng, (5, 16, 20)))
    assert_adjoint(model.forward, model.adjoint, (16, 20), (5, 150), rng, rtol=1e-5)
    x, z = random_complex(rng, (16, 20)), random_complex(rng, (5, 150))
    model = CoilModel(nufft, model.sens)
    assert error(model.normal(x), model.adjoint(model.forward(x))) < 1e-4
    assert_gradient(lambda x: (nufft.weights * model.gradient(x, z)[1]).sum() / 2,
                    lambda x: model.gradient(x, z)[0], x, rng, step=1e-2, rtol=1e-4)


def test_transform_is_barts(bart, rng):
    traj, image = bart(1, "traj -x 24 -y 7 -r"), random_complex(rng, (22, 24), np.complex64)
    points = traj[:2].real.reshape(2, -1, order="F")
    samples = Nufft(points.astype(float), image.shape, np.complex64).forward(image[None])[0]
    direct = bart(1, "nufft -s", traj, image).reshape(-1, order="F")  # BART leaves out the unitary factor
    assert error(samples, direct / image.size**0.5) < 1e-5


def test_newton_step_is_the_solution_of_its_system(prior, rng):
    points = radial(36, 20)[:2].reshape(2, -1)
    descent, variance, hessian = random_complex(rng, (36, 36)), 1e-2, prior.curvature((36, 36), 0.1)
    phase = np.exp(1j * rng.standard_normal((36, 36)))
    for sens in (np.ones((1, 36, 36), complex), random_complex(rng, (3, 36, 36))):
        model = CoilModel(Nufft(points, (36, 36), np.complex128), sens)
        d = newton_step(model, hessian, phase, descent, variance, 500)
        applied = model.normal(d) / variance + phase * np.fft.ifft2(hessian * np.fft.fft2(phase.conj() * d))
        np.testing.assert_allclose(applied, descent, atol=1e-5 * np.abs(descent).max())
