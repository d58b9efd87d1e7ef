"""Smoothness in time: the changes from frame to frame are small at most places."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays.array_types import Array
from ..arrays.modules import array_module


@dataclass(frozen=True, eq=False)
class Changes:
    """-log p of the changes d_t = s_{t+1} x_{t+1} - s_t x_t of frames x (A, *grid): sum (1 + |d|^2 / change^2)^(1/2).

    Small changes are about Gaussian, with the standard deviation `change`.  Large ones cost as much as their size, so
    that motion and inflow are not blurred.
    scale: s, the units of the frames relative to their mean, (A, 1, …).
    """

    change: float
    scale: Array

    def ascent(self, frames: Array) -> Array:
        """Return the gradient of log p."""
        scaled = self.scale * frames
        change = scaled[1:] - scaled[:-1]
        slope = change / (self.change * array_module(frames).hypot(self.change, abs(change)))
        ascent = array_module(frames).zeros_like(frames)
        ascent[:-1] += slope
        ascent[1:] -= slope
        return self.scale * ascent

    @property
    def curvature(self) -> Array:
        """An upper bound of the curvature of -log p in each frame, (A, 1, …): one has two neighbours at most."""
        return 4 * (self.scale / self.change) ** 2
