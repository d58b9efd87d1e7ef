"""Phase rules that tests give to a method: a phase that is known, and a smooth phase that is trusted everywhere."""

from dataclasses import dataclass

import numpy as np

from bart_pogmdm.physics.fourier import PLANE
from bart_pogmdm.prior.smooth_phase import Phase, SmoothPhase


@dataclass(frozen=True, eq=False)
class FixedPhase:
    """The phase of every image is `turn`."""

    turn: np.ndarray

    def within(self, radius):
        return self

    def of(self, image, axes=PLANE, *, trusted):
        return Phase(self.turn)


@dataclass(frozen=True)
class TrustedPhase(SmoothPhase):
    """The smooth phase of the image, also where the image does not agree with it."""

    def of(self, image, axes=PLANE, *, trusted):
        return super().of(image, axes, trusted=True)
