"""The mean of the posterior for known sensitivities, by vector approximate message passing from the maximum on.

S. Rangan, P. Schniter, A. Fletcher, Vector approximate message passing, IEEE Trans. Inf. Theory 65, 2019,
doi 10.1109/TIT.2019.2916359.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import at_least, conjugate_gradients, inner
from ..arrays.generators import complex_normal
from ..physics.coil_model import CoilModel, SetsModel, coil_model
from ..physics.fourier import axes_of, filtered
from ..prior.protocol import Denoiser
from .likelihood import Likelihood
from .problem import Problem

PROBE = 0.1  # Part of the noise level by which an image is changed to measure how the denoiser responds.
LEAST_WEIGHT = 0.1  # Of a pixel, relative to that of the object: where coils see less, noise is left uneven.


@dataclass(frozen=True)
class MessagePassing:
    """Options of message passing.  Standard deviations are those of images of maximum about 1."""

    rounds: int = 2
    """Rounds of a linear estimate and a denoising: later ones change the image by less than 0.1 dB."""

    damping: float = 0.7
    """Part of a new message that replaces the old one: whole ones diverge where aliasing is stronger than noise."""

    widest: float = 0.3
    """Largest noise level that the denoiser is asked to remove."""

    def __post_init__(self) -> None:
        check_fields(self, ["damping"])


@dataclass(frozen=True, eq=False)
class Message:
    """The message of the prior about an image, nearly a Gaussian: its mean, and the variance of each part."""

    mean: Array
    variance: float

    def towards(self, other: Message, part: float) -> Message:
        """Return the message that lies a part of the way to another one."""
        variance = self.variance ** (1 - part) * other.variance**part
        return Message(self.mean + part * (other.mean - self.mean), variance)

    def in_units(self, factor: float) -> Message:
        """Return the message for images divided by a factor."""
        return Message(self.mean / factor, self.variance / factor**2)

    def about(self, weight: Array) -> Message:
        """Return the message about the image times a weight; its variance remains that of the weighted image."""
        return Message(weight * self.mean, self.variance)


@dataclass(frozen=True, eq=False)
class LinearEstimate:
    """The mean of a weighted image: w argmin_x ||A x - z||^2 / v + ||w x - d||^2 / g, given its samples and a message.

    zero_filled: A^H z / w; v: the variance of the noise, d and g those of the message.
    weight: w (…, *grid), the root sum of squares of the sensitivities, relative to that of the object and at least
    LEAST_WEIGHT.  Where k-space is fully sampled, the noise of w x is as strong in all pixels, so that one number tells
    it.
    """

    model: CoilModel | SetsModel
    zero_filled: Array
    weight: Array
    variance: float
    cg: int

    @classmethod
    def at_start(cls, problem: Problem, likelihood: Likelihood, cg: int) -> LinearEstimate:
        """Return that for the sensitivities of the start of a problem, whose residual tells the noise."""
        start, sens = problem.start, problem.start.sens_by_coil
        power = problem.model(sens).gradient(start.image, problem.samples)[1]
        variance, sampling = likelihood.noise(problem, power)
        model = coil_model(sampling, sens, problem.images)
        weight = start.weight
        energy, weighted = (float(inner(image, image)) for image in (start.image, weight * start.image))
        weight = weight * (energy / weighted) ** 0.5 if weighted else weight / weight.max()
        weight = at_least(weight, LEAST_WEIGHT)
        return cls(model, model.adjoint(problem.samples) / weight, weight, variance, cg)

    @property
    def seen(self) -> Array:
        """Which pixels the coils see, as 1 or 0: what is known of the others is hardly more than the message."""
        return (self.weight > LEAST_WEIGHT).astype(self.weight.dtype)

    def of(self, message: Message) -> Array:
        """Return the mean, from a message about the weighted image."""
        rhs = self.zero_filled / self.variance + message.mean / message.variance
        return self._solve(message, rhs, message.mean)

    def moved(self, image: Array, message: Message, weights: Array) -> Array:
        """Return an image moved towards its mean, each frequency by its weight (…, *grid), from a message about it."""
        step = self.of(message.about(self.weight)) - self.weight * image
        return image + filtered(weights, step, axes_of(self.model.sampling.shape)) / self.weight

    def error(self, message: Message, rng: np.random.Generator) -> float:
        """Return the mean variance of a weighted pixel that is seen, tr(W^-1 A^H A W^-1 / v + 1 / g)^-1 / N.

        It is estimated by one random probe.
        """
        probe = self.seen * complex_normal(rng, message.mean)
        return float(inner(probe, self._solve(message, probe, None)) / inner(probe, probe))

    def _solve(self, message: Message, rhs: Array, start: Array | None) -> Array:
        variance, precision, weight = self.variance, 1 / message.variance, self.weight
        axes = axes_of(self.model.sampling.shape)
        inverse = 1 / (self.model.density / (variance * (weight**2).mean(axes, keepdims=True)) + precision)
        return conjugate_gradients(
            lambda image: self.model.normal(image / weight) / (variance * weight) + precision * image, rhs, start,
            iterations=self.cg, precondition=lambda image: filtered(inverse, image, axes))


def next_message(linear: LinearEstimate, message: Message, prior: Denoiser, phase_of: Callable[[Array], Array],
                 options: MessagePassing, rng: np.random.Generator) -> Message:
    """Return the message after one round: a linear estimate, then a denoising of what the samples alone say.

    m = E[w x | z, d, g] of variance b: without the message it is r = m + (h / g) (m - d), 1 / h = 1 / b - 1 / g, an
    image in nearly white noise of variance h.  y = denoise(r, h^(1/2)) has the variance h div y: without r it is the
    new message d = y + (g / h) (y - r), 1 / g = (1 / div y - 1) / h.  The smooth phase of m is taken out before
    denoising.  b and div y are means over the pixels that the coils see.
    """
    error, image = linear.error(message, rng), linear.of(message)
    variance = 1 / max(1 / error - 1 / message.variance, options.widest**-2)
    turn, sigma = phase_of(image), variance**0.5
    noisy = turn.conj() * (image + variance / message.variance * (image - message.mean))
    clean, probe = prior.denoise(noisy, sigma), linear.seen * complex_normal(rng, noisy)
    change = prior.denoise(noisy + PROBE * sigma * probe, sigma) - clean
    divergence = float(np.clip(float(inner(probe, change) / inner(probe, probe)) / (PROBE * sigma), 1e-3, 0.99))
    ratio = divergence / (1 - divergence)  # of the new variance to that of the noisy image
    return message.towards(Message(turn * (clean + ratio * (clean - noisy)), ratio * variance), options.damping)
