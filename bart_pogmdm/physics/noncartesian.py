"""A slice, or a volume, that was measured along trajectories."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module
from ..arrays.rounding import is_acquired
from .coil_compression import combined
from .fourier import power_of_coils
from .nufft import Nufft, within

MARGIN = 0.5  # cycles per field of view by which samples may lie outside the grid, because gradient delays shift them


def image_size(points: Array) -> Shape:
    """Return the grid that holds points (…, D, M): 2 ceil(max |k|) along each axis, as in BART."""
    return tuple(2 * math.ceil(float(abs(points[..., axis, :]).max())) for axis in range(points.shape[-2]))


@dataclass(frozen=True, eq=False)
class NonCartesianScan:
    """A slice or volume (see `sampling.Scan`): samples (J, M) at points (D, M) in cycles per field of view.

    shape: the grid of the image, of D dimensions; readouts: the number of the readout that each sample belongs to,
    (M,), if known.  weights: of the samples, (M,); None for 1.
    """

    samples: Array
    points: Array
    shape: Shape
    readouts: Array | None = None
    weights: Array | None = None

    same_for_coils = True

    @property
    def coils(self) -> int:
        """Number of coils."""
        return len(self.samples)

    def acquired_on_grid(self) -> NonCartesianScan:
        """Return the samples without those off the grid, of weight zero, or zero in all coils; ValueError for none."""
        which = is_acquired(self.samples, 1) & on_grid(self.points, self.shape)
        scan = self.part(which if self.weights is None else which & (self.weights != 0))
        if not scan.samples.size:
            raise ValueError(f"dims: no sample lies on a grid of {' x '.join(map(str, self.shape))}")
        return scan

    def part(self, which: Array) -> NonCartesianScan:
        """Return some of the samples, by indices or booleans (M,)."""
        return replace(self, samples=self.samples[:, which], points=self.points[:, which],
                       readouts=None if self.readouts is None else self.readouts[which],
                       weights=None if self.weights is None else self.weights[which])

    def acquired(self) -> tuple[Array, Array]:
        """Return the samples (J, M), times their weights, and their distance (M,) from zero, in cycles per pixel."""
        sampling, samples = self.sampled()
        return samples, sampling.radius(self.shape)

    def power(self) -> tuple[Array, Array]:
        """Return the mean power of the samples nearest to each grid point, and where there are some, both (*grid)."""
        xp, scan = array_module(self.samples), self.acquired_on_grid()
        cells = xp.zeros(scan.points.shape[1], int)
        for points, n in zip(scan.points, self.shape):
            cells = n * cells + (xp.rint(points).astype(int) + n // 2) % n
        total, count = (xp.bincount(cells, weights, math.prod(self.shape)).reshape(self.shape)
                        for weights in (power_of_coils(scan.samples), None))
        return total / xp.maximum(count, 1), count > 0

    def of_weight(self, least: float) -> NonCartesianScan:
        """Return the samples whose weight is at least a part of the largest, all with the same weight."""
        if self.weights is None:
            return self
        return replace(self.part(self.weights >= least * self.weights.max()), weights=None)

    def combined(self, matrix: Array) -> NonCartesianScan:
        """Return the scan of combinations (I, J) of the coils."""
        return replace(self, samples=combined(matrix, self.samples))

    def divided(self, levels: Array) -> NonCartesianScan:
        """Return the scan with its coils divided by numbers (J,)."""
        levels = array_module(self.samples).asarray(levels[:, None], self.samples.real.dtype)
        return replace(self, samples=self.samples / levels)

    def moved(self, centre: Shape) -> NonCartesianScan:
        """Return the scan with the frequency `centre`, in whole samples, in the place of zero frequency.

        What comes to lie off the grid is left out.
        """
        points = self.points - array_module(self.points).asarray(centre)[:, None]
        return replace(self, points=points).part(on_grid(points, self.shape))

    def low(self, grid: Shape, cut: Shape) -> NonCartesianScan:
        """Return the frequencies within a window of size `cut` about zero, on a smaller grid."""
        part = self.part(within(self.points, cut))
        if not part.samples.size:
            raise ValueError(f"traj: expected samples at low frequencies, for the sensitivities, got none below"
                             f" {min(cut) / 2:g} cycles per field of view")
        return replace(part, shape=grid)

    def sampled(self, on_lines: bool = False) -> tuple[Nufft, Array]:
        """Return the sampling, and the samples in the form that it gives them, times their weights."""
        sampling = Nufft(self.points, self.shape, self.samples.dtype.type, mask=self.weights)
        return sampling, self.samples if self.weights is None else self.weights * self.samples


def on_grid(points: Array, shape: Shape) -> Array:
    """Return which points (…, D, M) lie on a grid of a shape, or hardly outside, (…, M)."""
    return within(points, [n + 2 * MARGIN for n in shape])
