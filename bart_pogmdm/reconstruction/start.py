"""From one slice to the problem: its units, its first sensitivities and its first image."""

from __future__ import annotations

from dataclasses import replace

from ..algorithms.problem import Problem
from ..algorithms.state import State
from ..algorithms.units import Units
from ..arrays.array_types import Array
from ..arrays.modules import array_module
from ..physics.coil_model import CoilModel, SetsModel, coil_model, least_squares, rss
from ..physics.espirit import TwoSets, folds
from ..physics.fourier import divide
from ..physics.image_set import ImageAxis, ImageSet
from ..physics.sampling import Sampling, Scan
from ..physics.sensitivities import SensitivityModel
from ..physics.sensitivity_start import StartRules, joint_inversion
from ..prior.image_scale import ImageScale
from .frame import Frame
from .options import Options


def problem_of(scan: Scan, frame: Frame, noise_std: float, sens: Array | None, start: Array | None,
               neighbour: Array | None, scale: ImageScale, options: Options) -> Problem:
    """Return the Problem of one slice, in solver units.

    scan: in the frame; noise_std: of the weighted samples, in data units; sens: known sensitivities of any scale,
    (J, ny, nx) or (J, sets, ny, nx); start: an image (ny, nx) to start from, in data units, both of the
    size of the data; neighbour: coefficients of the sensitivities of a similar slice; scale: of the prior's images.
    Raises ValueError for unusable samples.
    """
    rules, (sampling, samples) = options.rules, scan.sampled()
    sens_model = SensitivityModel.of(scan, rules.sens) if sens is None and len(samples) > 1 else None
    unit = scale.of(rss(sampling.adjoint(samples.copy())))
    units = Units(frame.scale, rule=scale, one_coil=rules.one_coil).times(unit)
    samples, sens_model = samples / unit, sens_model and sens_model.in_units(unit)
    image = None if start is None else units.to_solver(frame.into(start))
    sens = None if sens is None else frame.maps_into(sens)
    noise_std = units.to_solver(noise_std)
    variance = options.method.likelihood.at_start(noise_std)
    state = (_known(sampling, samples, sens, image, rules.start) if sens_model is None else
             _unknown(sampling, samples, sens_model, image, neighbour, variance, rules.start))
    images = ImageSet(sampling.shape)
    if state.image.ndim > 2:
        images = images.along(ImageAxis(len(state.image), adds_up=True))
    problem = Problem(sampling, samples, noise_std, sens_model, images, replace(state, units=units))
    problem = problem.in_units(scale.of(state.image * rss(state.sens)) / scale.start)
    if options.maps == "auto":  # two sets in two coils explain anything; a start image and a similar slice have one
        seeks_second = sens is None and len(samples) > 2 and start is None and neighbour is None
    else:
        seeks_second = options.maps == 2 and sens is None
    return _with_second_set(problem, options) if seeks_second else problem


def _unknown(sampling: Sampling, samples: Array, sens_model: SensitivityModel, image: Array | None,
             neighbour: Array | None, variance: float, rules: StartRules) -> State:
    """Return the State with sensitivities that fit the image, if there is one, else from the joint inversion."""
    coefficients = (joint_inversion(sens_model, rules, neighbour)[1] if image is None else
                    sens_model.update(image, None, variance, rules.sens_penalty, rules.image_cg))
    model = CoilModel(sampling, sens_model.maps.forward(coefficients))
    return State(least_squares(model, samples, rules.image_cg) if image is None else image, model.sens, coefficients)


def _known(sampling: Sampling, samples: Array, sens: Array | None, image: Array | None, rules: StartRules) -> State:
    """Return the State with known sensitivities, each set scaled to RSS 1, or with 1 for a single coil."""
    xp = array_module(samples)
    # The prior knows the scale of the image only, so the sensitivities must not carry any.
    unit_sens = (xp.ones((len(samples), *sampling.shape), samples.dtype) if sens is None else divide(sens, rss(sens)))
    if unit_sens.ndim > 3:
        if image is not None or len(samples) == 1:
            raise ValueError(f"sens: two sets go with several coils and no start, got {len(samples)} coils")
        return State(least_squares(SetsModel(sampling, unit_sens), samples, rules.image_cg), unit_sens)
    model = CoilModel(sampling, unit_sens)
    if image is None:
        image = least_squares(model, samples, rules.image_cg)
    else:  # the given image may have the scale of another program
        seen = model.forward(image)
        image = image * complex((seen.conj() * samples).sum() / (xp.abs(seen) ** 2).sum().clip(1e-30))
    return State(image, unit_sens)


def _with_second_set(problem: Problem, options: Options) -> Problem:
    """Return the problem of two images, the second for the part of an object that folds over.

    ESPIRiT finds the sensitivities of both.  For maps "auto" the problem stays as it is where one set suffices.
    ValueError for one coil.
    """
    sens_model, start, rules = problem.sens_model, problem.start, options.rules
    if not sens_model or start.coefficients is None:
        raise ValueError("maps: 2 needs several coils, got one")
    predicted, noise_std = sens_model.predicted(start.image, start.coefficients), problem.noise_std
    sets = TwoSets.of(sens_model, predicted, noise_std, rules.espirit)
    if options.maps == "auto" and not folds(sets, sens_model, noise_std, rules.espirit, rules.sens):
        return problem
    coefficients = sets.fitted(rules.espirit, rules.sens)
    images = problem.images.along(ImageAxis(2, adds_up=True))
    model = coil_model(problem.sampling, sens_model.maps.forward(coefficients), images)
    image = least_squares(model, problem.samples, rules.start.image_cg)
    return replace(problem, images=images, start=State(image, model.sens, coefficients, problem.units))
