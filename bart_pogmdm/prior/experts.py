"""One-dimensional Gaussian-mixture experts psi_k(u; sigma): exact, and tabulated for speed."""

from dataclasses import dataclass

import numpy as np

from ..arrays.modules import array_module, kernels_for
from ..arrays.threads import share

NOISE_GAIN = 0.3    # how much of the image's noise the experts are smoothed by (the paper's eta)
TABLE_NODES = 4097  # on [-radius, radius]
TABLE_REACH = 64    # radius beyond the outermost mean, in std: clamping there costs less than 1e-3
LATENT_NODES = 1025  # on [-radius, radius], at most a fifth of a std apart
LATENT_REACH = 8


@dataclass(frozen=True, eq=False)
class Experts:
    """psi_k(u; sigma) = sum_l w_kl N(u; mu_l, std^2),   std^2 = base_std^2 + (NOISE_GAIN sigma)^2.

    weights (K, L) on the simplex and symmetric; means (L,) equispaced and symmetric.
    """

    weights: np.ndarray
    means: np.ndarray
    base_std: float

    def std(self, sigma):
        """Standard deviation of the components at noise level sigma."""
        return float(np.hypot(self.base_std, NOISE_GAIN * sigma))

    def _mixture(self, responses, sigma):
        xp = array_module(responses)
        values = xp.ascontiguousarray(responses, dtype=float).reshape(len(self.weights), -1)
        log_density, mean = xp.empty_like(values), xp.empty_like(values)
        with np.errstate(divide="ignore"):
            log_weights = xp.asarray(np.log(self.weights))
        means, std = xp.asarray(self.means), self.std(sigma)

        def work(pieces):
            for k in pieces:
                kernels_for(values).mixture(values[k], log_weights[k], means, std, log_density[k], mean[k])

        share(work, len(values), values[0])
        return log_density.reshape(responses.shape), mean.reshape(responses.shape)

    def log_density(self, responses, sigma):
        """log psi_k(u; sigma), exactly;  (K, …) real -> (K, …) float64."""
        return self._mixture(responses, sigma)[0]

    def activation(self, responses, sigma):
        """phi_k(u) = d/du log psi_k = (m_k(u) - u) / std^2, exactly;  (K, …) real -> (K, …) float64."""
        return (self._mixture(responses, sigma)[1] - responses) / self.std(sigma)**2

    def peak_curvature(self, sigma):
        """-phi_k'(0) = (1 - var_k / std^2) / std^2 with var_k the variance of the component means given u = 0, (K,)."""
        variance = self.std(sigma)**2
        kernel = np.exp(-self.means**2 / (2 * variance))
        spread = self.weights @ (kernel * self.means**2) / np.maximum(self.weights @ kernel, 1e-30)
        return (1 - spread / variance) / variance

    def table(self, sigma, xp=np, dtype=float):
        """The activations at one noise level, ready for `kernels.interpolate`, of an array module and a real type."""
        std = self.std(sigma)
        radius = float(self.means[-1] + TABLE_REACH * std)
        nodes = xp.linspace(0, radius, TABLE_NODES // 2 + 1)
        means = xp.empty((len(self.weights), nodes.size))
        kernels_for(means).mixture_means(nodes, xp.asarray(self.weights), xp.asarray(self.means), std, means)
        return Table(xp.concatenate([-means[:, :0:-1], means], 1).astype(dtype), radius, 1 / std**2)

    def latents(self, sigma, xp=np, dtype=float):
        """The components given a response at one noise level, ready for `kernels.draw`; as `table`."""
        from ..arrays.kernels.cpu import alias_tables
        std = self.std(sigma)
        radius = float(self.means[-1] + LATENT_REACH * std)
        nodes = np.linspace(-radius, radius, LATENT_NODES)
        accept = np.empty((len(self.weights), LATENT_NODES, self.means.size), np.float32)
        alias = np.empty(accept.shape, np.uint8)
        with np.errstate(divide="ignore"):
            exponents = np.log(self.weights)[:, None] - ((nodes[:, None] - self.means) / std) ** 2 / 2
        probabilities = np.exp(exponents - exponents.max(-1, keepdims=True))
        probabilities /= probabilities.sum(-1, keepdims=True)
        for distributions, table, others in zip(probabilities, accept, alias):
            alias_tables(distributions, table, others)
        return Latents(xp.asarray(accept), xp.asarray(alias), xp.asarray(self.means, dtype), radius, 1 / std**2)


@dataclass(frozen=True, eq=False)
class Table:
    """Posterior means m_k on a regular grid of [-radius, radius]; constant beyond it, where phi is linear."""

    means: np.ndarray
    radius: float
    inverse_variance: float

    def apply(self, responses, part):
        """phi in place on real and imaginary part of the responses (K', …, ny, nx) of a slice of the filters."""
        values = responses.view(self.means.dtype).reshape(len(responses), -1)
        real = values.dtype.type
        kernels_for(values).interpolate(values, self.means[part], real(self.radius), real(self.inverse_variance))


@dataclass(frozen=True, eq=False)
class Latents:
    """Alias tables of the components given a response, on a regular grid of [-radius, radius]."""

    accept: np.ndarray
    alias: np.ndarray
    means: np.ndarray
    radius: float
    inverse_variance: float

    def apply(self, responses, part, seeds):
        """(mu - u) / std^2, mu the mean of a component drawn given u, in place; a seed for each image as drawn.

        Responses (K', S, ny, nx) to S images, otherwise as `Table.apply`.
        """
        values = responses.view(self.means.dtype).reshape(len(responses), len(seeds), -1)
        real = values.dtype.type
        for image, seed in enumerate(seeds):
            kernels_for(values).draw(values[:, image], self.accept[part], self.alias[part], self.means, real(self.radius),
                                 real(self.inverse_variance), seed, part.start)
