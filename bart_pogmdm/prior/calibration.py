"""The calibration of a posterior standard deviation, in terms of the data: learned on scans whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays.checks import check_fields


@dataclass(frozen=True)
class Calibration:
    """std_factor R^a rhat^b times the standard deviation of the chains: 1.645 of it hold 90 % of the errors.

    `train.calibration` learns the numbers on simulated scans; the defaults are those of the shipped prior.
    """

    std_factor: float = 1.283
    """Factor: the least with which 90 % of the pixels of scans that were not used for the powers are covered."""

    acceleration_power: float = 0.4362
    """Power a of the acceleration R (`physics.acceleration`): the prior is too sure of frequencies that are missing."""

    rhat_power: float = 1.833
    """Power b of R-hat: chains that have not mixed have not seen the whole posterior."""

    def __post_init__(self) -> None:
        check_fields(self, {}, ["std_factor"])
        for name in POWERS:
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}: expected a number >= 0, got {getattr(self, name)!r}")

    def factor(self, acceleration: float, rhat: float | None) -> float:
        """Return the factor on the standard deviation of the chains.  rhat: None, of a single chain, counts as 1."""
        return float(self.std_factor * acceleration**self.acceleration_power * (rhat or 1.0) ** self.rhat_power)


POWERS = ("acceleration_power", "rhat_power")
