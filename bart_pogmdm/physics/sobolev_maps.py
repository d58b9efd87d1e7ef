"""Smooth maps as short Fourier series on a padded field of view, with the Sobolev weight of nonlinear inversion.

M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.checks import check_fields
from ..arrays.modules import array_module, kernels_for, real_dtype
from ..arrays.threads import share
from .fourier import field_size


@dataclass(frozen=True)
class SobolevRules:
    """How smooth sensitivities are, and which samples they are fitted to."""

    a: float = 0.02
    """Factor of k^2 in the weight (1 + a k^2)^-b, k in cycles per field of view, so that it suits any matrix size."""

    b: float = 6.0
    """Exponent of the weight: less than half of nlinv's, because samples that maps cannot explain get less weight."""

    padding: float = 1.25
    """The maps are periodic on a field of view larger by this factor, because real coils do not wrap at the border."""

    cutoff: float = 1e-4
    """Fourier modes of less weight are left out, because they would change the maps by less than single precision."""

    box: float = 0.25
    """Samples up to this frequency, in cycles per sample, are used: smooth maps show in the centre of k-space."""

    box_cycles: float = 48.0
    """The same in cycles per field of view; the lower of the two limits holds, so large images cost no more."""

    def __post_init__(self) -> None:
        check_fields(self, {}, ["a", "b", "padding", "cutoff", "box", "box_cycles"])

    def bandwidth(self, shape: Shape) -> float:
        """Return the frequency at which the weight falls to the cutoff, in cycles per sample."""
        return ((self.cutoff ** (-1 / self.b) - 1) / self.a) ** 0.5 / field_size(shape)


@dataclass(frozen=True, eq=False)
class SobolevMaps:
    """c_j = E W chat_j: maps (J, ny, nx) of coefficients (J, my, mx), which are penalised by ||chat||^2.

    E: plane waves (rows) x (columns), orthonormal on the padded field of view; W = (1 + a k^2)^-b.
    """

    rows: Array
    columns: Array
    weight: Array

    @classmethod
    def on_grid(cls, grid: Shape, shape: Shape, dtype: np.dtype, rules: SobolevRules,
                xp: ArrayModule = np) -> SobolevMaps:
        """The maps of an image of `shape`, evaluated at `grid` points."""
        waves, frequencies = [], []
        for points, n in zip(grid, shape):
            last = int(rules.bandwidth(shape) * rules.padding * n)
            frequency = np.arange(-last, last + 1) / (rules.padding * n)
            position = (np.arange(points) - points // 2) * (n / points)
            waves.append(xp.asarray(np.exp(2j * np.pi * np.outer(position, frequency)), dtype))
            frequencies.append(frequency * field_size(shape))
        weight = (1 + rules.a * (frequencies[0][:, None]**2 + frequencies[1]**2)) ** -rules.b
        weight[weight < rules.cutoff] = 0
        norm = rules.padding * field_size(shape)
        return cls(waves[0], waves[1], xp.asarray(weight / norm, real_dtype(dtype)))

    @property
    def shape(self) -> Shape:
        """(ny, nx) of the maps."""
        return len(self.rows), len(self.columns)

    def forward(self, coefficients: Array) -> Array:
        """E W chat: the maps of coefficients."""
        return _multiply(self.rows, _transpose(_multiply(self.columns, _transpose(self.weight * coefficients))))

    def adjoint(self, maps: Array) -> Array:
        """W E^H c: the adjoint of `forward`."""
        partial = _transpose(_multiply(self.rows.conj().T, maps))
        return self.weight * _transpose(_multiply(self.columns.conj().T, partial))


def _transpose(stack: Array) -> Array:
    return stack.swapaxes(-1, -2)


def _multiply(matrix: Array, stack: Array) -> Array:
    """Return matrix @ stack_j for all j of one or two leading axes."""
    xp, leading = array_module(stack), stack.shape[:-2]
    matrix, stack = xp.ascontiguousarray(matrix), xp.ascontiguousarray(stack).reshape(-1, *stack.shape[-2:])
    out = xp.empty((len(stack), len(matrix), stack.shape[2]), stack.dtype)

    def work(pieces: list[slice]) -> None:
        for part in pieces:
            kernels_for(stack).multiply(matrix, stack[part], out[part])

    share(work, len(stack), out[0])
    return out.reshape(*leading, *out.shape[1:])
