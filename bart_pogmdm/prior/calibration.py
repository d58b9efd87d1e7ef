"""The calibration of a posterior standard deviation, in terms of the data: learned on scans whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays.checks import check_fields

BAND = 1.6449  # Half width of the central 90 % of a normal distribution, in standard deviations.


@dataclass(frozen=True)
class Calibration:
    """std_factor R^a (2 / min(J, 2))^c times the standard deviation of the chains, for J coils.

    1.645 of it hold 90 % of the errors.

    `train.calibration` learns the numbers on simulated scans; the defaults are those of the shipped prior.
    """

    std_factor: float = 0.9542
    """Factor: the least with which 90 % of the pixels of scans that were not used for the powers are covered."""

    acceleration_power: float = 0.5877
    """Power a of the acceleration R (`undersampling.acceleration`): the prior is too sure of missing frequencies."""

    coil_power: float = 0.5166
    """Power c of 2 for a single coil, which leaves more to the prior than several that see the image differently."""

    def __post_init__(self) -> None:
        check_fields(self, acceleration_power=0, coil_power=0)

    def factor(self, acceleration: float, coils: int) -> float:
        """Return the factor on the standard deviation of the chains."""
        return float(self.std_factor * acceleration**self.acceleration_power * (2 / min(coils, 2)) ** self.coil_power)


POWERS = ("acceleration_power", "coil_power")
