"""Protocols of priors."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape


class ScorePrior(Protocol):
    """A prior for `method="diffusion"`: images (samples, y, x) of maximum about 1, real or complex.

    A prior of images of another scale has an `image_scale`, an ImageScale.
    """

    def score(self, image: Array, sigma: float) -> Array:
        """Return grad log p_sigma(x) at the noise level sigma."""


class Denoiser(Protocol):
    """A prior that removes white noise."""

    def denoise(self, image: Array, sigma: float) -> Array:
        """Return the mean of the clean image (y, x), given a complex image in noise of level sigma."""


class Prior(ScorePrior, Protocol):
    """A prior for the maximum of the posterior: images (…, y, x), one or several at once."""

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum (ny, nx) of a Hessian that majorises -log p_sigma everywhere."""


class LatentPrior(Prior, Protocol):
    """A prior for Gibbs sampling: a product of mixtures, whose components are latent variables.

    It may have a `calibration`, a Calibration of the standard deviation; without one that stays as it is.
    """

    def exponent(self, sigma: float) -> float:
        """Return the power to which the product of mixtures is raised."""

    def drawn_score(self, images: Array, sigma: float, rngs: Sequence[np.random.Generator]) -> Array:
        """Return the score of images (S, ny, nx) with the components drawn, a generator for each image."""
