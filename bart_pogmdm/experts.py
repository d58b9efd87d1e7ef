"""One-dimensional Gaussian-mixture experts psi_k(u; sigma): exact, and tabulated for speed."""

from dataclasses import dataclass

import numpy as np

from .backend import array_module, kernels, share

TABLE_NODES = 4097  # on [-radius, radius]
TABLE_REACH = 32    # radius beyond the outermost mean, in std: clamping there costs less than 1e-3


@dataclass(frozen=True, eq=False)
class Experts:
    """psi_k(u; sigma) = sum_l w_kl N(u; mu_l, std_k^2),   std_k^2 = base_std^2 + (norm_k sigma)^2.

    weights (K, L) on the simplex and symmetric; means (L,) equispaced and symmetric;
    norms (K,): how much the k-th filter amplifies noise (the paper's eta).
    """

    weights: np.ndarray
    means: np.ndarray
    base_std: float
    norms: np.ndarray

    def std(self, sigma):
        """Component standard deviations at noise level sigma, (K,)."""
        return np.sqrt(self.base_std**2 + (self.norms * sigma)**2)

    def _mixture(self, responses, sigma):
        xp = array_module(responses)
        values = xp.ascontiguousarray(responses, dtype=float).reshape(len(self.weights), -1)
        log_density, mean = xp.empty_like(values), xp.empty_like(values)
        with np.errstate(divide="ignore"):
            log_weights, std = xp.asarray(np.log(self.weights)), xp.asarray(self.std(sigma))
        means = xp.asarray(self.means)

        def work(pieces):
            for k in pieces:
                kernels(values).mixture(values[k], log_weights[k], means, std[k], log_density[k], mean[k])

        share(work, len(values), values[0])
        return log_density.reshape(responses.shape), mean.reshape(responses.shape)

    def log_density(self, responses, sigma):
        """log psi_k(u; sigma), exactly;  (K, …) real -> (K, …) float64."""
        return self._mixture(responses, sigma)[0]

    def activation(self, responses, sigma):
        """phi_k(u) = d/du log psi_k = (m_k(u) - u) / std_k^2, exactly;  (K, …) real -> (K, …) float64."""
        variance = array_module(responses).asarray(self.std(sigma)**2)
        mean = self._mixture(responses, sigma)[1]
        return (mean - responses) / variance.reshape(-1, *(1,) * (responses.ndim - 1))

    def table(self, sigma):
        """The activations at one noise level, ready for `kernels.interpolate`."""
        std = self.std(sigma)
        radius = self.means[-1] + TABLE_REACH * std
        nodes = radius[:, None] * np.linspace(-1, 1, TABLE_NODES)
        return Table(self._mixture(nodes, sigma)[1], radius, 1 / std**2)


@dataclass(frozen=True, eq=False)
class Table:
    """Posterior means m_k on a regular grid of [-radius_k, radius_k]; constant beyond it, where phi is linear."""

    means: np.ndarray
    radius: np.ndarray
    inverse_variance: np.ndarray

    def to(self, xp, dtype):
        """The same table as arrays of a module and a real type."""
        return Table(*(xp.asarray(a, dtype) for a in (self.means, self.radius, self.inverse_variance)))

    def apply(self, responses, part):
        """phi in place on real and imaginary part of the responses (K', ny, nx) of a slice of the filters."""
        values = responses.view(self.means.dtype).reshape(len(responses), -1)
        kernels(values).interpolate(values, self.means[part], self.radius[part], self.inverse_variance[part])
