"""One check for each mathematical property of an operator or a function."""

import numpy as np


def random_complex(rng, shape, dtype=np.complex128):
    """Normal numbers of standard deviation 1 in real and imaginary part."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def assert_adjoint(forward, adjoint, domain, codomain, rng, restrict=1, rtol=1e-10):
    """Check <A x, y> = <x, A^H y> and the shapes of both results, for random x and y.

    domain, codomain: shapes of x and y.  restrict: a factor on y, for an adjoint that expects zeros where nothing is
    sampled.  rtol: relative to ||A x|| ||y||.
    """
    x, y = random_complex(rng, domain), restrict * random_complex(rng, codomain)
    left, right = forward(x.copy()), adjoint(y.copy())
    assert left.shape == codomain and right.shape == domain
    a, b = np.vdot(left, y), np.vdot(x, right)
    assert abs(a - b) <= rtol * np.linalg.norm(left) * np.linalg.norm(y)


def assert_linear(function, domain, rng, rtol=1e-10):
    """Check f(a x + y) = a f(x) + f(y) for random x and y of the shape `domain` and a complex number a."""
    x, y, a = random_complex(rng, domain), random_complex(rng, domain), 0.6 - 1.7j
    expected = a * function(x.copy()) + function(y.copy())
    assert np.linalg.norm(function(a * x + y) - expected) <= rtol * np.linalg.norm(expected)


def assert_unitary(forward, inverse, shape, rng):
    """Check that `forward` keeps the norm and `inverse` undoes it."""
    x = random_complex(rng, shape)
    y = forward(x.copy())
    assert np.isclose(np.linalg.norm(y), np.linalg.norm(x))
    np.testing.assert_allclose(inverse(y.copy()), x, atol=1e-12)


def assert_gradient(energy, gradient, x, rng, step=1e-5, rtol=1e-6):
    """Check d/dt energy(x + t d) = Re <gradient(x), d> in a random direction d, by central differences."""
    d = rng.standard_normal(x.shape) + (1j * rng.standard_normal(x.shape) if np.iscomplexobj(x) else 0)
    difference = (energy(x + step * d) - energy(x - step * d)) / (2 * step)
    assert np.isclose(difference, np.vdot(gradient(x), d).real, rtol=rtol)
