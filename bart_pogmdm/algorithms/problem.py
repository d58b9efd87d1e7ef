"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays.conjugate_gradients import at_least
from ..arrays.modules import array_module
from ..physics.cartesian import CartesianSampling
from ..physics.coil_model import power_of_coils
from ..physics.kspace_rings import Rings
from ..physics.sensitivities import SensFit

SIGMA = 0.015  # noise level of the prior in MAP and Gibbs, where the image has maximum 1,
ONE_COIL_SIGMA = 0.0075  # ... and with one coil
CONTINUATION = 0.5  # the variance of the likelihood is this part of the current residual's,
NOISY = 0.03        # ... still less in noise: half of that where the residual's standard deviation is this
TEMPERATURE = 0.25  # ... at least (TEMPERATURE noise_std)^2,
LEAST_VARIANCE = 1e-9  # ... and this, for data without noise
EXCESS = 3         # times what the residual of a ring exceeds that of all by, is its variance,
LARGEST_ERROR = 0.03  # ... of the residual as far as it is this part of the signal


@dataclass(frozen=True, eq=False)
class Problem:
    """One slice, ready for a solver: scaled to an image of maximum about 1.

    samples z of J coils in the form of `sampling`; noise_std per real and imaginary part.
    """

    sampling: CartesianSampling
    samples: np.ndarray
    noise_std: float
    fit: SensFit | None  # None: the sensitivities are known

    def in_units(self, unit):
        """The same with images divided by `unit`."""
        fit = self.fit and replace(self.fit, samples=self.fit.samples / unit)
        return replace(self, samples=self.samples / unit, noise_std=self.noise_std / unit, fit=fit)

    @property
    def one_coil(self):
        """Whether there is nothing that takes what the image cannot: sensitivities, or what other coils say."""
        return len(self.samples) == 1

    @property
    def sigma(self):
        """Noise level of the prior that goes with the data, for images in their units."""
        return ONE_COIL_SIGMA if self.one_coil else SIGMA

    def variances(self, power):
        """Variance v of the likelihood, and of the residual, of |A x - z|^2 of each sample, summed over the coils.

        What exceeds the noise in the residual is an error of the model, and counts in full.  Of chains (S, 1, 1).
        """
        residual_var = self._mean(power) / (2 * len(self.samples))
        least = max((TEMPERATURE * self.noise_std) ** 2, LEAST_VARIANCE)
        variance = at_least(residual_var - self.noise_std**2, CONTINUATION * residual_var)
        return at_least(variance / _confidence(residual_var), least), residual_var

    def _mean(self, power):
        """The sum over the samples by their number."""
        chains = power.shape[:power.ndim + 1 - self.samples.ndim]
        total = power.reshape(*chains, -1).sum(-1).reshape(*chains, 1, 1) if chains else power.sum()
        return (float(total) if array_module(power) is np and not chains else total) / self.sampling.count

    @cached_property
    def rings(self):
        """Rings of the samples."""
        return Rings.of(self._radii[0], self.sampling.count)

    @cached_property
    def _signal(self):
        """|z|^2 summed over the coils, mean in each ring."""
        return self.rings.means(power_of_coils(self.samples))

    @cached_property
    def _radii(self):
        """Distances of the samples, and of those of `fit`, from zero frequency."""
        return [part.sampling.radius(self.sampling.shape) for part in (self, self.fit)]

    def weighted(self, power):
        """The same with weights v / max(v, excess) of the samples, from |A x - z|^2 of each, summed over the coils.

        excess: what the residual's variance in a ring of k-space is above its mean and the noise, EXCESS times: maps
        that are not quite right leave most where there is most signal.  No more than LARGEST_ERROR of the signal
        counts: what is trusted less is fitted less, leaves more, and would be trusted less and less.
        """
        xp, (variance, residual_var) = array_module(power), self.variances(power)
        ring_power = xp.minimum(self.rings.means(power), LARGEST_ERROR**2 * self._signal)
        ring_var = ring_power / (2 * len(self.samples))
        excess = EXCESS * (ring_var - residual_var - self.noise_std**2) / _confidence(residual_var)
        ratio = xp.log(xp.maximum(excess / variance, 1))
        weights, of_fit = (xp.exp(-self.rings.interpolate(ratio, radius)).astype(power.dtype)
                           for radius in self._radii)
        return replace(self, sampling=self.sampling.weighted(weights), fit=self.fit.weighted(of_fit))


def _confidence(residual_var):
    """By how much less than the residual's the variance of the likelihood should be: the more, the more noise."""
    return 1 + residual_var**0.5 / NOISY
