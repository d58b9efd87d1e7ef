"""The second set of image and sensitivities, for an object that folds over, and whether it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..algorithms.held_out import HeldOut, without_held_out
from ..algorithms.joint_map import Map, majorise_minimise
from ..algorithms.problem import Problem, prior_for
from ..algorithms.state import State
from ..arrays.array_types import Array
from ..physics.coil_model import coil_model, least_squares
from ..physics.espirit import EspiritRules, TwoSets
from ..physics.image_set import ImageAxis
from .options import Options


def may_fold(problem: Problem, options: Options) -> bool:
    """Return True if maps "auto" leave open whether the object of a problem folds over.

    Two sets in two coils explain anything, and along spokes and spirals one place does not fold onto another.
    """
    plane = len(problem.images.shape) == 2
    return options.maps == "auto" and plane and problem.coils > 2 and not problem.sampling.inexact


def folds_over(problem: Problem, prior: Any, options: Options) -> bool:
    """Return True if every image of a series shows that two sets are needed, for maps "auto".

    An object that folds over does so in all of them.  Where only some need a second set, they lack what the others tell
    of the sensitivities.
    """
    return all(may_fold(one, options) and with_second_set(one, prior, options).images.sets > 1
               for one in problem.each())


def with_second_set(problem: Problem, prior: Any, options: Options) -> Problem:
    """Return the problem of two images, the second for the part of an object that folds over.

    ESPIRiT finds the sensitivities of both.  For maps "auto" the problem stays as it is where ESPIRiT sees no trace of
    a second set, or where held-out samples are not nearer to two sets after some steps to the maximum.  ValueError for
    one coil.
    """
    sens_model, start, rules = problem.sens_model, problem.start, options.rules
    if not sens_model or start.coefficients is None:
        raise ValueError("maps: 2 needs several coils, got one")
    predicted = sens_model.predicted(start.image, start.coefficients)
    sets = TwoSets.of(sens_model, predicted, start.sens, problem.noise_std, rules.espirit)
    if options.maps == "auto" and sets.second < rules.espirit.trace:
        return problem
    coefficients = sets.fitted(rules.espirit, rules.sens)
    images = problem.images.along(ImageAxis.sets(2))
    model = coil_model(problem.sampling, sens_model.maps.forward(coefficients), images)
    image = least_squares(model, problem.samples, rules.start.image_cg)
    both = replace(problem, images=images, start=State(image, sens_model.maps, coefficients, problem.units))
    del predicted, sets, model  # before the trial needs as much memory
    if options.maps == 2:
        return both
    method: Any = getattr(options.method, "maximum", options.method)
    own = np.random.SeedSequence(options.seed, spawn_key=(0,))  # others than those that judge the mean
    held_out = HeldOut.drawn(problem, method.held_out, np.random.default_rng(own))
    if not held_out.which.any():
        return problem
    looks = zip(*(misfits(replace(held_out, problem=tried), prior, method, rules.espirit) for tried in (problem, both)))
    return both if are_nearer_to_two(held_out, looks) else problem


def are_nearer_to_two(held_out: HeldOut, looks: Iterable[tuple[Array, Array]]) -> bool:
    """Return True if held-out samples are nearer to two sets than to one, from their misfits to both at each look.

    A look at which they are nearer beyond chance ends the trial, and so does one at which they are not nearer.
    """
    for one, two in looks:
        if not one.sum() > two.sum():  # as for NaN
            return False
        if held_out.are_fitted_worse(one, two):
            return True
    return True


def misfits(held_out: HeldOut, prior: Any, method: Map, rules: EspiritRules) -> Iterator[Array]:
    """Yield the misfit of the held-out samples at each look on the way to the maximum without them.

    The sensitivities are fitted to all samples, as in `Problem.without`.
    """
    rest = without_held_out(held_out.problem, held_out.which, method.image_cg)
    states = majorise_minimise(rest, range(rules.looks * rules.steps), prior_for(rest, prior), method)
    yield from map(held_out.misfit, islice(states, rules.steps - 1, None, rules.steps))
