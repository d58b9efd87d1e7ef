"""Doubts about a solution, and the sentences for `Result.info["warnings"]`.

Sentences hold no numbers, so that slices with the same doubt share one.  `sample_doubts` has the doubts about samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..algorithms.problem import Problem
from ..arrays.array_types import Shape
from ..arrays.conjugate_gradients import inner
from ..physics.sensitivity_start import joint_inversion, residual_energy
from ..physics.undersampling import unseen_part
from .layout import place_of
from .one_slice import SliceResult
from .options import Options
from .shot_doubts import are_ordinary_slices

Slice = TypeVar("Slice", int, Shape)  # by its number or its position


def of_solution(problem: Problem, found: SliceResult, options: Options) -> list[str]:
    """Return the doubts about a slice and its result: whether it has samples enough, and what explains them."""
    return [*_of_sets(found, options), *_of_samples(problem, options), *_of_residual(problem, found, options)]


def of_series(problem: Problem, options: Options) -> list[str]:
    """Return the doubt whether images that are solved together have the sensitivities that they share.

    One that was mirrored or has other phases spoils those of all: each of them alone then explains its samples near the
    centre of k-space far better.
    """
    rules = options.rules
    for one in problem.each() if problem.images.is_series else ():
        model, shared = one.sens_model, one.start.coefficients
        if not model or shared is None:
            return []
        energy = float(inner(model.samples, model.samples))
        noise = 2 * one.noise_std**2 * one.coils * model.sampling.count
        own = residual_energy(model, joint_inversion(model, rules.start)[1], rules.start)
        if residual_energy(model, shared, rules.start) > own + noise + rules.doubts.unshared * energy:
            return ["kspace: its images do not have the sensitivities in common that a series shares: were some"
                    " mirrored, moved, or measured with other coils or phases?"]
    return []


def _of_sets(found: SliceResult, options: Options) -> list[str]:
    """Return the doubt whether two sets that nobody asked for are right."""
    if options.maps != "auto" or found.second <= options.rules.doubts.second:
        return []
    return ["kspace: it takes two sets of sensitivities to explain the samples: either the object folds over, or slices"
            " were excited together (`sms=True`), or lines or samples are wrong, as with the phase errors of EPI"]


def _of_samples(problem: Problem, options: Options) -> list[str]:
    """Return the doubt whether there are samples enough.  Frames with a temporal prior tell of each other."""
    rules = options.rules
    if options.temporal is not None or unseen_part(
            problem.sampling.sampled_part, problem.coils, rules.centre.width) <= rules.doubts.unseen:
        return []
    return ["kspace: it has so few samples that large parts of the image are what the prior finds likely, and may be"
            " wrong: the standard deviation of several samples of the posterior shows where"]


def _of_residual(problem: Problem, found: SliceResult, options: Options) -> list[str]:
    """Return the doubts whether the samples are explained, and by what.

    An estimated noise level is no error of the caller.
    """
    rules, noise_std = options.rules.doubts, problem.noise_std
    noise = math.hypot(noise_std, options.method.image_noise / problem.coils**0.5)
    residual = problem.units.to_solver(found.residual_std)
    unexplained = max(residual**2 - noise**2, 0.0) ** 0.5
    energy = float(sum(inner(coil, coil) for coil in problem.samples))  # of one at a time, since k-space may be large
    signal = (energy / (2 * problem.coils * problem.sampling.count)) ** 0.5
    if noise_std > rules.noise * signal:
        return ["noise_std: it is larger than the samples, so that the image hardly depends on them: is it in the units"
                " of kspace?"]
    if options.noise_std is not None and not problem.one_coil and noise_std > max(residual / rules.smooth,
                                                                                  rules.audible * signal):
        return ["noise_std: it is far above the residual, so that the image is smoother than the samples say: is it in"
                " the units of kspace?"]
    if options.sms and ((residual > rules.shots_residual * noise and unexplained > rules.shots * signal)
                        or are_ordinary_slices(problem, rules, options.rules.espirit)):
        return ["kspace: image and sensitivities do not explain the shots of simultaneous slices (`sms`): are these"
                " ordinary slices, does a shot have another phase, gain or place, or is `noise_std` too small?"]
    if residual > rules.residual * noise and unexplained > rules.unexplained * signal:
        return ["kspace: image and sensitivities do not explain the samples, the residual is far above the noise: check"
                " `mask`, `traj`, `sens` and `iterations`" + (
                    "" if problem.images.adds_up or len(problem.images.grid) > 2 else
                    "; an object larger than the field of view needs `maps=2`")]
    return []


def by_sentence(doubts: Mapping[Slice, Sequence[str]]) -> dict[str, list[Slice]]:
    """Return {sentence: slices} for {slice: sentences}."""
    slices: dict[str, list[Slice]] = {}
    for one, sentences in doubts.items():
        for sentence in sentences:
            slices.setdefault(sentence, []).append(one)
    return slices


def gathered(doubts: Mapping[Shape, Sequence[str]], loop: Shape) -> list[str]:
    """Return each sentence once, followed by the positions of its slices where there are several in the loop."""
    places = {sentence: [place_of(index, loop) for index in slices] for sentence, slices in by_sentence(doubts).items()}
    return [f"{sentence} ({'; '.join(where)})" if where != [""] else sentence for sentence, where in places.items()]
