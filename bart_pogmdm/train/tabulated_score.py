"""The score with tabulated experts on the CPU, as differentiable functions of torch that run compiled loops."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import torch

from ..arrays.array_types import Array
from ..arrays.kernels.cpu import combine, expand
from ..arrays.threads import NUM_THREADS
from . import table_kernels

# Number of nodes of a table on [0, radius].  Scores and gradients are within 0.5 % of those of the exact mixture.
NODES = 384
# Number of filters that are handled together, so that their responses stay in the cache of a core.
FILTERS_AT_ONCE = 4

Share = TypeVar("Share")


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(NUM_THREADS, initializer=torch.set_num_threads, initargs=(1,))


def _on_threads(work: Callable[[range], Share], count: int) -> list[Share]:
    """Split the indices 0..count-1 into one range for each thread, and return work(range) of all ranges."""
    bounds = [count * i // NUM_THREADS for i in range(NUM_THREADS + 1)]
    return list(_pool().map(torch.no_grad()(work), [range(*pair) for pair in pairwise(bounds)]))


class PosteriorMeanTables(torch.autograd.Function):
    """Tables (B, K, NODES) of m_k on a grid of [0, radius] for each noise level, differentiable in the weights."""

    @staticmethod
    def forward(ctx: Any, weights: Any, variance: Any, means: Any, radius: Any) -> torch.Tensor:
        """Compute the tables from the tensors weights (K, L), variance (B,), means (L,) and radius (B,)."""
        ctx.arrays = tuple(array.detach().numpy().astype(float) for array in (weights, variance, means, radius))
        weights, variance, means, radius = ctx.arrays
        ctx.totals, ctx.moments = (np.empty((len(variance), len(weights), NODES)) for _ in range(2))
        grids = radius[:, None] * np.linspace(0, 1, NODES)

        def work(filters: range) -> None:
            for k in filters:
                for b, grid in enumerate(grids):
                    table_kernels.posterior_means(weights[k], variance[b], means, grid, ctx.totals[b, k],
                                                  ctx.moments[b, k])

        _on_threads(work, len(weights))
        return torch.from_numpy(ctx.moments.astype(np.float32))

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[torch.Tensor, None, None, None]:
        """Return the gradient with respect to the weights; the other arguments get None."""
        weights, variance, means, radius = ctx.arrays
        gradient, weights_gradient = gradient.numpy().astype(float), np.zeros_like(weights)
        grids = radius[:, None] * np.linspace(0, 1, NODES)

        def work(filters: range) -> None:
            for k in filters:
                for b, grid in enumerate(grids):
                    table_kernels.posterior_means_adjoint(variance[b], means, grid, ctx.totals[b, k],
                                                          ctx.moments[b, k], gradient[b, k], weights_gradient[k])

        _on_threads(work, len(weights))
        return torch.from_numpy(weights_gradient.astype(np.float32)), None, None, None


class TabulatedScore(torch.autograd.Function):
    """The score sum_k F^H conj(S_k) F phi_k(F^H S_k F x), differentiable in spectra S, tables and factor."""

    @staticmethod
    def forward(ctx: Any, images: Any, spectra: Any, tables: Any, radius: Any, factor: Any) -> torch.Tensor:
        """Compute the scores of images (B, ny, nx).

        spectra (K, ny, nx), tables (B, K, NODES), radius and factor (B,): tensors.
        """
        ctx.arrays = tuple(array.detach().numpy() for array in (spectra, tables, radius, factor))
        spectra, tables, radius, factor = ctx.arrays
        ctx.spectra = torch.fft.fft2(images, norm="ortho").numpy()
        ctx.responses, ctx.activations = (np.empty((len(images), *spectra.shape), np.complex64) for _ in range(2))
        scores = np.zeros_like(ctx.spectra)

        def work(batch: range) -> None:
            for b in batch:
                for part in _parts(spectra):
                    responses = _filter(spectra[part], ctx.spectra[b])
                    ctx.responses[b, part] = responses
                    table_kernels.activate(_reals(responses), tables[b, part], radius[b], factor[b])
                    ctx.activations[b, part] = activations = _fft2(responses)
                    combine(spectra[part], activations, scores[b])

        _on_threads(work, len(images))
        return torch.fft.ifft2(torch.from_numpy(scores), norm="ortho")

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[None, torch.Tensor, torch.Tensor, None, torch.Tensor]:
        """Return the gradients with respect to spectra, tables and factor; images and radius get None."""
        spectra, tables, radius, factor = ctx.arrays
        residuals = torch.fft.fft2(gradient, norm="ortho").numpy()
        tables_gradient, factor_gradient = np.zeros(tables.shape), np.zeros(factor.shape)

        def work(batch: range) -> Array:
            spectra_gradient = np.zeros_like(spectra)
            for b in batch:
                for part in _parts(spectra):
                    gradients = _filter(spectra[part], residuals[b])
                    factor_gradient[b] += table_kernels.activate_adjoint(
                        _reals(ctx.responses[b, part]), _reals(gradients), tables[b, part], radius[b], factor[b],
                        tables_gradient[b, part])
                    table_kernels.spectra_adjoint(ctx.spectra[b], _fft2(gradients), residuals[b],
                                                  ctx.activations[b, part], spectra_gradient[part])
            return spectra_gradient

        spectra_gradient = sum(_on_threads(work, len(residuals)))
        return (None, torch.from_numpy(spectra_gradient), torch.from_numpy(tables_gradient.astype(np.float32)), None,
                torch.from_numpy(factor_gradient.astype(np.float32)))


def _parts(spectra: Array) -> list[slice]:
    return [slice(k, k + FILTERS_AT_ONCE) for k in range(0, len(spectra), FILTERS_AT_ONCE)]


def _filter(spectra: Array, image: Array) -> Array:
    """Return the filter responses (K', ny, nx) to an image that is given by its spectrum."""
    products = np.empty_like(spectra)
    expand(spectra, image, products)
    return torch.fft.ifft2(torch.from_numpy(products), norm="ortho").numpy()


def _fft2(images: Array) -> Array:
    return torch.fft.fft2(torch.from_numpy(images), norm="ortho").numpy()


def _reals(images: Array) -> Array:
    """Return a view of the real and imaginary parts, (K', 2 ny nx)."""
    return images.view(np.float32).reshape(len(images), -1)
