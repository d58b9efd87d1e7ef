"""Joint TV: smoothed total variation in the place of the learned prior, in the same joint inversion."""

from dataclasses import dataclass

import numpy as np

from ..arrays.modules import array_module, real_dtype


@dataclass(frozen=True)
class CharbonnierTV:
    """-log p(x) = weight sum (|D x|^2 + epsilon^2)^(1/2), D the periodic forward differences of both axes.

    Isotropic, and joint in real and imaginary part; images have maximum 1.
    """

    weight: float
    epsilon: float = 0.01

    name = "charbonnier-tv"

    @property
    def digest(self):
        """What tells it from others."""
        return f"{self.weight:g}, {self.epsilon:g}"

    def score(self, image, sigma):
        """-weight D^T (D x / (|D x|^2 + epsilon^2)^(1/2)), whatever the noise level."""
        xp = array_module(image)
        slopes = [xp.roll(image, -1, axis) - image for axis in (-2, -1)]
        magnitude = xp.sqrt(sum(slope.real**2 + slope.imag**2 for slope in slopes) + self.epsilon**2)
        flows = [slope / magnitude for slope in slopes]
        return self.weight * sum(flow - xp.roll(flow, 1, axis) for flow, axis in zip(flows, (-2, -1)))

    def curvature(self, shape, sigma, xp=np):
        """Spectrum of a Hessian that majorises: weight / epsilon times that of D^T D, (ny, nx) float32."""
        rows, columns = (4 * np.sin(np.pi * np.arange(n) / n) ** 2 for n in shape)
        spectrum = self.weight / self.epsilon * (rows[:, None] + columns)
        return xp.asarray(spectrum, real_dtype(np.float32))
