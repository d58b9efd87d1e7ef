"""Smoothed total variation as a prior, for joint inversion without a learned prior."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.modules import array_module


@dataclass(frozen=True)
class CharbonnierTV:
    """-log p(x) = weight sum (|D x|^2 + epsilon^2)^(1/2), D the periodic forward differences along both axes.

    The prior is isotropic, and joint in real and imaginary part.  Images have maximum 1.
    """

    weight: float
    epsilon: float = 0.01  # Differences well below this, 1 % of the image maximum, are penalised quadratically.

    name: ClassVar[str] = "charbonnier-tv"

    @property
    def digest(self) -> str:
        """Weight and epsilon, which identify the prior."""
        return f"{self.weight:g}, {self.epsilon:g}"

    def score(self, image: Array, sigma: float) -> Array:
        """Return -weight D^T (D x / (|D x|^2 + epsilon^2)^(1/2)) of images (…, ny, nx) for any noise level."""
        xp = array_module(image)
        slopes = [xp.roll(image, -1, axis) - image for axis in (-2, -1)]
        magnitude = xp.sqrt(sum(slope.real**2 + slope.imag**2 for slope in slopes) + self.epsilon**2)
        flows = [slope / magnitude for slope in slopes]
        return self.weight * sum(flow - xp.roll(flow, 1, axis) for flow, axis in zip(flows, (-2, -1)))

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum of a majorising Hessian: weight / epsilon times that of D^T D, (ny, nx) float32."""
        rows, columns = (4 * np.sin(np.pi * np.arange(n) / n) ** 2 for n in shape)
        spectrum = self.weight / self.epsilon * (rows[:, None] + columns)
        return xp.asarray(spectrum, np.float32)
