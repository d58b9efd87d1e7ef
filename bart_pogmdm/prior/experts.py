"""One-dimensional Gaussian-mixture experts psi_k(u; sigma): exact, and tabulated for speed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from ..arrays.array_types import Array, ArrayModule
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, kernels_for
from ..arrays.threads import share

TABLE_NODES = 4097   # of a table on [-radius, radius]: activations within 1e-3
TABLE_REACH = 64     # radius beyond the outermost mean, in std: the constant extension is wrong by less than 1e-3
LATENT_NODES = 1025  # of an alias table on [-radius, radius], at most a fifth of a std apart
LATENT_REACH = 8     # the same as TABLE_REACH for alias tables, which need much more memory


@dataclass(frozen=True, eq=False)
class Experts:
    """psi_k(u; sigma) = sum_l w_kl N(u; mu_l, std^2),   std^2 = base_std^2 + (noise_gain sigma)^2.

    weights (K, L) on the simplex and symmetric; means (L,) equispaced and symmetric.
    """

    weights: Array
    means: Array
    base_std: float
    noise_gain: float

    def std(self, sigma: float) -> float:
        """Return the standard deviation of the components at noise level sigma."""
        return float(np.hypot(self.base_std, self.noise_gain * sigma))

    def part(self, which: slice) -> Experts:
        """Return some of the experts."""
        return Experts(self.weights[which], self.means, self.base_std, self.noise_gain)

    def _mixture(self, responses: Array, sigma: float) -> tuple[Array, Array]:
        """Return log psi_k(u) and the posterior mean m_k(u) of the component means."""
        xp = array_module(responses)
        values = xp.ascontiguousarray(responses, dtype=float).reshape(len(self.weights), -1)
        log_density, mean = xp.empty_like(values), xp.empty_like(values)
        with np.errstate(divide="ignore"):
            log_weights = xp.asarray(np.log(self.weights))
        means, std = xp.asarray(self.means), self.std(sigma)

        def work(pieces: list[slice]) -> None:
            for k in pieces:
                kernels_for(values).mixture(values[k], log_weights[k], means, std, log_density[k], mean[k])

        share(work, len(values), values[0])
        return log_density.reshape(responses.shape), mean.reshape(responses.shape)

    def log_density(self, responses: Array, sigma: float) -> Array:
        """Return log psi_k(u; sigma), exactly;  (K, …) real -> (K, …) float64."""
        return self._mixture(responses, sigma)[0]

    def activation(self, responses: Array, sigma: float) -> Array:
        """Return phi_k(u) = d/du log psi_k = (m_k(u) - u) / std^2, exactly;  (K, …) real -> (K, …) float64."""
        return (self._mixture(responses, sigma)[1] - responses) / self.std(sigma)**2

    def peak_curvature(self, sigma: float) -> Array:
        """Return -phi_k'(0) = (1 - var_k / std^2) / std^2, (K,), var_k the variance of the component means at u = 0."""
        variance = self.std(sigma)**2
        kernel = np.exp(-self.means**2 / (2 * variance))
        spread = self.weights @ (kernel * self.means**2) / np.maximum(self.weights @ kernel, 1e-30)
        return (1 - spread / variance) / variance

    def table(self, sigma: float, xp: ArrayModule = np, dtype: DTypeLike = float, nodes: int = TABLE_NODES) -> Table:
        """Return the tabulated activations at one noise level, of an array module and a real type."""
        std = self.std(sigma)
        radius = float(self.means[-1] + TABLE_REACH * std)
        places = xp.linspace(0, radius, nodes // 2 + 1)
        means = xp.empty((len(self.weights), places.size))
        kernels_for(means).mixture_means(places, xp.asarray(self.weights), xp.asarray(self.means), std, means)
        return Table(xp.concatenate([-means[:, :0:-1], means], 1).astype(dtype), radius, 1 / std**2)

    def latents(self, sigma: float, xp: ArrayModule = np, dtype: DTypeLike = float) -> Latents:
        """Return alias tables of the components given a response at one noise level; otherwise as `table`."""
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


def of_spectra(activate: Callable[[Array], None], spectra: Array) -> Array:
    """Return the spectra of responses that `activate` replaces, given those before, (K', S, ny, nx), in their place."""
    responses = ifftn(spectra, overwrite=True)
    activate(responses)
    return fftn(responses, overwrite=True)


@dataclass(frozen=True, eq=False)
class Table:
    """Posterior means m_k on a regular grid of [-radius, radius].  Beyond it m_k is constant, so phi is linear."""

    means: Array
    radius: float
    inverse_variance: float

    def apply(self, responses: Array, part: slice) -> None:
        """Replace responses (K', …, ny, nx) of a slice of the filters by phi of their real and imaginary parts."""
        values = responses.view(self.means.dtype).reshape(len(responses), -1)
        real = values.dtype.type
        kernels_for(values).interpolate(values, self.means[part], real(self.radius), real(self.inverse_variance))

    def apply_to_spectra(self, spectra: Array, part: slice) -> Array:
        """Return the spectra of phi of responses, given theirs, (K', S, ny, nx), which are overwritten."""
        if array_module(spectra) is not np:
            return of_spectra(lambda responses: self.apply(responses, part), spectra)
        from ..arrays.kernels.transforms import activate
        real = self.means.dtype.type
        activate(spectra, self.means[part], real(self.radius), real(self.inverse_variance))
        return spectra


@dataclass(frozen=True, eq=False)
class Latents:
    """Alias tables of the components given a response, on a regular grid of [-radius, radius]."""

    accept: Array
    alias: Array
    means: Array
    radius: float
    inverse_variance: float

    def apply(self, responses: Array, part: slice, seeds: list[np.uint64]) -> None:
        """Replace responses (K', S, ny, nx) by (mu - u) / std^2, with mu the mean of a component drawn given u.

        Each of the S images has a seed of its own.
        """
        values = responses.view(self.means.dtype).reshape(len(responses), len(seeds), -1)
        real = values.dtype.type
        for image, seed in enumerate(seeds):
            kernels_for(values).draw(values[:, image], self.accept[part], self.alias[part], self.means,
                                     real(self.radius), real(self.inverse_variance), seed, part.start)
