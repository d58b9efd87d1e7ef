"""A slice, or a volume, that was measured on the Cartesian grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module, real_dtype
from ..arrays.threads import by_pieces
from .cartesian import CartesianSampling
from .coil_compression import combined
from .fourier import axes_of, distances, ifft2c, power_of_coils, resize


@dataclass(frozen=True, eq=False)
class CartesianScan:
    """A slice or volume (see `sampling.Scan`): k-space (J, *grid), zero frequency at n // 2, and its mask (*grid).

    k-space is zero outside the mask.
    weights: of the samples, (*grid) or (J, *grid), zero outside the mask; None for 1.
    """

    kspace: Array
    mask: Array
    weights: Array | None = None

    readouts = None

    @property
    def shape(self) -> Shape:
        """Grid of the image."""
        return self.mask.shape

    @property
    def coils(self) -> int:
        """Number of coils."""
        return len(self.kspace)

    @property
    def same_for_coils(self) -> bool:
        """Whether all coils have the same weights."""
        return self.weights is None or self.weights.ndim == self.mask.ndim

    def acquired(self) -> tuple[Array, Array]:
        """Return the acquired samples (J, M) and their distance (M,) from zero frequency, in cycles per pixel."""
        xp = array_module(self.kspace)
        frequencies = ((xp.arange(n) - n // 2) / n for n in self.mask.shape)
        kspace = self.kspace if self.weights is None else self.weights * self.kspace
        return kspace[:, self.mask], distances(*frequencies)[self.mask]

    def power(self) -> tuple[Array, Array]:
        """Return the power of the samples, summed over the coils, and the mask, both (*grid).

        Where some of the coils have no sample, it is that of the others, times as many coils as there are.
        """
        power = power_of_coils(self.kspace[:1])
        for of_coil in self.kspace[1:]:  # one after the other: all at once need as much memory as k-space
            power += power_of_coils(of_coil[None])
        if self.weights is not None and not self.same_for_coils:
            power *= (self.coils / (self.weights != 0).sum(0).clip(1)).astype(power.dtype)
        return power, self.mask

    def of_weight(self, least: float) -> CartesianScan:
        """Return the samples whose weight is at least a part of the largest, all with the same weight."""
        if self.weights is None:
            return self
        heavy = self.weights >= least * self.weights.max()
        mask = self.mask & (heavy if self.same_for_coils else heavy.any(0))
        return CartesianScan(self.kspace, mask, heavy.astype(self.weights.dtype))

    def combined(self, matrix: Array) -> CartesianScan:
        """Return the scan of combinations (I, J) of the coils."""
        return replace(self, kspace=combined(matrix, self.kspace))

    def divided(self, levels: Array) -> CartesianScan:
        """Return the scan with its coils divided by numbers (J,).  Overwrites k-space, as `moved` does."""
        for of_coil, level in zip(self.kspace, levels):
            of_coil /= float(level)
        return self

    def moved(self, centre: Shape) -> CartesianScan:
        """Return the scan with the frequency `centre`, in whole samples, in the place of zero frequency.

        Overwrites k-space, since that of a volume is most of the memory.
        """
        xp, back, axes = array_module(self.kspace), tuple(-d for d in centre), axes_of(self.shape)
        weights = None if self.weights is None else xp.roll(self.weights, back, axes)
        for of_coil in self.kspace:
            of_coil[...] = xp.roll(of_coil, back, axes)
        return CartesianScan(self.kspace, xp.roll(self.mask, back, axes), weights)

    def low(self, grid: Shape, cut: Shape) -> CartesianScan:
        """Return the frequencies within a window of size `cut` about zero, on a smaller grid."""
        weights = None if self.weights is None else resize(resize(self.weights, cut), grid)
        return CartesianScan(resize(self.kspace, grid), resize(resize(self.mask, cut), grid), weights)

    def sampled(self, on_lines: bool = False) -> tuple[CartesianSampling, Array]:
        """Return the sampling, and the samples in the form that it gives them, times their weights.

        on_lines: keep only the lines with samples, if the mask leaves out lines.
        """
        mask = self.mask if self.weights is None else self.weights
        sampling = CartesianSampling.centred(mask, real_dtype(self.kspace.dtype), len(self.shape))
        sampling = sampling.on_lines if on_lines else sampling

        def samples(coils: slice) -> Array:
            return sampling.of_coils(coils).forward(ifft2c(self.kspace[coils], axes_of(self.shape)))

        return sampling, by_pieces(samples, self.kspace)
