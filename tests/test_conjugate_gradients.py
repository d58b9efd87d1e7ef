"""Conjugate gradients against the direct solution of small systems."""

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm.arrays.conjugate_gradients import conjugate_gradients


@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_solve(preconditioned, rng):
    root = random_complex(rng, (10, 10))
    matrix, rhs = root @ root.conj().T + np.eye(10), random_complex(rng, 10)
    start = random_complex(rng, 10)
    before = start.copy()
    solution = conjugate_gradients(lambda x: matrix @ x, rhs, start, iterations=40,
                                   precondition=(lambda x: x / np.diag(matrix)) if preconditioned else None)
    np.testing.assert_allclose(matrix @ solution, rhs, atol=1e-8)
    np.testing.assert_array_equal(start, before)
    np.testing.assert_array_equal(conjugate_gradients(lambda x: x, np.zeros(3), iterations=5), np.zeros(3))


def test_they_end_at_the_tolerance_each_system_for_itself(rng):
    """Rows are systems: an easy one ends first, and its solution is that of the system alone."""
    eigenvalues = np.stack([np.linspace(1, 1.1, 50), np.linspace(1, 1000, 50)])
    rhs, products = random_complex(rng, (2, 50)), []

    def normal(x):
        products.append(x)
        return eigenvalues * x

    solution = conjugate_gradients(normal, rhs, iterations=200, axes=(1,), tolerance=0.1)
    assert 5 < len(products) < 200
    residual = np.linalg.norm(rhs - eigenvalues * solution, axis=1) / np.linalg.norm(rhs, axis=1)
    assert (residual <= 0.1).all() and (residual > 1e-3).all()
    alone = conjugate_gradients(lambda x: eigenvalues[0] * x, rhs[0], iterations=200, tolerance=0.1)
    np.testing.assert_allclose(solution[0], alone, rtol=1e-12)
