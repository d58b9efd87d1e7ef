"""The Gaussian-mixture experts: tables against the exact mixture, and derivatives."""

import numpy as np
import pytest
from properties import assert_gradient

SIGMAS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]


@pytest.mark.parametrize("sigma", SIGMAS)
def test_table_is_the_mixture(prior, sigma):
    u = np.tile((0.5 + 50 * prior.experts.std(sigma)) * np.linspace(-1, 1, 20001), (20, 1))
    exact = prior.experts.activation(u, sigma)
    table, fast = prior.experts.table(sigma), u.copy()
    table.apply(fast, slice(None))
    relative = np.abs(fast - exact).max(1) / np.abs(exact).max(1)
    assert relative.max() < 1e-3
    single = prior.experts.table(sigma, dtype=np.float32)
    fast = u.astype(np.float32)
    single.apply(fast, slice(None))
    assert (np.linalg.norm(fast - exact, axis=1) / np.linalg.norm(exact, axis=1)).max() < 1e-3


def test_table_error_falls_with_the_square_of_the_step(prior):
    errors, u = [], np.linspace(-0.5, 0.5, 3001) * np.ones((20, 1))
    for nodes in (2049, 4097):
        table, fast = prior.experts.table(0.05, nodes=nodes), u.copy()
        assert table.means.shape == (20, nodes)
        table.apply(fast, slice(None))
        errors.append(np.abs(fast - prior.experts.activation(u, 0.05)).max())
    assert 3 < errors[0] / errors[1] < 5


def test_activation_is_the_derivative_of_the_log_density(prior, rng):
    assert_gradient(lambda u: prior.experts.log_density(u, 0.1).sum(), lambda u: prior.experts.activation(u, 0.1),
                    0.2 * rng.standard_normal((20, 50)), rng)
