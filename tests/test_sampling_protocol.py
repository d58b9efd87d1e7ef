"""Both samplings and both scans offer what `physics.sampling` asks for, and agree on the points of the grid."""

import inspect

import numpy as np
import pytest
from properties import assert_adjoint, assert_linear, random_complex
from trajectories import error, grid_points

from bart_pogmdm.arrays.fft import fftn
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import PLANE, ifft2c
from bart_pogmdm.physics.noise_level import NoiseRules, estimate_noise
from bart_pogmdm.physics.noncartesian import NonCartesianScan
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.sampling import Sampling, Scan

pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")

SHAPE = (20, 18)
KINDS = {"points": SHAPE, "lines": (1, 18)}


class Pair:
    """CartesianSampling and Nufft of the same sampled points, with the way from the samples of one to the other's.

    mask: (ny, nx), zero frequency at n // 2.
    """

    def __init__(self, kind, rng):
        self.mask = np.broadcast_to(rng.random(KINDS[kind]) < 0.5, SHAPE)
        self.on_grid = CartesianSampling.centred(self.mask, float)
        self.along = Nufft(grid_points(self.mask), SHAPE, np.complex128)

    def listed(self, grid):
        """The values (…, M) at the sampled points of a grid with zero frequency first, such as weights."""
        return np.fft.fftshift(grid, PLANE)[..., self.mask]

    def gridded(self, samples):
        """Samples (J, M) of the Nufft in the form of CartesianSampling, whose transform has its origin at pixel 0."""
        kspace = np.zeros((len(samples), *SHAPE), complex)
        kspace[:, self.mask] = samples
        return fftn(ifft2c(kspace))

    def weighted(self, rng):
        """Both samplings with the same random weights."""
        weights = rng.uniform(0.1, 1, SHAPE)
        return self.on_grid.weighted(weights), self.along.weighted(self.listed(weights))


@pytest.fixture(params=KINDS)
def pair(request, rng):
    return Pair(request.param, rng)


def members(protocol):
    """The names of a protocol's members, and the names of the parameters of those that are methods."""
    return {name: list(inspect.signature(member).parameters) if callable(member) else None
            for name, member in vars(protocol).items() if not name.startswith("_")}


def example(kind):
    """An object of a class that implements a protocol."""
    mask, kspace = np.ones(SHAPE, bool), np.ones((1, *SHAPE), complex)
    return {CartesianSampling: lambda: CartesianSampling.centred(mask, float),
            Nufft: lambda: Nufft(grid_points(mask), SHAPE, np.complex128),
            CartesianScan: lambda: CartesianScan(kspace, mask),
            NonCartesianScan: lambda: NonCartesianScan(kspace[:, mask], grid_points(mask), SHAPE)}[kind]()


@pytest.mark.parametrize("kind, protocol", [(CartesianSampling, Sampling), (Nufft, Sampling),
                                            (CartesianScan, Scan), (NonCartesianScan, Scan)])
def test_every_member_of_the_protocol_is_there(kind, protocol):
    wanted, found = members(protocol), example(kind)
    assert len(wanted) == {Sampling: 16, Scan: 12}[protocol]
    for name, parameters in wanted.items():
        value = getattr(found, name)
        assert callable(value) == (parameters is not None)
        if parameters:
            assert list(inspect.signature(getattr(kind, name)).parameters) == parameters


@pytest.mark.parametrize("weighted", [False, True])
def test_operators_are_linear_and_adjoint(pair, weighted, rng):
    """In the inner product of the samples with weights W: <A x, W z> = <x, A* (z)>."""
    samplings = pair.weighted(rng) if weighted else (pair.on_grid, pair.along)
    for sampling, codomain, restrict, rtol in zip(samplings, (SHAPE, (int(pair.along.count),)),
                                                  (pair.on_grid.density, 1), (1e-10, 1e-5)):
        weights = sampling.weights if weighted else 1
        for linear, domain in ((sampling, (3, *SHAPE)), (CoilModel(sampling, random_complex(rng, (3, *SHAPE))), SHAPE)):
            def adjoint(z, linear=linear, weights=weights):
                return linear.adjoint(z / weights)

            assert_adjoint(linear.forward, adjoint, domain, (3, *codomain), rng, restrict=restrict, rtol=rtol)
            assert_linear(linear.forward, domain, rng)
            assert_linear(linear.normal, domain, rng)
            assert_linear(linear.adjoint, (3, *codomain), rng)


@pytest.mark.parametrize("weighted", [False, True])
def test_transforms_agree(pair, weighted, rng):
    on_grid, along = pair.weighted(rng) if weighted else (pair.on_grid, pair.along)
    x, z = random_complex(rng, (2, *SHAPE)), random_complex(rng, (2, int(along.count)))
    assert error(pair.gridded(along.forward(x.copy())), on_grid.forward(x.copy())) < 1e-5
    assert error(along.adjoint(z.copy()), on_grid.adjoint(pair.gridded(z))) < 1e-5
    assert error(along.normal(x.copy()), on_grid.normal(x.copy())) < 1e-5
    np.testing.assert_allclose(along.density, on_grid.density, atol=1e-5)
    np.testing.assert_allclose(along.sampled_part, on_grid.sampled_part, atol=1e-5)
    assert along.shape == on_grid.shape == SHAPE and along.count == on_grid.count


