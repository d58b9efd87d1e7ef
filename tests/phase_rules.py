"""Phase rules that tests give to a method: a phase that is known, and a smooth phase that is trusted everywhere."""

from dataclasses import dataclass

from bart_pogmdm.physics.fourier import PLANE
from bart_pogmdm.prior.smooth_phase import Phase, SmoothPhase


class FixedPhase(SmoothPhase):
    """The phase of every image is `turn`."""

    def __init__(self, turn):
        super().__init__()
        object.__setattr__(self, "turn", turn)

    def within(self, radius):
        return self

    def of(self, image, axes=PLANE, *, trusted):
        return Phase(self.turn)


@dataclass(frozen=True)
class TrustedPhase(SmoothPhase):
    """The smooth phase of the image, also where the image does not agree with it."""

    def of(self, image, axes=PLANE, *, trusted):
        return super().of(image, axes, trusted=True)
