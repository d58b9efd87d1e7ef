"""The calibration of a posterior standard deviation, in terms of the data: learned on scans whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields


@dataclass(frozen=True)
class Calibration:
    """std = std_factor chains^(1 - m) predicted^m R^a rhat^b, so that 90 % of the errors are within 1.645 of it.

    `train.calibration` learns the numbers on simulated scans; the defaults are those of the shipped prior.
    """

    std_factor: float = 1.0
    """Factor: the least with which 90 % of the pixels of scans that were not used for the powers are covered."""

    predicted_part: float = 0.25
    """Power m of the standard deviation that message passing predicts: the chains tell better where errors are, and
    message passing how large they are."""

    acceleration_power: float = 0.5
    """Power a of the acceleration R: where few samples are measured, the prior is too sure of what is missing."""

    rhat_power: float = 2.0
    """Power b of R-hat: chains that have not mixed have not seen the whole posterior."""

    def __post_init__(self) -> None:
        check_fields(self, {}, ["std_factor"])
        for name in POWERS:
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name}: expected a number >= 0, got {getattr(self, name)!r}")

    def std(self, chains: Array, predicted: Array, acceleration: float, rhat: float | None) -> Any:
        """Return the calibrated standard deviation from that of the chains and that which message passing predicts.

        rhat: None, of a single chain, counts as 1.
        """
        part = self.predicted_part
        factor = self.std_factor * acceleration**self.acceleration_power * (rhat or 1.0) ** self.rhat_power
        return factor * chains ** (1 - part) * predicted**part


POWERS = ("predicted_part", "acceleration_power", "rhat_power")
