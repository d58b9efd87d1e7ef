"""Protocols of samplings and scans, on a Cartesian grid or along trajectories."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..arrays.array_types import Array, Shape


class Sampling(Protocol):
    """M F: the Fourier transform of images at the sampled frequencies, times the weights that the samples were given.

    Samples have an inner product with weights W, so the adjoint is F^H M W.  forward, adjoint and normal work on
    stacks (J, …) of images or samples, and may overwrite their argument.
    """

    @property
    def shape(self) -> Shape:
        """Grid of the images, (ny, nx) or (nz, ny, nx)."""

    @property
    def count(self) -> Any:
        """Number of samples of one coil, a float, or an array (A, 1, …) for the images of a series."""

    @property
    def coil_part(self) -> Array:
        """The part of the coils that take each sample, of the shape of one coil's samples."""

    @property
    def density(self) -> Array:
        """The diagonal of F^H M W M F in the Fourier space of the grid, (*grid), zero frequency first."""

    @property
    def sampled_part(self) -> Array:
        """The density of samples that all have the weight 1, or 0: which part of the frequencies is sampled."""

    @property
    def inexact(self) -> float:
        """Size of the error in the eigenvalues of F^H M W M F: smaller eigenvalues mean nothing."""

    def weighted(self, weights: Array) -> Sampling:
        """Return the same sampling with other weights W."""

    def of_coils(self, coils: slice) -> Sampling:
        """Return the sampling of some of the coils."""

    def low(self, samples: Array, grid: Shape) -> tuple[Sampling, Array]:
        """Return sampling and samples of the frequencies that a smaller grid holds."""

    def without(self, which: Array, samples: Array) -> tuple[Sampling, Array]:
        """Return sampling and samples (J, …) without some of them, booleans of the shape of one coil's samples."""

    def radius(self, shape: Shape) -> Array:
        """Distance of the samples from zero frequency, in cycles per pixel of an image of `shape`."""

    def forward(self, images: Array) -> Array:
        """M F x."""

    def adjoint(self, samples: Array) -> Array:
        """F^H M W z."""

    def normal(self, images: Array) -> Array:
        """F^H M W M F x."""

    def noise(self, rng: np.random.Generator, samples: Array) -> Array:
        """Noise of standard deviation W^(-1/2) in real and imaginary part, of the shape of the samples."""

    def equalize(self, images: Array) -> Array:
        """Scale images F^H M z such that no frequency counts more than once."""


class Scan(Protocol):
    """A slice or a volume as it was measured."""

    @property
    def shape(self) -> Shape:
        """Grid of the image."""

    def acquired(self) -> tuple[Array, Array]:
        """Return the acquired samples (J, M), times their weights, and their distance (M,) from zero frequency.

        The distance is in cycles per pixel.
        """

    def power(self) -> tuple[Array, Array]:
        """Return the mean power at each grid point, summed over the coils, zero frequency at n // 2, and where it is.

        Both are (*grid).
        """

    @property
    def coils(self) -> int:
        """Number of coils."""

    @property
    def readouts(self) -> Array | None:
        """The number of the readout of each sample along a trajectory, (M,), if known."""

    @property
    def same_for_coils(self) -> bool:
        """Whether all coils have the same samples, with the same weights."""

    def of_weight(self, least: float) -> Scan:
        """Return the scan of the samples whose weight is at least a part of the largest, all with the same weight."""

    def combined(self, matrix: Array) -> Scan:
        """Return the scan of combinations (I, J) of the coils."""

    def divided(self, levels: Array) -> Scan:
        """Return the scan with its coils divided by numbers (J,).  May overwrite the samples."""

    def moved(self, centre: Shape) -> Scan:
        """Return the scan with the frequency `centre`, in whole samples, in the place of zero frequency.

        May overwrite the samples.
        """

    def low(self, grid: Shape, cut: Shape) -> Scan:
        """Return the frequencies within a window of size `cut` about zero, on a smaller grid."""

    def sampled(self, on_lines: bool = False) -> tuple[Sampling, Array]:
        """Return the sampling, and the samples in the form that it gives them, times their weights.

        on_lines: on a grid, keep only the lines that have samples.
        """
