"""The prior as a denoiser in TorchScript, for `bart sample --external-graph` of BART 1.0."""

import io
import warnings
from pathlib import Path

import numpy as np
import torch

from ..arrays.array_types import Shape
from ..files.atomic import write_bytes
from ..prior import shearlets
from ..prior.experts import TABLE_NODES, TABLE_REACH
from ..prior.pogmdm import PoGMDM
from . import mixtures


class Denoiser(torch.nn.Module):
    """D(images, sigmas): the posterior means of images in noise, as `PoGMDM.denoise`, for one image size.

    BART's arrays have their axes reversed in torch: images (B, PHS1, READ), complex64.  In BART the noise n of an image
    has E |n|^2 = sigma^2, so that it is sigma / 2^(1/2) in the real and in the imaginary part; sigmas (B,) are complex.
    """

    spectra: torch.Tensor
    power: torch.Tensor
    weights: torch.Tensor
    means: torch.Tensor
    nodes: torch.Tensor

    def __init__(self, prior: PoGMDM, size: Shape) -> None:
        super().__init__()
        power = shearlets.power(prior.spectra(shearlets.GRID)).reshape(len(prior.gains), -1)
        buffers = {"spectra": prior.spectra(size).swapaxes(1, 2).astype(np.complex64), "power": power,
                   "weights": prior.weights, "means": prior.means, "nodes": np.linspace(0, 1, TABLE_NODES // 2 + 1)}
        for name, value in buffers.items():
            self.register_buffer(name, torch.tensor(value))
        self.base_variance, self.noise_gain = prior.base_std**2, prior.rules.noise_gain
        self.largest_exponent, self.reach = prior.rules.exponent, TABLE_REACH

    def forward(self, images: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
        """Return the posterior means.  Raises ValueError for images of another size or type."""
        if images.dim() != 3 or images.shape[1:] != self.spectra.shape[1:] or not images.is_complex():
            raise ValueError(f"this denoiser is for complex images (batch, {self.spectra.shape[1]},"
                             f" {self.spectra.shape[2]}), got {list(images.shape)}; bart-pogmdm export --size sets the"
                             " size")
        # Images of one noise level share a table.
        levels, places = torch.unique(torch.real(sigmas).detach().double() / 2**0.5, return_inverse=True)
        variance = self.base_variance + (self.noise_gain * levels) ** 2
        radius = self.means[-1] + self.reach * variance.sqrt()
        nodes = (radius[:, None, None] * self.nodes).expand(-1, len(self.weights), -1)
        tables = mixtures.posterior_means(nodes, self.weights, self.means, variance).float()
        curvature = mixtures.peak_curvature(self.weights, self.means, variance)
        exponent = mixtures.exponent(curvature, self.power, levels, self.largest_exponent)
        factor = (levels**2 * exponent / variance).float()[places, None, None]
        tables, radius = tables[places], radius.float()[places]
        spectra = torch.fft.fft2(images)
        changes = torch.zeros_like(spectra)
        for k in range(len(self.weights)):  # One after another, because all responses together leave the cache.
            filters = self.spectra[k:k + 1]
            values = mixtures.responses(spectra, filters)
            means = mixtures.interpolate(values, tables[:, k:k + 1], radius)
            changes = changes + mixtures.pull_back((means - values) * factor, filters)
        return (images + torch.fft.ifft2(changes)).contiguous()  # BART copies the memory as it lies.


def export_denoiser(prior: PoGMDM, size: Shape, path: str | Path) -> None:
    """Write the `Denoiser` of a prior and an image size (READ, PHS1) as TorchScript, whole or not at all."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # BART reads TorchScript, which torch will replace one day.
        torch.jit.save(torch.jit.script(Denoiser(prior, size)), content)
    write_bytes(path, content.getvalue())
