"""Smooth maps as short Fourier series on a padded field of view, with the Sobolev weight of nonlinear inversion.

M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import index_of
from ..arrays.checks import check_fields
from ..arrays.matrix_product import multiplied
from ..arrays.modules import array_module, real_dtype
from ..arrays.threads import pieces
from .fourier import axes_of, field_size


def fields(shape: Shape) -> tuple[float, ...]:
    """Return the samples per field of view along each axis, in which the smoothness of maps is counted.

    The voxels of a volume are often longer along one axis.  Its field of view is therefore the geometric mean of two
    guesses: that voxels are cubes, and that the fields of view are the same along all axes.
    """
    field = field_size(shape)
    return (field, field) if len(shape) == 2 else tuple((n * field) ** 0.5 for n in shape)


@dataclass(frozen=True)
class SobolevRules:
    """How smooth sensitivities are, and which samples they are fitted to."""

    a: float = 0.02
    """Factor of k^2 in the weight (1 + a k^2)^-b, k in cycles per field of view, so that it suits any matrix size."""

    b: float = 6.0
    """Exponent of the weight: less than half of nlinv's, because samples that maps cannot explain get less weight."""

    steeper: float = 0.5
    """First steps take the weight to the power 1 + `steeper`: while the image is not known, smoother maps take up less
    of its aliasing.  It holds for the start, but for its last steps, and falls evenly to 0 in the coarse steps."""

    padding: float = 1.25
    """The maps are periodic on a field of view larger by this factor, because real coils do not wrap at the border."""

    cutoff: float = 1e-4
    """Fourier modes of less weight are left out, because they would change the maps by less than single precision."""

    box: float = 0.25
    """Samples up to this frequency, in cycles per sample, are used: smooth maps show in the centre of k-space."""

    box_cycles: float = 48.0
    """The same in cycles per field of view; the lower of the two limits holds, so large images cost no more."""

    def __post_init__(self) -> None:
        check_fields(self, ["cutoff"], steeper=0)

    def bandwidth(self, shape: Shape) -> tuple[float, ...]:
        """Return the frequency along each axis at which the weight falls to the cutoff, at most that of the grid.

        It is in cycles per sample.
        """
        highest = ((self.cutoff ** (-1 / self.b) - 1) / self.a) ** 0.5
        return tuple(min(highest / field, 0.5) for field in fields(shape))


@dataclass(frozen=True, eq=False)
class MapsByCoil:
    """Maps (J, …, *grid) that are made when they are asked for: those of all coils are as large as full k-space.

    wave: the waves (ny, m) along the last axis but one; rows: (J, …, m, nx), the maps along all other axes.
    """

    wave: Array
    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dtype(self) -> np.dtype:
        """Precision of the maps."""
        return self.rows.dtype

    @property
    def shape(self) -> Shape:
        """Shape of the maps."""
        return (*self.rows.shape[:-2], len(self.wave), self.rows.shape[-1])

    def __getitem__(self, coils: slice) -> Array:
        return multiplied(self.wave, self.rows[coils], -2)

    def every(self, stride: int, axes: int) -> Array:
        """Return every second, third, … pixel along each of the last `axes` axes."""
        pixels = slice(None, None, stride)
        others = index_of((*(pixels,) * (axes - 2), slice(None), pixels))
        return replace(self, wave=self.wave[pixels], rows=self.rows[others])[:]


@dataclass(frozen=True, eq=False)
class SobolevMaps:
    """c_j = E W chat_j: maps (J, …, *grid) of coefficients (J, …, *modes), which are penalised by ||chat||^2.

    E: products of waves (n, m) along each axis, cosines and sines, orthonormal on the padded field of view;
    W = (1 + a k^2)^-b.
    """

    waves: tuple[Array, ...]
    weight: Array

    @classmethod
    def on_grid(cls, grid: Shape, shape: Shape, dtype: np.dtype, rules: SobolevRules, xp: ArrayModule = np,
                border: Shape | None = None) -> SobolevMaps:
        """The maps of an image of `shape`, evaluated at `grid` points, and at some beyond either border."""
        waves, frequencies = [], []
        sizes = zip(grid, shape, border or (0,) * len(grid), fields(shape), rules.bandwidth(shape))
        for points, n, beyond, field, bandwidth in sizes:
            last = int(bandwidth * rules.padding * n)
            frequency = np.arange(-last, last + 1) / (rules.padding * n)
            position = (np.arange(-beyond, points + beyond) - points // 2) * (n / points)
            # Real waves take half the work of complex ones: a sine for each frequency below 0, a cosine above.
            phase = 2 * np.pi * np.outer(position, frequency)
            wave = np.where(frequency < 0, np.sin(phase), np.cos(phase)) * np.where(frequency == 0, 1, 2**0.5)
            waves.append(xp.asarray(wave, real_dtype(dtype)))
            frequencies.append(frequency * field)
        square = reduce(np.add, np.meshgrid(*(f**2 for f in frequencies), indexing="ij", sparse=True))
        weight = (1 + rules.a * square) ** -rules.b
        weight[weight < rules.cutoff] = 0
        norm = float(np.prod([rules.padding * n for n in shape])) ** 0.5
        return cls(tuple(waves), xp.asarray(weight / norm, real_dtype(dtype)))

    @property
    def shape(self) -> Shape:
        """Grid of the maps."""
        return tuple(map(len, self.waves))

    def factor(self, power: float) -> Array:
        """Return W^power, with W = 1 at zero frequency, by which the weight of smoother maps differs."""
        relative = self.weight / self.weight.max()
        return array_module(relative).where(relative > 0, relative, 1) ** power

    def forward(self, coefficients: Array) -> Array:
        """E W chat: the maps of coefficients."""
        return self._unfinished(coefficients)[:]

    def by_coil(self, coefficients: Array) -> Array | MapsByCoil:
        """E W chat: the maps of coefficients, in a volume one coil after the other."""
        return self.forward(coefficients) if len(self.shape) == 2 else self._unfinished(coefficients)

    def _unfinished(self, coefficients: Array) -> MapsByCoil:
        rows = self.weight * coefficients
        for axis in axes_of(self.shape):
            rows = rows if axis == -2 else multiplied(self.waves[axis], rows, axis)
        return MapsByCoil(self.waves[-2], array_module(rows).ascontiguousarray(rows))

    def in_parts(self, coefficients: Array) -> Iterator[tuple[slice, Array]]:
        """Yield rows of the first axis of the grid, and the maps there: all of a plane, and a few of a volume."""
        rows, last = self.shape[0], coefficients.shape[:-len(self.shape)]
        like = array_module(coefficients).broadcast_to(coefficients.ravel()[0], (*last, *self.shape[1:]))
        for part in pieces(rows, like) if len(self.shape) > 2 else [slice(0, rows)]:
            yield part, replace(self, waves=(self.waves[0][part], *self.waves[1:])).forward(coefficients)

    def adjoint(self, maps: Array) -> Array:
        """W E^H c: the adjoint of `forward`."""
        for axis in axes_of(self.shape):
            maps = multiplied(self.waves[axis].T, maps, axis)
        return self.weight * maps
