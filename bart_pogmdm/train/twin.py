"""The differentiable twin of the prior, in torch."""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch

from ..arrays.kernels.cpu import combine, expand
from ..arrays.threads import NUM_THREADS
from ..prior import shearlets
from ..prior.experts import NOISE_GAIN
from ..prior.pogmdm import EXPONENT, PoGMDM
from . import table_kernels

NODES = 384        # of the tables, on [0, radius]: scores and gradients within 0.5 %
TABLE_REACH = 12   # radius beyond the outermost mean, in std
PIECE = 4          # filters handled together: what a core's cache holds
PARAMETERS = ("lowpass", "directional", "gains", "weights")


class Twin(torch.nn.Module):
    """`PoGMDM` with its parameters to be learned: lowpass h, directional P, gains and weights."""

    def __init__(self, prior, dtype=torch.float32, device="cpu"):
        super().__init__()
        for name in PARAMETERS:
            value = torch.tensor(np.array(getattr(prior, name)), dtype=dtype, device=device)
            self.register_parameter(name, torch.nn.Parameter(value))
        self.register_buffer("means", torch.tensor(np.array(prior.means), dtype=torch.float64, device=device))
        self.base_std = prior.base_std

    def prior(self, name):
        """The prior with the present parameters; an average of P needs its absolute sum back (the filters do not)."""
        lowpass, directional, *others = (getattr(self, key).detach().cpu().double().numpy() for key in PARAMETERS)
        directional = directional / np.abs(directional).sum()
        return PoGMDM(lowpass, directional, *others, self.means.cpu().numpy(), self.base_std, name=name)

    def spectra(self, filters, shape):
        """Normalised responses S_k of the filters at an image size of at least their own."""
        ny, nx = shape
        half = shearlets.HALF
        padded = torch.nn.functional.pad(filters, (0, nx - filters.shape[2], 0, ny - filters.shape[1]))
        spectra = torch.fft.fft2(torch.roll(padded, (-half, -half), (1, 2)))
        return shearlets.normalise(spectra, shearlets.overlap(filters))

    def variance(self, sigmas):
        """std(sigma)^2 of the components, (B,)."""
        return self.base_std**2 + (NOISE_GAIN * sigmas) ** 2

    def exponent(self, spectra, sigmas):
        """The exponent of the experts at the noise levels, (B,), from spectra on GRID; see `PoGMDM.exponent`."""
        variance = self.variance(sigmas)[:, None]
        kernel = torch.exp(-self.means**2 / (2 * variance)).to(self.weights.dtype)
        spread = (kernel * self.means.to(kernel.dtype) ** 2) @ self.weights.T
        spread = spread / (kernel @ self.weights.T).clamp(min=1e-30)
        curvature = (1 - spread / variance) / variance * self.gains**2
        power = shearlets.power(spectra).reshape(len(spectra), -1)
        peak = (curvature.to(power.dtype) @ power).amax(1)
        return torch.clamp(2 / (sigmas**2 * peak.clamp(min=1e-6)), max=EXPONENT).to(self.weights.dtype)

    def score(self, images, sigmas, *, dense=False):
        """grad log p_sigma of complex images (B, ny, nx), each at its noise level, as `PoGMDM.score`.

        The activations come from a table of NODES nodes, or with dense=True from the mixture at each response, slowly.
        """
        filters = shearlets.filter_bank(self.lowpass, self.directional)
        shape, variance = tuple(images.shape[1:]), self.variance(sigmas)
        spectra = {size: self.spectra(filters, size) for size in {shape, shearlets.GRID}}
        factor = self.exponent(spectra[shearlets.GRID], sigmas) / variance
        spectra = self.gains[:, None, None] * spectra[shape]
        radius = self.means[-1] + TABLE_REACH * variance.double().sqrt()
        if images.device.type == "cpu" and images.dtype == torch.complex64 and not dense:
            tables = Tables.apply(self.weights, variance.double(), self.means, radius)
            return Score.apply(images, spectra, tables, radius.float(), factor)
        responses = torch.view_as_real(torch.fft.ifft2(spectra * torch.fft.fft2(images)[:, None]))
        values = responses.flatten(2)
        if dense:
            means = self._posterior_means(values, variance)
        else:
            nodes = torch.linspace(0, 1, NODES, device=radius.device) * radius[:, None]
            tables = self._posterior_means(nodes[:, None].to(values.dtype).expand(-1, len(spectra), -1), variance)
            means = _interpolate(values, tables, radius.to(values.dtype))
        activations = torch.view_as_complex(((means - values) * factor[:, None, None]).reshape(responses.shape))
        return torch.fft.ifft2((spectra.conj() * torch.fft.fft2(activations)).sum(1))

    def _posterior_means(self, values, variance):
        """m_k(u) of values (B, K, n)."""
        results, means = [], self.means.to(values.dtype)
        for k, weights in enumerate(self.weights):
            exponents = -(values[:, k, :, None] - means) ** 2 / (2 * variance[:, None, None])
            kernel = torch.exp(exponents - exponents.detach().amax(-1, keepdim=True))
            results.append(kernel @ (weights * means) / (kernel @ weights).clamp(min=1e-30))
        return torch.stack(results, 1)


