"""The frame in which a slice is solved.

Its largest sample is about 1, the centre of k-space is at zero frequency, and the grid has no border of zeros.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module
from ..physics.coil_compression import combined
from ..physics.fourier import interpolate, resample, resize
from ..physics.kspace_centre import phase_ramp


@dataclass(frozen=True)
class Frame:
    """The changes that were made to a slice, and that are undone in its image.

    scale: k-space was divided by this power of two.
    centre: the frequency, in whole samples, that was moved to zero frequency.
    in_sens: the phase ramp of the centre belongs to the sensitivities, and not to the image.
    fit: how well k-space fits the shape that it should have about its centre, from 0 to 1.
    sens_scale: known sensitivities were divided by this power of two.
    weight: weights of samples were divided by this number.
    grid, box: k-space was cropped from this size to that of the box of its samples; empty if it was not.
    lost: part of the samples of the mask that were left out, because they lay on lines of zeros.
    zeros: part of the others that are zero in a coil, on average over the coils with signal; 0 for masks of each coil.
    ties: how many different samples have the largest real or imaginary part.
    coils: the coils of this frame are these combinations (I, J) of those of the data; None if they are the same.
    data_coils: the coils of the data are these combinations (J, I) of those of this frame; None likewise.
    unmapped: the mean power of the samples of a coil that was left out, because its known sensitivities are zero, as a
        multiple of its median, the largest one; 0 if none was.
    spiked: samples were left out, because they are spikes.
    readouts: the number of the readout of each sample along a trajectory that was kept, (M,); None on a grid.
    """

    scale: float
    centre: Shape = (0, 0)
    in_sens: bool = False
    fit: float = 1.0
    sens_scale: float = 1.0
    weight: float = 1.0
    grid: Shape = ()
    box: Shape = ()
    lost: float = 0.0
    zeros: float = 0.0
    ties: int = 1
    coils: Array | None = None
    data_coils: Array | None = None
    unmapped: float = 0.0
    spiked: bool = False
    readouts: Array | None = None

    @property
    def interpolation(self) -> float:
        """Factor on the magnitude of an image that `out_of` interpolates, because the transforms are unitary."""
        return float(np.prod(self.box) / np.prod(self.grid)) ** 0.5 if self.grid else 1.0

    def into(self, image: Array) -> Array:
        """Return an image (*grid) of the data with the phase and the size that it has in this frame."""
        image = resample(image, self.box) if self.grid else image
        return image if self.in_sens or not any(self.centre) else image * phase_ramp(self.centre, image).conj()

    def sens_ramp(self, sens: Array) -> Array | None:
        """Return the phase ramp of sensitivities (J, *grid) of the data, (*grid), or None if it is 1."""
        return phase_ramp(self.centre, sens) if self.in_sens and any(self.centre) else None

    def samples_out_of(self, which: Array) -> Array:
        """Return booleans of samples (*grid) of this frame, zero frequency at n // 2, as those of the data."""
        moved: Array = array_module(which).roll(which, self.centre, tuple(range(which.ndim)))
        return resize(moved, self.grid) if self.grid else moved

    def maps_into(self, sens: Array) -> Array:
        """Return sensitivities (…, *grid) of the data with the size that they have in this frame."""
        return interpolate(sens, self.box) if self.grid else sens

    def with_coils(self, matrix: Array, inverse: Array) -> Frame:
        """Return the frame of combinations (I, J) of its coils, and these as combinations (J, I) of them."""
        if self.coils is None or self.data_coils is None:
            return replace(self, coils=matrix, data_coils=inverse)
        return replace(self, coils=matrix @ self.coils, data_coils=self.data_coils @ inverse)

    @property
    def keeps_rss(self) -> bool:
        """Whether sensitivities have the same RSS in the coils of the data and in those of this frame."""
        return (self.coils is None or self.data_coils is None
                or np.array_equal(self.coils, self.data_coils.conj().T))

    def coils_into(self, of_coils: Array) -> Array:
        """Return arrays of the coils of the data, (J, …), as arrays of those of this frame."""
        return of_coils if self.coils is None else combined(self.coils, of_coils)

    def coils_out_of(self, of_coils: Array) -> Array:
        """Return arrays of the coils of this frame as arrays of those of the data, (J, …)."""
        return of_coils if self.data_coils is None else combined(self.data_coils, of_coils)

    def std_out_of(self, of_coils: Array) -> Array:
        """Return standard deviations of the coils of this frame, taken as independent, as those of the data."""
        if self.data_coils is None:
            return of_coils
        xp = array_module(of_coils)
        powers = xp.asarray(abs(self.data_coils) ** 2, of_coils.dtype)
        variances: Array = xp.tensordot(powers, of_coils**2, 1)
        return variances**0.5

    def out_of(self, image: Array) -> Array:
        """Return an image (…, *grid) of this frame with the phase and the size that it has in the data."""
        image = image if self.in_sens or not any(self.centre) else image * phase_ramp(self.centre, image)
        return resample(image, self.grid) if self.grid else image
