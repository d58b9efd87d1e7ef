"""The frame in which a slice is solved: its largest sample is about 1, and the centre of k-space at zero frequency."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays.array_types import Array, Shape
from ..physics.kspace_centre import phase_ramp


@dataclass(frozen=True)
class Frame:
    """The changes that were made to a slice, and that are undone in its image.

    scale: k-space was divided by this power of two.
    centre: the frequency, in whole samples, that was moved to zero frequency.
    fit: how well k-space fits the shape that it should have about its centre, from 0 to 1.
    sens_scale: known sensitivities were divided by this power of two.
    weight: weights of samples were divided by this number.
    """

    scale: float
    centre: Shape = (0, 0)
    fit: float = 1.0
    sens_scale: float = 1.0
    weight: float = 1.0

    def into(self, image: Array) -> Array:
        """Return an image (ny, nx) with the phase that it has in this frame."""
        return image * phase_ramp(self.centre, image).conj() if any(self.centre) else image

    def out_of(self, image: Array) -> Array:
        """Return an image (ny, nx) of this frame with the phase that it has in the data."""
        return image * phase_ramp(self.centre, image) if any(self.centre) else image
