"""The variance that the likelihood assumes, and the weights of samples that the sensitivities cannot explain."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import at_least
from ..arrays.modules import array_module
from ..physics.fourier import power_of_coils
from ..physics.kspace_rings import RingRules, Rings
from ..physics.sampling import Sampling
from ..physics.sensitivities import SensitivityModel
from ..physics.series import SeriesSampling
from .problem import Problem


@dataclass(frozen=True)
class Likelihood:
    """How far the samples are trusted, from the residual and the noise level.

    The residual above the noise is an error of the model, such as a coil that no smooth map fits.  It counts in full.
    """

    continuation: float = 0.5
    """Least part of the residual variance that the likelihood assumes, so that early steps are not too stiff."""

    noisy: float = 0.03
    """Residual standard deviation, in images of maximum about 1, at which the assumed variance is halved: the noisier
    the samples, the more they are needed against the prior."""

    noise_floor: float = 0.25
    """Least assumed standard deviation, in noise levels."""

    least_variance: float = 1e-9
    """Least assumed variance, in images of maximum about 1, for samples without noise."""

    excess: float = 3.0
    """Factor on the variance by which the residual of a ring of k-space exceeds that of all samples."""

    largest_error: float = 0.03
    """Largest residual of a ring that counts, as a part of its signal: samples with less weight are fitted less, leave
    a larger residual, and would lose more and more weight."""

    rings: RingRules = RingRules()
    """How k-space is divided into rings for the weights of the samples."""

    def __post_init__(self) -> None:
        check_fields(self, continuation=0)

    def variances(self, problem: Problem, power: Array) -> tuple[Any, Any]:
        """Return the variance v that the likelihood assumes, and the residual variance.

        power: |A x - z|^2 of each sample, summed over the coils.  Both are numbers, or arrays where each image is a
        problem of its own: (S, 1, …) for chains, (A, 1, …) for a series.
        v = max(max(continuation r^2, r^2 - noise_std^2) / (1 + r / noisy), least(noise_std)).
        """
        residual_var = _mean_power(problem, power) / (2 * problem.coils)
        variance = at_least(residual_var - problem.noise_std**2, self.continuation * residual_var)
        return at_least(variance / self.confidence(residual_var), self.least(problem.noise_std)), residual_var

    def least(self, noise_std: Any) -> Any:
        """Return the least variance that is assumed, max((noise_floor noise_std)^2, least_variance)."""
        return at_least((self.noise_floor * noise_std) ** 2, self.least_variance)

    def of_noise(self, noise_std: Any) -> Any:
        """Return the variance of the noise, but at least the least one."""
        return at_least(noise_std**2, self.least_variance)

    def confidence(self, residual_var: Any) -> Any:
        """Return 1 + r / noisy, the divisor of the assumed variance; it grows with the residual r."""
        return 1 + residual_var**0.5 / self.noisy

    def noise(self, problem: Problem, power: Array) -> tuple[float, Sampling]:
        """Return the variance v of the noise, and the sampling with weights v / max(v, r_k^2).

        r_k^2 is the residual variance in a ring of k-space: what is above the noise is an error of the model, which is
        no reason to trust the data.  power: |A x - z|^2 of each sample, summed over the coils.
        """
        sampling, variance = problem.sampling, self.of_noise(problem.noise_std)
        radius = sampling.radius(sampling.shape)
        rings = Rings.of(radius, self.rings)
        excess = rings.means(power) / (2 * problem.coils * rings.means(sampling.coil_part) * variance)
        return variance, sampling.weighted(rings.weights(excess, radius).astype(power.dtype))

    def of_sensitivities(self, problem: Problem, variance: Any, residual_var: Any) -> Any:
        """Return the variance for a fit of sensitivities: the residual still holds errors of the image, so it adds.

        All images of a series have the same in units of their noise.  With one of its own, an image that the shared
        sensitivities do not explain would lose its say in them.
        """
        total = variance + residual_var
        if not problem.images.is_series:
            return total
        noise = self.of_noise(problem.noise_std)
        return (total / noise).mean() * noise


def _mean_power(problem: Problem, power: Array) -> Any:
    """Return the power of the residual per sample."""
    alone, ndim = problem.images.independent, len(problem.images.grid)
    total = power.reshape(*alone, -1).sum(-1).reshape(*alone, *(1,) * ndim) if alone else power.sum()
    return (float(total) if array_module(power) is np and not alone else total) / problem.sampling.count


@dataclass(frozen=True, eq=False)
class RingWeights:
    """Weights of the samples of a problem with unknown sensitivities, from the residual in rings of k-space.

    Maps that are not quite right leave a large residual where there is most signal, in the centre of k-space.
    """

    problem: Problem
    sens_model: SensitivityModel
    likelihood: Likelihood

    @cached_property
    def _of_each(self) -> list[RingWeights]:
        """The weights of the images of a series, one by one."""
        return [RingWeights(problem, problem.sens_model, self.likelihood) for problem in self.problem.each()
                if problem.sens_model]

    @cached_property
    def _radii(self) -> tuple[Array, Array]:
        """Distances of the samples, and of those of the sensitivity model, from zero frequency, in cycles per pixel."""
        shape = self.problem.sampling.shape
        return self.problem.sampling.radius(shape), self.sens_model.sampling.radius(shape)

    @cached_property
    def rings(self) -> Rings:
        """Rings of the samples."""
        return Rings.of(self._radii[0], self.likelihood.rings)

    @cached_property
    def _coils(self) -> Array:
        """Number of coils that take a sample, averages over the rings."""
        return self.problem.coils * self.rings.means(self.problem.sampling.coil_part)

    @cached_property
    def _signal(self) -> Array:
        """Power of the samples, averages over the rings."""
        return self.rings.means(power_of_coils(self.problem.samples))

    def weighted(self, power: Array) -> tuple[Sampling, SensitivityModel]:
        """Return sampling and sensitivity model with weights v / max(v, e), from the power |A x - z|^2 of each sample.

        e = excess (r_k^2 - r^2 - noise_std^2) / (1 + r / noisy), with the residual variance r_k^2 of a ring, at most
        (largest_error |z_k|)^2 / 2, and r^2 of all samples.  |z_k|^2 is the mean power of a coil's samples in the ring.
        Between rings log w is linear.  Where all weights are 1, both are those of the problem itself, which know their
        spectra already; not on a GPU, which one would have to wait for.
        """
        if self.problem.images.is_series:
            samplings, models = zip(*(one.weighted(of_image) for one, of_image in zip(self._of_each, power)))
            if all(map(operator.is_, samplings, (one.problem.sampling for one in self._of_each))):
                return self.problem.sampling, self.sens_model
            low = SeriesSampling(tuple(model.sampling for model in models))
            return SeriesSampling(samplings), replace(self.sens_model, sampling=low)
        problem, rule, xp = self.problem, self.likelihood, array_module(power)
        variance, residual_var = rule.variances(problem, power)
        ring_power = xp.minimum(self.rings.means(power), rule.largest_error**2 * self._signal)
        ring_var = ring_power / (2 * self._coils)
        excess = rule.excess * (ring_var - residual_var - problem.noise_std**2) / rule.confidence(residual_var)
        if xp is np and not (excess > variance).any():
            return problem.sampling, self.sens_model
        weights, of_model = (self.rings.weights(excess / variance, radius).astype(power.dtype)
                             for radius in self._radii)
        return problem.sampling.weighted(weights), self.sens_model.weighted(of_model)
