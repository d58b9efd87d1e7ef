"""Two sets of sensitivities, for an object that folds over, by ESPIRiT: from the correlations of k-space at its centre.

M. Uecker et al., Magn. Reson. Med. 71, 2014, doi 10.1002/mrm.24751.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.modules import array_module
from .fourier import fft2c, field_size, ifft2c, resize
from .sensitivities import SensitivityModel
from .sobolev_maps import SobolevMaps, SobolevRules


@dataclass(frozen=True)
class EspiritRules:
    """How two sets of sensitivities are found."""

    block: int = 24
    """Size of the calibration block, the centre of k-space, in samples."""

    kernel: int = 6
    """Size of the windows whose correlations tell the sensitivities, in samples."""

    subspace: float = 0.03
    """Singular values of the windows below this part of the largest one count as noise."""

    pixels: int = 48
    """Pixels of the maps per field of view."""

    certain: float = 0.8
    """Eigenvalue at which a set begins to count: 1 says that the windows hold it, others of real scans reach 0.75."""

    penalty: float = 1e-4
    """Penalty on the coefficients of the smooth maps that are fitted to those of unit norm."""

    fit_cg: int = 30
    """Conjugate gradient steps of that fit."""

    fill_cg: int = 5
    """Conjugate gradient steps to the coil images that fit the samples; on a grid the first one is exact."""

    def __post_init__(self) -> None:
        check_fields(self, {"block": 4, "kernel": 2, "pixels": 4, "fit_cg": 1, "fill_cg": 1},
                     ["subspace", "certain", "penalty"])


def two_sets(model: SensitivityModel, image: Array, coefficients: Array, noise_std: float, rules: EspiritRules,
             smooth: SobolevRules) -> Array:
    """Return coefficients (J, 2, my, mx) of two sets, from an image with the coefficients (J, my, mx) of one set.

    The calibration block consists of samples, and of what the image predicts where there are none.
    """
    xp, shape = array_module(image), model.maps.shape
    block = _block(model.coil_images(image, coefficients, rules.fill_cg), rules.block)
    grid = tuple(max(2 * rules.kernel, round(rules.pixels * n / field_size(shape))) for n in shape)
    eigenvalues, maps = espirit(block, noise_std, grid, rules)
    strongest = xp.linalg.eigh(xp.tensordot(block, block.conj(), ((1, 2), (1, 2))))[1][:, -1]
    turn = xp.tensordot(strongest, maps[:, :2].conj(), (0, 0))  # eigenvectors have no phase of their own
    certain = ((eigenvalues[:2] - rules.certain) / (1 - rules.certain)).clip(0, 1)
    maps = (certain**0.5 * xp.exp(1j * xp.angle(turn)) * maps[:, :2]).astype(image.dtype)
    smooth_maps = SobolevMaps.on_grid(grid, shape, image.dtype, smooth, xp)
    return conjugate_gradients(lambda part: smooth_maps.adjoint(smooth_maps.forward(part)) + rules.penalty * part,
                               smooth_maps.adjoint(maps), iterations=rules.fit_cg)


def _block(images: Array, size: int) -> Array:
    """Return the centre of k-space of coil images, at most `size` samples along each axis."""
    return resize(fft2c(images), tuple(min(size, n) for n in images.shape[-2:]))


def espirit(block: Array, noise_std: float, grid: Shape, rules: EspiritRules) -> tuple[Array, Array]:
    """Return eigenvalues (J, ny, nx), largest first, and maps (J, set, ny, nx) of norm 1, at the points of a grid.

    block: k-space (J, by, bx) without gaps, with white noise.  The maps at a pixel q are the eigenvectors c of the
    projection of c_j exp(-i d q), d in a window, onto the span of all windows of the block.  The eigenvalue is 1 where
    the windows hold c.
    """
    xp, coils, size = array_module(block), len(block), rules.kernel
    windows = xp.lib.stride_tricks.sliding_window_view(block, (size, size), (1, 2))
    windows = windows.transpose(0, 3, 4, 1, 2).reshape(coils * size**2, -1)
    directions, values, _ = xp.linalg.svd(windows, full_matrices=False)
    noise = 2**0.5 * noise_std * (windows.shape[0] ** 0.5 + windows.shape[1] ** 0.5)  # its largest singular value
    basis = directions[:, values > max(rules.subspace * float(values[0]), noise)]
    projection = (basis @ basis.conj().T).reshape(coils, size, size, coils, size, size)
    by_shift = xp.zeros((coils, coils, 2 * size, 2 * size), block.dtype)
    for (y, x), (v, u) in product(np.ndindex(size, size), repeat=2):
        by_shift[:, :, size + y - v, size + x - u] += projection[:, y, x, :, v, u]
    operator = ifft2c(resize(by_shift, grid)) * (np.prod(grid) ** 0.5 / size**2)
    eigenvalues, maps = xp.linalg.eigh(operator.transpose(2, 3, 0, 1))
    return eigenvalues[..., ::-1].transpose(2, 0, 1), maps[..., ::-1].transpose(2, 3, 0, 1)
