"""Quantities that depend on the iteration or the grid: momentum, noise levels, penalty and steps of sensitivities."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Shape
from ..arrays.checks import check_fields


@dataclass(frozen=True)
class SensitivityPenalty:
    """The penalty on the coefficients of the sensitivities, which is loosened as the image becomes reliable."""

    decay: float = 0.8
    """Factor on the penalty after each iteration, from 1 at the first."""

    last: float = 1e-2
    """Least penalty: a smaller one fits noise and errors of the model."""

    last_of_volumes: float = 0.1
    """The same for volumes, whose sensitivities converge further.  Theirs falls evenly, down to the last iteration,
    because the image of a volume takes longer to become reliable."""

    def __post_init__(self) -> None:
        check_fields(self, ["decay"])

    def least(self, grid: Shape) -> float:
        """Return the least penalty for images of a grid, of a plane or a volume."""
        return self.last if len(grid) == 2 else self.last_of_volumes

    def weight(self, number: int, iterations: int, grid: Shape) -> float:
        """Return the penalty of an iteration, from number 0 on, for images of a grid."""
        if len(grid) == 2:
            return max(self.decay**number, self.last)
        return float(self.last_of_volumes ** (number / max(iterations - 1, 1)))


def sensitivity_steps(steps: int, grid: Shape) -> int:
    """Return conjugate gradient steps for sensitivities: in volumes, where they converge more slowly, twice as many."""
    return steps * (len(grid) - 1)


def momentum(most: float) -> Iterator[float]:
    """Yield Nesterov's extrapolation factors (t - 1) / t+, at most `most` (Soviet Math. Dokl. 27, 1983)."""
    t = 1.0
    while True:
        t, before = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
        yield min((before - 1) / t, most)


def exponential(sigma_min: float, sigma_max: float, levels: int) -> list[float]:
    """Return the paper's noise levels sigma_min (sigma_max / sigma_min)^(i / N), falling from i = N to 0."""
    return [float(s) for s in sigma_min * (sigma_max / sigma_min) ** (np.arange(levels, -1, -1) / levels)]
