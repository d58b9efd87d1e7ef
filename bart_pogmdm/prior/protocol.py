"""What a prior must offer to be used in a reconstruction."""

from typing import Protocol

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape


class ScorePrior(Protocol):
    """A prior for `method="diffusion"`: images (samples, y, x) of maximum about 1, real or complex."""

    def score(self, image: Array, sigma: float) -> Array:
        """Return grad log p_sigma(x) at the noise level sigma."""


class Prior(ScorePrior, Protocol):
    """A prior for the maximum of the posterior."""

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum (ny, nx) of a Hessian that majorises -log p_sigma everywhere."""
