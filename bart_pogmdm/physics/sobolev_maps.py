"""Coil sensitivities: smooth maps on a padded field of view, estimated from the low frequencies.

A map is a short Fourier series whose coefficients carry the Sobolev weight of nonlinear inversion
(M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691).  Smooth maps are known from the
centre of k-space, so everything here works on a small grid; only the finished maps have full size.
"""

from dataclasses import dataclass

import numpy as np

from ..arrays.modules import array_module, kernels_for, real_dtype
from ..arrays.threads import share

SOBOLEV_A = 0.02   # weight (1 + a |k|^2)^-b as in nlinv, but with k in cycles per field of view (nlinv: per sample),
SOBOLEV_B = 6      # so that smoothness does not depend on the matrix; less than half of nlinv's exponent
PADDING = 1.25     # the maps are periodic on a field of view larger by this factor: they need not wrap
CUTOFF = 1e-4      # modes of less weight are left out


def field_size(shape):
    """Samples per field of view: one number for both axes, because pixels are about square."""
    return float(np.prod(shape)) ** 0.5


def bandwidth(shape):
    """Frequency at which the Sobolev weight falls to CUTOFF, in cycles per sample."""
    return ((CUTOFF ** (-1 / SOBOLEV_B) - 1) / SOBOLEV_A) ** 0.5 / field_size(shape)


@dataclass(frozen=True, eq=False)
class SobolevMaps:
    """c_j = E W chat_j: maps (J, ny, nx) of coefficients (J, my, mx), which are penalised by ||chat||^2.

    E: plane waves (rows) x (columns), orthonormal on the padded field of view; W = (1 + a |k|^2)^-b.
    """

    rows: np.ndarray
    columns: np.ndarray
    weight: np.ndarray

    @classmethod
    def on_grid(cls, grid, shape, dtype, xp=np):
        """The maps of an image of `shape`, sampled at `grid` points."""
        waves, frequencies = [], []
        for points, n in zip(grid, shape):
            last = int(bandwidth(shape) * PADDING * n)
            frequency = np.arange(-last, last + 1) / (PADDING * n)
            position = (np.arange(points) - points // 2) * (n / points)
            waves.append(xp.asarray(np.exp(2j * np.pi * np.outer(position, frequency)), dtype))
            frequencies.append(frequency * field_size(shape))
        weight = (1 + SOBOLEV_A * (frequencies[0][:, None]**2 + frequencies[1]**2)) ** -SOBOLEV_B
        weight[weight < CUTOFF] = 0
        norm = PADDING * field_size(shape)
        return cls(*waves, xp.asarray(weight / norm, real_dtype(dtype)))

    def forward(self, coefficients):
        """Maps of coefficients."""
        return _multiply(self.rows, _transpose(_multiply(self.columns, _transpose(self.weight * coefficients))))

    def adjoint(self, maps):
        """Adjoint of `forward`."""
        partial = _transpose(_multiply(self.rows.conj().T, maps))
        return self.weight * _transpose(_multiply(self.columns.conj().T, partial))


def _transpose(stack):
    return stack.swapaxes(-1, -2)


def _multiply(matrix, stack):
    """matrix @ stack_j for all j, of one or two axes."""
    xp, leading = array_module(stack), stack.shape[:-2]
    matrix, stack = xp.ascontiguousarray(matrix), xp.ascontiguousarray(stack).reshape(-1, *stack.shape[-2:])
    out = xp.empty((len(stack), len(matrix), stack.shape[2]), stack.dtype)

    def work(pieces):
        for part in pieces:
            kernels_for(stack).multiply(matrix, stack[part], out[part])

    share(work, len(stack), out[0])
    return out.reshape(*leading, *out.shape[1:])
