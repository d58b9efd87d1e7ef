"""Conjugate gradients against the direct solution of small systems."""

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm.arrays.conjugate_gradients import conjugate_gradients


@pytest.mark.parametrize("preconditioned", [False, True])
def test_conjugate_gradients_solve(preconditioned, rng):
    root = random_complex(rng, (10, 10))
    matrix, rhs = root @ root.conj().T + np.eye(10), random_complex(rng, 10)
    solution = conjugate_gradients(lambda x: matrix @ x, rhs, random_complex(rng, 10), iterations=40,
                                   precondition=(lambda x: x / np.diag(matrix)) if preconditioned else None)
    np.testing.assert_allclose(matrix @ solution, rhs, atol=1e-8)
    np.testing.assert_array_equal(conjugate_gradients(lambda x: x, np.zeros(3), iterations=5), np.zeros(3))
