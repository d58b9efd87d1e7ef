"""The differentiable twin of the prior, in torch."""

from typing import Any

import numpy as np
import torch

from ..arrays.array_types import Shape
from ..prior import shearlets
from ..prior.pogmdm import PoGMDM
from . import mixtures
from .tabulated_score import NODES, PosteriorMeanTables, TabulatedScore

# The tables reach this far beyond the largest mean, in standard deviations of the components.
TWIN_TABLE_REACH = 12
LEARNED = ("lowpass", "directional", "gains", "weights")


class Twin(torch.nn.Module):
    """`PoGMDM` with learnable parameters: lowpass h, directional P, gains and weights."""

    # `shearlets` computes with tensors as with arrays, but its annotations name arrays only.
    lowpass: Any
    directional: Any
    gains: torch.nn.Parameter
    weights: torch.nn.Parameter
    means: torch.Tensor

    def __init__(self, prior: PoGMDM, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        super().__init__()
        for name in LEARNED:
            value = torch.tensor(np.array(getattr(prior, name)), dtype=dtype, device=device)
            self.register_parameter(name, torch.nn.Parameter(value))
        self.register_buffer("means", torch.tensor(np.array(prior.means), dtype=torch.float64, device=device))
        self.base_std, self.rules = prior.base_std, prior.rules

    def prior(self, name: str = "unnamed") -> PoGMDM:
        """Return the prior with the present parameters.

        An average of directional filters P may have a smaller absolute sum than 1, so P is divided by it.  That does
        not change the normalised filters.
        """
        lowpass, directional, gains, weights = (getattr(self, key).detach().cpu().double().numpy()
                                                for key in LEARNED)
        directional = directional / np.abs(directional).sum()
        return PoGMDM(lowpass, directional, gains, weights, self.means.cpu().numpy(), self.base_std, name=name,
                      rules=self.rules)

    def spectra(self, filters: Any, shape: Shape) -> Any:
        """Return the normalised frequency responses S_k of the filters for images at least as large as the filters."""
        ny, nx = shape
        half = shearlets.HALF
        padded = torch.nn.functional.pad(filters, (0, nx - filters.shape[2], 0, ny - filters.shape[1]))
        spectra: Any = torch.fft.fft2(torch.roll(padded, (-half, -half), (1, 2)))
        return spectra * shearlets.frame_weight(spectra, shearlets.overlap(filters), self.rules.ridge)

    def variance(self, sigmas: torch.Tensor) -> torch.Tensor:
        """Return std(sigma)^2 of the components, (B,)."""
        return self.base_std**2 + (self.rules.noise_gain * sigmas) ** 2

    def exponent(self, spectra: Any, sigmas: torch.Tensor) -> torch.Tensor:
        """Return the exponent of the experts at each noise level, (B,), from spectra on GRID, as `PoGMDM.exponent`."""
        curvature = mixtures.peak_curvature(self.weights, self.means, self.variance(sigmas)) * self.gains**2
        power: Any = shearlets.power(spectra).reshape(len(spectra), -1)
        return mixtures.exponent(curvature, power, sigmas, self.rules.exponent).to(self.weights.dtype)

    def score(self, images: torch.Tensor, sigmas: torch.Tensor, *, dense: bool = False) -> torch.Tensor:
        """Return grad log p_sigma of complex images (B, ny, nx), each at its own noise level, as `PoGMDM.score`.

        The activations are interpolated in a table of NODES nodes; with dense=True the mixture is evaluated at each
        response, which is slow.
        """
        filters = shearlets.filter_bank(self.lowpass, self.directional)
        shape, variance = tuple(images.shape[1:]), self.variance(sigmas)
        spectra_at = {size: self.spectra(filters, size) for size in {shape, shearlets.GRID}}
        factor = self.exponent(spectra_at[shearlets.GRID], sigmas) / variance
        spectra = self.gains[:, None, None] * spectra_at[shape]
        radius = self.means[-1] + TWIN_TABLE_REACH * variance.double().sqrt()
        if images.device.type == "cpu" and images.dtype == torch.complex64 and not dense:
            tables = PosteriorMeanTables.apply(self.weights, variance.double(), self.means, radius)
            return TabulatedScore.apply(images, spectra, tables, radius.float(), factor)
        values = mixtures.responses(torch.fft.fft2(images), spectra)
        if dense:
            means = mixtures.posterior_means(values, self.weights, self.means, variance)
        else:
            nodes = torch.linspace(0, 1, NODES, device=radius.device) * radius[:, None]
            tables = mixtures.posterior_means(nodes[:, None].to(values.dtype).expand(-1, len(spectra), -1),
                                              self.weights, self.means, variance)
            means = mixtures.interpolate(values, tables, radius.to(values.dtype))
        return torch.fft.ifft2(mixtures.pull_back((means - values) * factor[:, None, None], spectra))
