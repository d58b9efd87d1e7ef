"""One check per mathematical property."""

import numpy as np


def random_complex(rng, shape, dtype=np.complex128):
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def assert_adjoint(forward, adjoint, domain, codomain, rng, restrict=1, rtol=1e-10):
    """<A x, y> = <x, A^H y> for y in the range of `restrict`, with the right shapes."""
    x, y = random_complex(rng, domain), restrict * random_complex(rng, codomain)
    left, right = forward(x.copy()), adjoint(y.copy())
    assert left.shape == codomain and right.shape == domain
    a, b = np.vdot(left, y), np.vdot(x, right)
    assert abs(a - b) <= rtol * np.linalg.norm(left) * np.linalg.norm(y)


def assert_unitary(forward, inverse, shape, rng):
    x = random_complex(rng, shape)
    y = forward(x.copy())
    assert np.isclose(np.linalg.norm(y), np.linalg.norm(x))
    np.testing.assert_allclose(inverse(y.copy()), x, atol=1e-12)


def assert_gradient(energy, gradient, x, rng, step=1e-5, rtol=1e-6):
    """d/dt energy(x + t d) = Re <gradient(x), d> by central differences."""
    d = rng.standard_normal(x.shape) + (1j * rng.standard_normal(x.shape) if np.iscomplexobj(x) else 0)
    difference = (energy(x + step * d) - energy(x - step * d)) / (2 * step)
    assert np.isclose(difference, np.vdot(gradient(x), d).real, rtol=rtol)
