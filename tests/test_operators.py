import numpy as np
import pytest
from properties import assert_adjoint, assert_gradient, assert_unitary, random_complex

from bart_pogmdm.arrays.conjugate_gradients import conjugate_gradients
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import CoilModel, coil_model
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resample, resize

SHAPES = [(8, 8), (9, 7), (12, 15), (1, 2)]
MASKS = {"lines": (1, 15), "rows": (12, 1), "points": (12, 15), "full": (1, 1)}


def sampling(kind, rng, shape=(12, 15)):
    mask = rng.random(MASKS[kind]) < 0.4 if kind != "full" else np.ones((1, 1), bool)
    return CartesianSampling.centred(np.broadcast_to(mask, shape), float)


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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_sampling_and_coil_model_are_adjoint(kind, weighted, rng):
    operator = sampling(kind, rng)
    if weighted:
        operator = operator.weighted(rng.random((12, 15)))
    for linear, shape in ((operator, (5, 12, 15)), (CoilModel(operator, random_complex(rng, (5, 12, 15))), (12, 15))):
        def root(x, linear=linear):  # W^(1/2) A, whose adjoint is A^H W^(1/2) = A* W^(-1/2), A* the one for W
            return linear.forward(x.copy()) * (operator.weights**0.5 if weighted else 1)

        def adjoint(z, linear=linear):
            return linear.adjoint(z / operator.weights**0.5 if weighted else z.copy())

        assert_adjoint(root, adjoint, shape, (5, 12, 15), rng, restrict=operator.mask)
        x = random_complex(rng, shape)
        np.testing.assert_allclose(linear.normal(x.copy()), adjoint(root(x)), atol=1e-12)


def test_coil_model_matches_its_formula(rng):
    operator, sens, x = sampling("points", rng), random_complex(rng, (5, 12, 15)), random_complex(rng, (12, 15))
    model, mask = CoilModel(operator, sens), np.fft.fftshift(operator.mask)
    dense = (sens.conj() * ifft2c(mask * fft2c(sens * x))).sum(0)
    np.testing.assert_allclose(model.normal(x), dense, atol=1e-11)
    np.testing.assert_allclose(model.adjoint(model.forward(x)), dense, atol=1e-11)


@pytest.mark.parametrize("sets", [(), (2,)])
def test_coil_density_is_the_diagonal_in_fourier_space(sets, rng):
    operator, sens = sampling("points", rng), random_complex(rng, (3, *sets, 12, 15))
    model = coil_model(operator, sens)
    for place in ((0, 0), (3, 7), (11, 2)):
        for i in np.ndindex(*sets):
            wave = np.zeros(model.density.shape, complex)
            wave[(*i, *place)] = 1
            diagonal = np.vdot(wave, np.fft.fft2(model.normal(np.fft.ifft2(wave, norm="ortho")), norm="ortho"))
            assert np.isclose(diagonal, model.density[(*i, *place)])


def test_coil_density_of_a_large_image_is_about_the_diagonal(rng):
    y, x = np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-1, 1, 150), indexing="ij")
    operator = CartesianSampling.centred(rng.random((200, 150)) < 0.3, float)
    model = CoilModel(operator, np.stack([np.exp(-(x - a)**2 - y**2 + 1j * a * y) for a in (-1, 0, 1)]))
    density = model.density
    for place in ((0, 0), (3, 149), (100, 70), (199, 2)):
        wave = np.zeros(density.shape, complex)
        wave[place] = 1
        diagonal = np.vdot(wave, np.fft.fft2(model.normal(np.fft.ifft2(wave, norm="ortho")), norm="ortho"))
        assert abs(diagonal - density[place]) < 0.02 * density.max()


def test_gradient_of_the_data_term(rng):
    weights = rng.random((12, 15))
    for sets in ((), (2,)):
        sens, x = random_complex(rng, (5, *sets, 12, 15)), random_complex(rng, (*sets, 12, 15))
        model = coil_model(sampling("lines", rng).weighted(weights), sens)
        z = model.sampling.mask * random_complex(rng, (5, 12, 15))
        assert_gradient(lambda x: (weights * model.gradient(x, z)[1]).sum() / 2,  # noqa: B023
                        lambda x: model.gradient(x, z)[0], x, rng)  # noqa: B023
        images = sens * x
        residual = model.sampling.forward(images.sum(1) if sets else images) - z
        np.testing.assert_allclose(model.gradient(x, z)[1], (np.abs(residual) ** 2).sum(0))


@pytest.mark.parametrize("old, new", [((8, 9), (5, 12)), ((9, 8), (4, 3)), ((7, 7), (10, 8))])
def test_resize_and_resample_are_adjoint_both_ways(old, new, rng):
    for operator in (resize, resample):
        assert_adjoint(lambda x: operator(x, new), lambda y: operator(y, old), old, new, rng)  # noqa: B023
    inner = random_complex(rng, tuple(map(min, old, new)))
    np.testing.assert_allclose(resize(resize(inner, tuple(map(max, old, new))), inner.shape), inner)


def test_resample_keeps_a_smooth_function():
    wave = [np.exp(2j * np.pi * (np.arange(n) - n // 2)[:, None] / n) * np.ones(n) for n in (16, 23)]
    np.testing.assert_allclose(resample(wave[0] / 16, (23, 23)), wave[1] / 23, atol=1e-12)


@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_solve(preconditioned, rng):
    root = random_complex(rng, (10, 10))
    matrix, rhs = root @ root.conj().T + np.eye(10), random_complex(rng, 10)
    solution = conjugate_gradients(lambda x: matrix @ x, rhs, random_complex(rng, 10), iterations=40,
                                   precondition=(lambda x: x / np.diag(matrix)) if preconditioned else None)
    np.testing.assert_allclose(matrix @ solution, rhs, atol=1e-8)
    np.testing.assert_array_equal(conjugate_gradients(lambda x: x, np.zeros(3), iterations=5), np.zeros(3))
