"""The forward model of all coils against its formula: adjoint, normal operator, density and gradient."""

import numpy as np
import pytest
from properties import assert_adjoint, assert_gradient, random_complex

from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import CoilModel, coil_model
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.image_set import ImageAxis, ImageSet

SHAPE = (12, 15)
MASKS = {"lines": (1, 15), "rows": (12, 1), "points": SHAPE, "full": (1, 1)}
ONE, TWO = ImageSet(SHAPE), ImageSet(SHAPE, (ImageAxis.sets(2),))
SETS = {(): ONE, (2,): TWO}


def sampling(kind, rng):
    """A CartesianSampling of a random mask that varies along one axis, both or none."""
    mask = rng.random(MASKS[kind]) < 0.4 if kind != "full" else np.ones((1, 1), bool)
    return CartesianSampling.centred(np.broadcast_to(mask, SHAPE), float)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", MASKS)
def test_sampling_and_coil_model_are_adjoint(kind, weighted, rng):
    operator = sampling(kind, rng)
    if weighted:
        operator = operator.weighted(rng.random(SHAPE))
    for linear, shape in ((operator, (5, *SHAPE)), (CoilModel(operator, random_complex(rng, (5, *SHAPE))), SHAPE)):
        def root(x, linear=linear):  # W^(1/2) A, whose adjoint is A^H W^(1/2) = A* W^(-1/2), A* the one for W
            return linear.forward(x.copy()) * (operator.weights**0.5 if weighted else 1)

        def adjoint(z, linear=linear):
            return linear.adjoint(z / operator.weights**0.5 if weighted else z.copy())

        assert_adjoint(root, adjoint, shape, (5, *SHAPE), rng, restrict=operator.mask)
        x = random_complex(rng, shape)
        np.testing.assert_allclose(linear.normal(x.copy()), adjoint(root(x)), atol=1e-12)


def test_coil_model_matches_its_formula(rng):
    operator, sens, x = sampling("points", rng), random_complex(rng, (5, *SHAPE)), random_complex(rng, SHAPE)
    model, mask = CoilModel(operator, sens), np.fft.fftshift(operator.density)
    dense = (sens.conj() * ifft2c(mask * fft2c(sens * x))).sum(0)
    np.testing.assert_allclose(model.normal(x), dense, atol=1e-11)
    np.testing.assert_allclose(model.adjoint(model.forward(x)), dense, atol=1e-11)


@pytest.mark.parametrize("sets", SETS)
def test_coil_density_is_the_diagonal_in_fourier_space(sets, rng):
    operator, sens = sampling("points", rng), random_complex(rng, (3, *sets, *SHAPE))
    model = coil_model(operator, sens, SETS[sets])
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
    weights = rng.random(SHAPE)
    for sets, images in SETS.items():
        sens, x = random_complex(rng, (5, *sets, *SHAPE)), random_complex(rng, (*sets, *SHAPE))
        model = coil_model(sampling("lines", rng).weighted(weights), sens, images)
        z = model.sampling.mask * random_complex(rng, (5, *SHAPE))
        assert_gradient(lambda x: (weights * model.gradient(x, z)[1]).sum() / 2,  # noqa: B023
                        lambda x: model.gradient(x, z)[0], x, rng)  # noqa: B023
        coil_images = sens * x
        residual = model.sampling.forward(coil_images.sum(1) if sets else coil_images) - z
        np.testing.assert_allclose(model.gradient(x, z)[1], (np.abs(residual) ** 2).sum(0))


def test_chains_of_two_sets_are_models_of_their_own(rng):
    operator, x = sampling("points", rng), random_complex(rng, (3, 2, *SHAPE))
    sens, z = random_complex(rng, (5, 3, 2, *SHAPE)), operator.mask * random_complex(rng, (5, 1, *SHAPE))
    chains = coil_model(operator, sens, TWO.along(ImageAxis.chains(3)))
    gradient, power = chains.gradient(x, z)
    for i in range(3):
        alone = coil_model(operator, sens[:, i], TWO)
        for together, expected in ((gradient, alone.gradient(x[i], z[:, 0])[0]),
                                   (power, alone.gradient(x[i], z[:, 0])[1]),
                                   (chains.normal(x), alone.normal(x[i])), (chains.density, alone.density)):
            np.testing.assert_allclose(together[i], expected, atol=1e-11)
    assert chains.axes == (-3, -2, -1)
