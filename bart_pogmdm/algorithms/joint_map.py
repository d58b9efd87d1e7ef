"""The joint maximum of the posterior of image and sensitivities, and the mean of the image as far as it is better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from ..physics.coil_model import CoilModel, SetsModel, coil_model
from ..prior.protocol import Prior
from ..prior.smooth_phase import SmoothPhase
from .held_out import HeldOut, HeldOutRules, without_held_out
from .likelihood import Likelihood, RingWeights
from .message_passing import LinearEstimate, Message, MessagePassing, next_message
from .problem import Problem, prior_for
from .quadratic_step import newton_step
from .resolution import CoarseSteps
from .schedules import SensitivityPenalty, momentum, sensitivity_steps
from .state import State


@dataclass(frozen=True)
class Map:
    """The method "map": the joint maximum of the posterior, and the mean as far as it is better (`map_or_mean`)."""

    iterations: int = 45
    """Majorise-minimise steps: fewer leave detail of strongly undersampled images unfinished."""

    fine_steps: int = 20
    """Last of these steps, at full resolution.  Those before are taken at half of it, and cost a quarter or less."""

    coarse: CoarseSteps = CoarseSteps()
    """How the steps before those are taken, and how many of them where the data tell when they are done."""

    sigma: float = 0.015
    """Noise level of the prior, in images of maximum about 1: a smoother prior finds sensitivities better."""

    one_coil_sigma: float = 0.0075
    """Noise level of the prior for one coil, where no sensitivities are to be found."""

    image_cg: int = 3
    """Conjugate gradient steps for each image at most: with more, errors of the sensitivities are fitted."""

    image_tolerance: float = 0.25
    """Part of its residual to which each image is solved, where that takes fewer steps."""

    sens_cg: int = 4
    """Conjugate gradient steps for the sensitivities after each image of a plane; for a volume twice as many."""

    momentum: float = 0.95
    """Largest factor of Nesterov's extrapolation: 1 would never forget an early direction, and with 0, where every step
    lowers the energy, more steps are needed."""

    phase: SmoothPhase = SmoothPhase()
    """How the smooth phase of the image is found, and how far it is trusted."""

    likelihood: Likelihood = Likelihood()
    """How far the samples are trusted."""

    sens_penalty: SensitivityPenalty = SensitivityPenalty()
    """Penalty on the sensitivities in each iteration."""

    last_steps: int = 10
    """Last steps to the maximum, which see the held-out samples, too; with no more steps, none are held out."""

    held_out: HeldOutRules = HeldOutRules()
    """Which samples judge between maximum and mean, and between one set of sensitivities and two."""

    mean: MessagePassing = MessagePassing()
    """How the mean is found."""

    name: ClassVar[str] = "map"
    image_noise: ClassVar[float] = 0.0
    prior_members: ClassVar[tuple[str, ...]] = ("score", "curvature")
    default_samples: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_fields(self, ["momentum"], momentum=0)
        if self.fine_steps < self.last_steps + 2:  # so that the last steps go on with the direction of a fine one
            raise ValueError(f"fine_steps: expected at least {self.last_steps + 2}, 2 more than last_steps,"
                             f" got {self.fine_steps}")

    @property
    def fine(self) -> int:
        """Number of steps at full resolution, of all iterations."""
        return min(self.fine_steps, self.iterations)

    def with_iterations(self, iterations: int) -> Map:
        """Return the method with another number of iterations."""
        return replace(self, iterations=iterations)

    def level(self, problem: Problem) -> float:
        """Return the noise level of the prior."""
        return self.one_coil_sigma if problem.one_coil else self.sigma

    def num_iterations(self, samples: int) -> int:
        """Return the number of States for one slice at most."""
        return self.fine + self.coarse.most(self.iterations - self.fine)

    def chain_shape(self, samples: int) -> tuple[int, int]:
        """Return the number of chains, and of draws from each: none."""
        return 1, 0

    def solve(self, problem: Problem, prior: Prior, samples: int, seed: tuple[int, ...]) -> Iterator[State]:
        """Yield the State after each step to the maximum; the last image may be moved towards the mean."""
        if self.iterations > self.last_steps and hasattr(prior, "denoise"):
            return map_or_mean(problem, prior, self, np.random.default_rng(seed))
        return joint_map(problem, prior_for(problem, prior), self)


def joint_map(problem: Problem, prior: Prior, options: Map) -> Iterator[State]:
    """Yield the State after each step to the joint maximum; the first are coarse (`Map`)."""
    solve = partial(majorise_minimise, prior=prior, options=options)
    problem, previous, count = yield from options.coarse.of(problem, options.iterations - options.fine, solve,
                                                            options.phase)
    states = solve(problem, range(count, count + options.fine), previous=previous)
    del previous  # the steps need its memory
    yield from states


def map_or_mean(problem: Problem, prior: Any, options: Map, rng: np.random.Generator) -> Iterator[State]:
    """Yield the State after each step to the maximum; the last image is moved towards the mean of the posterior.

    The mean holds less noise.  Where aliasing or errors of the model are stronger than noise, it may be worse than the
    maximum.  Some samples are therefore held out of both, decide how far to go, and are put back for the last steps.
    """
    of_maximum = prior_for(problem, prior)
    held_out = [HeldOut.drawn(one, options.held_out, rng) for one in problem.each()]
    if not all(one.enough for one in held_out):
        yield from joint_map(problem, of_maximum, options)
        return
    which = problem.together([one.which for one in held_out])
    rest = without_held_out(problem, which, options.image_cg)
    solve = partial(majorise_minimise, prior=of_maximum, options=options)
    rest, previous, count = yield from options.coarse.of(
        rest, options.iterations - options.fine, solve, options.phase, HeldOut(problem, which, options.held_out))
    last = count + options.fine - options.last_steps
    before, states = rest.start, solve(rest, range(count, last), previous=previous)
    del previous  # the steps need its memory
    for before in islice(states, last - count - 1):
        yield before
    yield (judged := next(states))
    problem, rest, followed = problem.started_from(judged), rest.started_from(judged), judged.units.followed
    del states  # it holds images
    means = [mean_of(replace(one, problem=whole), part, prior, options, rng)
             for one, whole, part in zip(held_out, problem.each(), rest.each())]
    states = solve(problem, range(last, last + options.last_steps),
                   previous=before.image * (before.units.followed / followed))
    del rest, before
    yield from islice(states, options.last_steps - 1)
    problem = problem.started_from(state := next(states))
    del states, judged
    moved = [mean.mixed(one, followed, options) if mean else (one.start.image, 0 * one.start.image.real)
             for one, mean in zip(problem.each(), means)]
    image, weights = map(problem.together, zip(*moved))
    yield replace(state, maximum=state.image, image=image, mean_weights=weights)


@dataclass(frozen=True, eq=False)
class Mean:
    """The message of the prior about an image, and the weights with which its mean replaces the maximum."""

    message: Message
    weights: Array

    def mixed(self, problem: Problem, followed: float, options: Map) -> tuple[Array, Array]:
        """Return the maximum, the start of the problem, moved towards the mean, and the weights for all of it.

        followed: the factor that the units had followed when the message was found.
        """
        message, maximum = self.message.in_units(problem.units.followed / followed), problem.start.image
        linear = LinearEstimate.at_start(problem, options.likelihood, options.image_cg)
        moved = linear.moved(maximum, message, self.weights)
        return moved, array_module(moved).broadcast_to(self.weights, moved.shape)


def mean_of(held_out: HeldOut, rest: Problem, prior: Any, options: Map, rng: np.random.Generator) -> Mean | None:
    """Return the mean and its weights, from the start of the problem without the held-out samples; None for none."""
    if held_out.refute_noise:
        return None
    rule = options.phase.within(rest.known_radius)
    linear = LinearEstimate.at_start(rest, options.likelihood, options.image_cg)
    message = Message(rest.start.image, options.level(rest) ** 2).about(linear.weight)
    for _ in range(options.mean.rounds):
        message = next_message(linear, message, prior, lambda image: rule.of(
            image, rest.images.grid_axes, trusted=True).turn, options.mean, rng)
    mean, message = linear.of(message) / linear.weight, message.about(1 / linear.weight)
    del linear  # before its sensitivities are needed again
    return Mean(message, held_out.weights(mean))


def majorise_minimise(problem: Problem, steps: range, prior: Prior, options: Map,
                      previous: Array | None = None, smoother: int = 0) -> Iterator[State]:
    """Yield the State after each majorise-minimise step to the joint maximum of the posterior.

    steps: which of all; previous: the image before the first of them, None for that of the start; smoother: how many of
    all, from the first on, are for smoother sensitivities, each for less smooth ones than the step before.
    Each takes the smooth phase e of the image, and minimises the quadratic majoriser of -log p_sigma(e* x) +
    ||A x - z||^2 / (2 v), diagonal in Fourier space but for e.  The sensitivities follow.  With one coil nothing else
    absorbs a rough phase, nor the brightness that the start lacks: e counts as far as x has it, and the unit follows x.
    """
    image, coefficients, sampling = problem.start.image, problem.start.coefficients, problem.sampling
    state, sigma, grid = problem.start, options.level(problem), problem.images.grid
    model: CoilModel | SetsModel | None = None
    hessian, changes = prior.curvature(grid, sigma, array_module(image)), problem.changes
    hessian = hessian + changes.curvature if changes else hessian
    sens_model, sens_cg = problem.sens_model, sensitivity_steps(options.sens_cg, grid)
    weights = sens_model and RingWeights(problem, sens_model, options.likelihood)
    rule, previous = options.phase.within(problem.known_radius), image if previous is None else previous
    iterations = max(options.iterations, steps.stop)  # a trial may take more
    for number, factor in zip(steps, islice(momentum(options.momentum), steps.start, None)):
        model = model or coil_model(sampling, state.sens_by_coil, problem.images)
        extrapolated = image + factor * (image - previous)
        gradient, power = model.gradient(extrapolated, problem.samples)
        variance, residual_var = options.likelihood.variances(problem, power)
        phase = rule.of(extrapolated, problem.images.grid_axes, trusted=not problem.one_coil)
        descent = phase.ascent(lambda image: prior.score(image, sigma), extrapolated, at_once=len(grid) == 2)
        descent -= gradient / variance  # in place, since images of a volume are large
        descent = descent + changes.ascent(extrapolated) if changes else descent
        previous = image
        del gradient  # its memory is needed, as that of others below
        image = extrapolated + newton_step(model, hessian, phase.turn, descent, variance, options.image_cg,
                                            options.image_tolerance)
        del extrapolated, phase, descent
        if sens_model and weights:
            sampling, weighted = weights.weighted(power)
            sens_variance = options.likelihood.of_sensitivities(problem, variance, residual_var)
            penalty = options.sens_penalty.weight(number, iterations, grid)
            steeper = weighted.rules.steeper * max(0.0, 1 - number / smoother) if smoother else 0.0
            coefficients = weighted.update(image, coefficients, sens_variance, penalty, sens_cg, problem.images,
                                           steeper)
            model = None  # before the next sensitivities take as much memory
        elif problem.one_coil:
            step = problem.units.step(state.sens[0] * image)
            image, previous, problem = image / step, previous / step, problem.follow(step)
            residual_var = residual_var / step**2
        del power
        state = State(image, sens_model.maps if sens_model else state.maps, coefficients, problem.units)
        yield state.noted(sigma=sigma, residual_std=residual_var**0.5)