@pytest.mark.slow
def test_eigenvalues_are_as_promised(pair):
    """The eigenvalues of F^H M F are exact on a grid, and those of the Nufft are exact to `inexact`."""
    planes = np.eye(np.prod(SHAPE), dtype=complex).reshape(-1, *SHAPE)
    exact, found = (sampling.normal(planes.copy()).reshape(len(planes), -1) for sampling in (pair.on_grid, pair.along))
    assert pair.on_grid.inexact == 0
    assert np.linalg.norm(found - exact, 2) < pair.along.inexact


def test_equalize_leaves_images_of_the_grid_as_they_are(pair, rng):
    x = random_complex(rng, (2, *SHAPE))
    np.testing.assert_array_equal(pair.on_grid.equalize(x.copy()), x)
    equalized = pair.along.equalize(x.copy())
    factor = np.vdot(equalized, x) / np.vdot(equalized, equalized)
    assert error(equalized * factor, x) < 1e-5
    assert 1 - 1e-5 < factor.real < 1.01  # the bound of the power iteration exceeds the eigenvalue by so much at most


def test_distances_from_zero_frequency_agree(pair):
    for shape in (SHAPE, (30, 40)):
        on_grid = pair.on_grid.radius(shape)
        np.testing.assert_allclose(pair.listed(on_grid), pair.along.radius(shape), atol=1e-14)
        assert np.isinf(np.fft.fftshift(on_grid)[~pair.mask]).all()


def test_noise_has_the_variance_of_the_weights(pair, rng):
    on_grid, along = pair.weighted(rng)
    for sampling, samples, listed in ((on_grid, (400, *SHAPE), pair.listed),
                                      (along, (400, int(along.count)), lambda samples: samples)):
        noise = sampling.noise(rng, np.zeros(samples, complex))
        assert noise.shape == samples
        white = listed(noise) * listed(sampling.weights) ** 0.5
        for part in (white.real, white.imag):
            assert abs(part.std() - 1) < 0.01 and abs(part.mean()) < 0.01
            assert abs((part**2).mean(0) - 1).max() < 0.5  # at each point, whatever its weight
    noise = on_grid.noise(rng, np.zeros((1, *SHAPE), complex))
    assert (noise[:, on_grid.density == 0] == 0).all()


def test_scans_agree(pair, rng):
    kspace = pair.mask * random_complex(rng, (6, *SHAPE))
    on_grid = CartesianScan(kspace, pair.mask)
    along = NonCartesianScan(kspace[:, pair.mask], grid_points(pair.mask), SHAPE)
    assert along.shape == on_grid.shape == SHAPE
    for found, expected in zip(along.acquired(), on_grid.acquired()):
        np.testing.assert_allclose(found, expected, atol=1e-14)
    assert along.same_for_coils and on_grid.same_for_coils
    matrix = random_complex(rng, (2, 6))
    for scan in (along, on_grid):
        np.testing.assert_allclose(scan.combined(matrix).acquired()[0], matrix @ scan.acquired()[0], atol=1e-12)
    noise = [estimate_noise(*scan.acquired(), NoiseRules()) for scan in (along, on_grid)]
    assert np.isclose(*noise, rtol=1e-6)
    for grid, cut in ((SHAPE, SHAPE), ((12, 10), (9, 7)), ((14, 18), (11, 18))):
        (sampling, samples), (cartesian, expected) = (scan.low(grid, cut).sampled() for scan in (along, on_grid))
        assert sampling.shape == cartesian.shape == grid and sampling.count == cartesian.count
        found = sampling.adjoint(samples.copy())
        assert error(found, cartesian.adjoint(expected.copy())) < 1e-5
        # The samples have other forms, so each is compared with what its own sampling gives of one image.
        image = random_complex(rng, (6, *grid))
        residuals = [np.linalg.norm(operator.forward(image.copy()) - z)
                     for operator, z in ((sampling, samples), (cartesian, expected))]
        assert np.isclose(*residuals, rtol=1e-5)


def test_scans_agree_on_coils_divided_by_levels(pair, rng):
    kspace, levels = pair.mask * random_complex(rng, (6, *SHAPE)), rng.uniform(0.5, 2, 6)
    for scan in (CartesianScan(kspace.copy(), pair.mask),
                 NonCartesianScan(kspace[:, pair.mask], grid_points(pair.mask), SHAPE)):
        expected = scan.acquired()[0] / levels[:, None]
        np.testing.assert_allclose(scan.divided(levels).acquired()[0], expected, atol=1e-12)
