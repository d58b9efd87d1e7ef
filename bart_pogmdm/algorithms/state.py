"""The state of an algorithm after an iteration."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..arrays.array_types import Array
from ..arrays.modules import array_module


@dataclass(frozen=True)
class Info:
    """Facts about a State.

    iteration: the number of the iteration within the call, from 1; iterations: how many there will be.
    sigma: noise level of the prior.  residual_std: standard deviation of the residual before the iteration.
    unit: the images are in units of the problem times `unit`.
    chain: the number of the chain that the state belongs to, None on the way to the maximum; is_draw: whether the
    state counts as a draw from the posterior; sample: its number if it is kept as a sample.
    """

    iteration: int = 0
    iterations: int = 0
    sigma: float = float("nan")
    residual_std: Any = float("nan")  # on a GPU an array without dimensions, which is read when it is needed
    unit: float = 1.0
    chain: int | None = None
    is_draw: bool = False
    sample: int | None = None


@dataclass(frozen=True, eq=False)
class State:
    """Image (ny, nx), sensitivities (J, ny, nx) and their coefficients (None if the sensitivities are known).

    For several sets or chains: image (S, ny, nx), sensitivities and coefficients (J, S, …).  A callback of `recon`
    gets one after each iteration; its arrays are the solver's own, in the solver's units.
    """

    image: Array
    sens: Array
    coefficients: Array | None = None
    info: Info = field(default_factory=Info)

    def noted(self, **facts: Any) -> State:
        """Return the state with some facts replaced."""
        return replace(self, info=replace(self.info, **facts))

    def repeated(self, count: int) -> State:
        """Return the same state in each of `count` chains."""
        xp = array_module(self.image)
        coefficients = None if self.coefficients is None else xp.stack([self.coefficients] * count, 1)
        return State(xp.stack([self.image] * count), xp.stack([self.sens] * count, 1), coefficients)

    def chain(self, number: int) -> State:
        """Return the state of one of the chains."""
        coefficients = None if self.coefficients is None else self.coefficients[:, number]
        residual_std = self.info.residual_std.reshape(-1)[number]
        return State(self.image[number], self.sens[:, number], coefficients,
                     replace(self.info, residual_std=residual_std))
