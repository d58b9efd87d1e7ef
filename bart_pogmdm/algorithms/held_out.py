"""Samples that estimates have not seen, and that judge them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import at_least
from ..arrays.modules import array_module, move
from ..physics.coil_model import least_squares
from ..physics.fourier import distances, power_of_coils
from ..physics.kspace_rings import RingRules, Rings
from .problem import Problem
from .state import State

TINY = 1e-30  # in the place of zero as a divisor


@dataclass(frozen=True)
class HeldOutRules:
    """Which samples are held out of an estimate."""

    part: float = 0.04
    """Part of the samples: enough to judge by, too few to be missed."""

    centre: float = 16.0
    """Samples up to this frequency, in cycles per field of view, are not held out: the brightness depends on them."""

    chance: float = 3.0
    """Standard errors by which their misfit is below the noise level before they refute it, or above another one
    before they end the coarse steps, or the trial of a second set."""

    rings: RingRules = RingRules()
    """How they are divided into rings."""

    def __post_init__(self) -> None:
        check_fields(self, ["part"])


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A problem, and which of its samples its start has not seen: booleans, in the order of the samples."""

    problem: Problem
    which: Array
    rules: HeldOutRules

    @classmethod
    def drawn(cls, problem: Problem, rules: HeldOutRules, rng: np.random.Generator) -> HeldOut:
        """Draw samples at random, the same frequencies for all coils."""
        radius = problem.sampling.radius((1,) * len(problem.images.grid))  # in cycles per field of view
        chosen = array_module(radius).asarray(rng.random(radius.shape) < rules.part)
        return cls(problem, chosen & (radius > rules.centre) & (radius < np.inf), rules)

    @property
    def enough(self) -> bool:
        """Whether they are as many as a ring holds at least: fewer cannot judge."""
        return int(self.which.sum()) >= self.rules.rings.least_samples

    @cached_property
    def _rings(self) -> Rings:
        sampling = self.problem.sampling
        radius = sampling.radius(sampling.shape)[self.which]
        return Rings.of(radius, self.rules.rings)

    @cached_property
    def _misfit(self) -> Array:
        """The misfit of the start, (J, M)."""
        return self._misfit_of(self.problem.start)

    def _misfit_of(self, state: State) -> Array:
        return self._seen(state.image, state) - self.problem.samples[..., self.which]

    def _seen(self, image: Array, state: State) -> Array:
        return self.problem.model(state.sens_by_coil).forward(image)[..., self.which]

    def misfit(self, state: State) -> Array:
        """Return |A x - z|^2 of each, summed over the coils, for a state in the units of the problem."""
        return power_of_coils(self._misfit_of(state))

    def are_fitted_worse(self, misfit: Array, than: Array) -> bool:
        """Whether a misfit is larger than another, by more than `chance` standard errors of the difference."""
        change = misfit - than
        return bool(change.sum() > self.rules.chance * (change**2).sum() ** 0.5)

    @property
    def refute_noise(self) -> bool:
        """Whether the start is nearer to them than their noise allows, in a ring of k-space.

        Then the noise level holds signal.  "Nearer" means by more than `chance` standard errors.
        """
        means, part = self._rings.means, self.problem.sampling.coil_part[self.which]
        coils = self.problem.coils * move(means(part), np)
        variances = move(means(power_of_coils(self._misfit)), np) / (2 * coils)
        error = (coils * np.diff(self._rings.bounds)) ** -0.5
        return bool((variances < self.problem.noise_std**2 * (1 - self.rules.chance * error)).any())

    def weights(self, image: Array) -> Array:
        """Return the weights w (*grid), from 0 to 1, with which start + w (image - start) predicts the samples best.

        They filter the difference of the images in Fourier space, zero frequency first.  In each ring of k-space the
        misfit is quadratic in w, so its minimum has a closed form.  It is shrunk by 1 - (its standard error / w)^2:
        the image must be better beyond chance to count.  Between rings w is linear, and 0 at zero frequency, near
        which no sample is held out.
        """
        start, rings, xp = self.problem.start, self._rings, array_module(image)
        change = self._seen(image - start.image, start)
        descent, power = -(change.conj() * self._misfit).real.sum(0), power_of_coils(change)
        slope, curvature = rings.means(descent), at_least(rings.means(power), TINY)
        weight, mixed = slope / curvature, rings.means(descent * power)
        scatter = rings.means(descent**2) - 2 * weight * mixed + weight**2 * rings.means(power**2)
        degrees = xp.asarray(np.diff(rings.bounds) - 1)
        variance = scatter.clip(0) / curvature**2 / degrees.clip(1)
        shrunk = (degrees > 0) * weight.clip(0, 1) * (1 - variance / at_least(weight**2, TINY)).clip(0)
        radius = distances(*(xp.asarray(np.fft.fftfreq(n)) for n in self.problem.images.grid))
        centres, shrunk = (xp.concatenate([xp.zeros(1), values]) for values in (rings.centres, shrunk))
        return xp.interp(radius, centres, shrunk).astype(image.real.dtype)


def without_held_out(problem: Problem, which: Array, cg: int) -> Problem:
    """Return a problem without the held-out samples, and without their part in its start (`cg` CG steps).

    The start was made from all samples: noise of these would stay in it wherever no other samples change it.
    """
    rest = problem.without(which)
    by_rest, by_all = (least_squares(seen.model(seen.start.sens_by_coil), seen.samples, cg) for seen in (rest, problem))
    return replace(rest, start=replace(problem.start, image=problem.start.image + by_rest - by_all))
