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
from .fourier import fft2c, field_size, ifft2c, interpolate, resize
from .sensitivities import SensitivityModel
from .sobolev_maps import SobolevMaps, SobolevRules


@dataclass(frozen=True)
class EspiritRules:
    """How two sets of sensitivities are found."""

    block: int = 24
    """Size of the calibration block, the centre of k-space, in samples."""

    kernel: int = 6
    """Size of the windows whose correlations tell the sensitivities, in samples."""

    coils: int = 8
    """Virtual coils that the maps are computed for, those of most energy: more would only take more time."""

    subspace: float = 0.03
    """Singular values of the windows below this part of the largest one count as noise."""

    pixels: int = 48
    """Pixels of the maps per field of view."""

    certain: float = 0.8
    """Eigenvalue at which a set begins to count: 1 says that the windows hold it, others of real scans reach 0.75."""

    trace: float = 2e-5
    """Part of the energy of the coil images that only a second set explains, from which on it is tried: objects that
    end before the border of the field of view have less."""

    steps: int = 12
    """Steps to the maximum with one set and with two before a look at the held-out samples: fewer do not show how good
    two will be."""

    looks: int = 3
    """Looks at most: the trial goes on as long as two sets are nearer to the held-out samples, but within chance."""

    penalty: float = 1e-4
    """Penalty on the coefficients of the smooth maps that are fitted to those of unit norm."""

    fit_cg: int = 30
    """Conjugate gradient steps of that fit."""

    fill_cg: int = 5
    """Conjugate gradient steps to the coil images that fit the samples; on a grid the first one is exact."""

    def __post_init__(self) -> None:
        check_fields(self, block=4, kernel=2, pixels=4)


@dataclass(frozen=True, eq=False)
class TwoSets:
    """Maps (J, 2, gy, gx) of two sets for images (ny, nx) of `shape`, and how much of the object is in the second.

    The norm of the maps is 1 where their eigenvalue is 1, and 0 where it does not count.
    second: the part of the energy of the coil images that only the second set explains.
    """

    maps: Array
    second: float
    shape: Shape

    @classmethod
    def of(cls, model: SensitivityModel, predicted: Array, sens: Array, noise_std: float,
           rules: EspiritRules) -> TwoSets:
        """Find two sets in the samples and, where there are none, in predicted coil images (J, gy, gx).

        sens: the sensitivities (J, ny, nx) of one set, whose phase the first set takes.
        """
        xp, shape = array_module(predicted), model.maps.shape
        kspace = fft2c(model.coil_images(predicted, rules.fill_cg))
        grid = tuple(max(2 * rules.kernel, round(rules.pixels * n / field_size(shape))) for n in shape)
        virtual, certain, maps, second = _two_sets(kspace, grid, noise_std, rules)
        # Eigenvectors have no phase of their own.  The second set, which is orthogonal to the first, takes that of the
        # first coil.
        likeness = (xp.einsum("jv,jyx->vyx", virtual, interpolate(sens, grid).conj()) * maps[0]).sum(0)
        turn = xp.exp(-1j * xp.angle(xp.stack([likeness, maps[1, 0]])))[:, None]
        maps = xp.einsum("jv,mvyx->jmyx", virtual, certain[:, None] ** 0.5 * turn * maps).astype(predicted.dtype)
        return cls(maps, second, shape)

    def fitted(self, rules: EspiritRules, smooth: SobolevRules) -> Array:
        """Return the coefficients (J, 2, my, mx) of smooth maps that fit these."""
        maps = SobolevMaps.on_grid(self.maps.shape[-2:], self.shape, self.maps.dtype, smooth, array_module(self.maps))
        return conjugate_gradients(lambda part: maps.adjoint(maps.forward(part)) + rules.penalty * part,
                                   maps.adjoint(self.maps), iterations=rules.fit_cg)


def second_part(kspace: Array, noise_std: float, rules: EspiritRules) -> float:
    """Return the part of the energy of k-space (J, ny, nx) without gaps that only a second set of maps explains."""
    return _two_sets(kspace, (rules.pixels, rules.pixels), noise_std, rules)[3]


def _two_sets(kspace: Array, grid: Shape, noise_std: float, rules: EspiritRules) -> tuple[Array, Array, Array, float]:
    """Return virtual coils (J, V), and of two sets what k-space (J, ny, nx) without gaps tells.

    These are how certain each is, (2, gy, gx), from 0 to 1, their maps (2, V, gy, gx) of norm 1, and the part of the
    energy that only the second explains.
    """
    xp = array_module(kspace)
    block = resize(kspace, tuple(min(rules.block, n) for n in kspace.shape[-2:]))
    covariance = xp.einsum("jyx,iyx->ji", block, block.conj())  # not by BLAS, whose rounding depends on its threads
    virtual = xp.linalg.eigh(covariance)[1][:, ::-1][:, :rules.coils]
    block = xp.einsum("jv,jyx->vyx", virtual.conj(), block)
    eigenvalues, maps = (array[:2] for array in espirit(block, noise_std, grid, rules))
    certain = ((eigenvalues - rules.certain) / (1 - rules.certain)).clip(0, 1)
    coil_images = ifft2c(resize(block, grid))
    energy = certain[1] * xp.abs((maps[1].conj() * coil_images).sum(0)) ** 2
    return virtual, certain, maps, float(energy.sum() / (xp.abs(coil_images) ** 2).sum())


def espirit(block: Array, noise_std: float, grid: Shape, rules: EspiritRules) -> tuple[Array, Array]:
    """Return eigenvalues (M, ny, nx), largest first, and maps (M, J, ny, nx) of norm 1, M = J, at points of a grid.

    block: k-space (J, by, bx) without gaps, with white noise.  The maps at a pixel q are the eigenvectors c of the
    projection of c_j exp(-i d q), d in a window, onto the span of all windows of the block.  The eigenvalue is 1 where
    the windows hold c.
    """
    xp, coils = array_module(block), len(block)
    size = min(rules.kernel, *((n + 1) // 2 for n in block.shape[1:]))
    rows, columns = (n - size + 1 for n in block.shape[1:])
    windows = xp.stack([block[:, y:y + rows, x:x + columns] for y, x in np.ndindex(size, size)], 1)
    windows = windows.reshape(coils * size**2, -1)
    values, directions = xp.linalg.eigh(windows @ windows.conj().T)
    noise = 2**0.5 * noise_std * (windows.shape[0] ** 0.5 + windows.shape[1] ** 0.5)  # its largest singular value
    basis = directions[:, values > max(rules.subspace**2 * float(values[-1]), noise**2)]
    projection = (basis @ basis.conj().T).reshape(coils, size, size, coils, size, size)
    by_shift = xp.zeros((coils, coils, 2 * size, 2 * size), block.dtype)
    for (y, x), (v, u) in product(np.ndindex(size, size), repeat=2):
        by_shift[:, :, size + y - v, size + x - u] += projection[:, y, x, :, v, u]
    operator = ifft2c(resize(by_shift, grid)) * (np.prod(grid) ** 0.5 / size**2)
    eigenvalues, maps = xp.linalg.eigh(operator.transpose(2, 3, 0, 1))
    return eigenvalues[..., ::-1].transpose(2, 0, 1), maps[..., ::-1].transpose(3, 2, 0, 1)