def _interpolate(values, tables, radius):
    """The odd function with values `tables` (B, K, T) on [0, radius], at values (B, K, n)."""
    last = tables.shape[-1] - 1
    position = (values.abs() * (last / radius[:, None, None])).clamp(max=last)
    node = position.detach().long().clamp(max=last - 1)
    left, right = tables.gather(-1, node), tables.gather(-1, node + 1)
    return torch.sign(values) * (left + (position - node) * (right - left))


@lru_cache(maxsize=1)
def _pool():
    return ThreadPoolExecutor(NUM_THREADS, initializer=torch.set_num_threads, initargs=(1,))


def _share(work, count):
    """[work(range), …]: the indices 0..count-1 in as many ranges as there are threads."""
    bounds = [count * i // NUM_THREADS for i in range(NUM_THREADS + 1)]
    return list(_pool().map(torch.no_grad()(work), map(range, *zip(*pairwise(bounds)))))


class Tables(torch.autograd.Function):
    """m_k on a regular grid of [0, radius] for each noise level, (B, K, NODES); differentiable in the weights."""

    @staticmethod
    def forward(ctx, weights, variance, means, radius):
        ctx.arrays = tuple(array.detach().numpy().astype(float) for array in (weights, variance, means, radius))
        weights, variance, means, radius = ctx.arrays
        ctx.totals, ctx.moments = (np.empty((len(variance), len(weights), NODES)) for _ in range(2))
        grids = radius[:, None] * np.linspace(0, 1, NODES)

        def work(filters):
            for k in filters:
                for b, grid in enumerate(grids):
                    table_kernels.mixture_means(weights[k], variance[b], means, grid, ctx.totals[b, k], ctx.moments[b, k])

        _share(work, len(weights))
        return torch.from_numpy(ctx.moments.astype(np.float32))

    @staticmethod
    def backward(ctx, gradient):
        weights, variance, means, radius = ctx.arrays
        gradient, weights_gradient = gradient.numpy().astype(float), np.zeros_like(weights)
        grids = radius[:, None] * np.linspace(0, 1, NODES)

        def work(filters):
            for k in filters:
                for b, grid in enumerate(grids):
                    table_kernels.mixture_means_adjoint(variance[b], means, grid, ctx.totals[b, k], ctx.moments[b, k],
                                                  gradient[b, k], weights_gradient[k])

        _share(work, len(weights))
        return torch.from_numpy(weights_gradient.astype(np.float32)), None, None, None


class Score(torch.autograd.Function):
    """sum_k conj(S_k) F phi_k(F^H S_k F x), image by image; differentiable in spectra S, tables and factor."""

    @staticmethod
    def forward(ctx, images, spectra, tables, radius, factor):
        ctx.arrays = tuple(array.detach().numpy() for array in (spectra, tables, radius, factor))
        spectra, tables, radius, factor = ctx.arrays
        ctx.spectra = torch.fft.fft2(images, norm="ortho").numpy()
        ctx.responses, ctx.activations = (np.empty((len(images), *spectra.shape), np.complex64) for _ in range(2))
        scores = np.zeros_like(ctx.spectra)

        def work(batch):
            for b in batch:
                for part in _pieces(spectra):
                    responses = _filter(spectra[part], ctx.spectra[b])
                    ctx.responses[b, part] = responses
                    table_kernels.shrink(_reals(responses), tables[b, part], radius[b], factor[b])
                    ctx.activations[b, part] = activations = _fft2(responses)
                    combine(spectra[part], activations, scores[b])

        _share(work, len(images))
        return torch.fft.ifft2(torch.from_numpy(scores), norm="ortho")

    @staticmethod
    def backward(ctx, gradient):
        spectra, tables, radius, factor = ctx.arrays
        residuals = torch.fft.fft2(gradient, norm="ortho").numpy()
        tables_gradient, factor_gradient = np.zeros(tables.shape), np.zeros(factor.shape)

        def work(batch):
            spectra_gradient = np.zeros_like(spectra)
            for b in batch:
                for part in _pieces(spectra):
                    gradients = _filter(spectra[part], residuals[b])
                    factor_gradient[b] += table_kernels.shrink_adjoint(
                        _reals(ctx.responses[b, part]), _reals(gradients), tables[b, part], radius[b], factor[b],
                        tables_gradient[b, part])
                    table_kernels.spectra_adjoint(ctx.spectra[b], _fft2(gradients), residuals[b], ctx.activations[b, part],
                                            spectra_gradient[part])
            return spectra_gradient

        spectra_gradient = sum(_share(work, len(residuals)))
        return (None, torch.from_numpy(spectra_gradient), torch.from_numpy(tables_gradient.astype(np.float32)), None,
                torch.from_numpy(factor_gradient.astype(np.float32)))


def _pieces(spectra):
    return [slice(k, k + PIECE) for k in range(0, len(spectra), PIECE)]


def _filter(spectra, image):
    """Responses to an image given by its spectrum."""
    products = np.empty_like(spectra)
    expand(spectra, image, products)
    return torch.fft.ifft2(torch.from_numpy(products), norm="ortho").numpy()


def _fft2(images):
    return torch.fft.fft2(torch.from_numpy(images), norm="ortho").numpy()


def _reals(images):
    return images.view(np.float32).reshape(len(images), -1)
