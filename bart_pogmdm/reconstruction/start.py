"""From a slice, or a series, to the problem: its units, its first sensitivities and its first image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..algorithms.problem import Problem
from ..algorithms.state import State
from ..algorithms.units import Units
from ..arrays.array_types import Array
from ..arrays.modules import array_module
from ..arrays.threads import pieces
from ..physics.coil_model import CoilModel, SetsModel, coil_model, least_squares, rss
from ..physics.fourier import divide, power_of_coils
from ..physics.image_set import ImageAxis, ImageSet, per_image
from ..physics.sampling import Sampling, Scan
from ..physics.sensitivities import SensitivityModel
from ..physics.sensitivity_start import StartRules, joint_inversion
from ..physics.series import SeriesSampling, SimultaneousSampling
from ..prior.image_scale import ImageScale
from .frame import Frame
from .options import Options
from .priors import scale_of
from .rules import Rules
from .second_set import may_fold, with_second_set


@dataclass(frozen=True, eq=False)
class Measured:
    """A slice, or the slices of a series, as the solver sees them: samples with their noise, in units of their own.

    sens_model: of unknown sensitivities, or None.  image: to start from, or None.
    """

    sampling: Sampling
    samples: Array
    noise_std: Any
    sens_model: SensitivityModel | None
    image: Array | None
    units: Units
    images: ImageSet

    @classmethod
    def of(cls, scan: Scan, frame: Frame, noise_std: float, start: Array | None, scale: ImageScale, rules: Rules, *,
           known_sens: bool, alone: bool = False) -> Measured:
        """From a slice in its frame.

        noise_std: of the weighted samples, in data units; start: an image (*grid) to start from, of any scale and of
        the size of the data; scale: of the prior's images; alone: whether no other slice has to have samples of the
        same shape on a grid.  Raises ValueError for unusable samples.
        """
        # The samples of a volume are most of the memory, those of a slice are not worth their rounding.
        on_lines = alone and len(scan.shape) > 2
        sampling, samples = scan.sampled(on_lines)
        sens_model = None if known_sens or len(samples) == 1 else SensitivityModel.of(scan, rules.sens, on_lines)
        unit = scale.of(rss(image for coils in pieces(len(samples), samples[0])
                            for image in sampling.of_coils(coils).adjoint(samples[coils].copy())))
        units = Units(frame.scale, rule=scale, one_coil=rules.one_coil).times(unit)
        image = None if start is None else frame.into(start / abs(start).max())
        sens_model = sens_model and sens_model.in_units(unit)
        return cls(sampling, samples / unit, units.to_solver(noise_std), sens_model, image, units,
                   ImageSet(sampling.shape))

    @classmethod
    def simultaneous(cls, slices: Sequence[Measured]) -> Measured:
        """Slices that were excited together, from their shots.  The noise is that of a shot on average."""
        first = slices[0]
        factors = [one.units.scale / first.units.scale for one in slices]
        models = [one.sens_model.in_units(1 / factor) for one, factor in zip(slices, factors) if one.sens_model]
        noise_std = float(np.mean([(factor * one.noise_std) ** 2 for one, factor in zip(slices, factors)]) ** 0.5)
        sampling = SimultaneousSampling.of([one.sampling for one in slices],
                                           [factor * one.samples for one, factor in zip(slices, factors)])
        return cls(*sampling, noise_std, SensitivityModel.together(models, SimultaneousSampling), None, first.units,
                   first.images.along(ImageAxis.simultaneous(len(slices))))

    @classmethod
    def series(cls, slices: Sequence[Measured]) -> Measured:
        """The images of a series, which share their sensitivities."""
        xp, first = array_module(slices[0].samples), slices[0]

        noise_std, from_start = (per_image(values, first.images.grid, first.samples) for values in (
            [one.noise_std for one in slices], [one.units.from_start for one in slices]))
        models = [one.sens_model for one in slices if one.sens_model]
        starts = [one.image for one in slices if one.image is not None]
        return cls(*SeriesSampling.of([one.sampling for one in slices], [one.samples for one in slices]), noise_std,
                   SensitivityModel.together(models, SeriesSampling), xp.stack(starts) if starts else None,
                   replace(first.units, from_start=from_start), first.images.along(ImageAxis.series(len(slices))))


def problem_of(measured: Measured, sens: Array | None, neighbour: Array | None, prior: Any,
               options: Options) -> Problem:
    """Return the Problem of what was measured, in solver units.

    sens: known sensitivities of any scale, (J, *grid) or (J, sets, *grid), in the size of the frame; neighbour:
    coefficients of the sensitivities of a similar slice.
    """
    rules, images, samples = options.rules, measured.images, measured.samples
    variance = options.method.likelihood.of_noise(measured.noise_std)
    state = (_known(measured, sens, rules.start) if measured.sens_model is None else
             _unknown(measured, measured.sens_model, neighbour, variance, rules.start))
    if state.image.ndim > len(images.shape):
        images = images.along(ImageAxis.sets(len(state.image)))
    problem = Problem(measured.sampling, samples, measured.noise_std, measured.sens_model, images,
                      replace(state, units=measured.units))
    problem = problem.in_units(_scales(state.image * state.weight, images, scale_of(prior)))
    seeks_second = (len(images.shape) == 2 if options.maps == 2 else
                    measured.image is None and may_fold(problem, options))  # a start image has one set
    return with_second_set(problem, prior, options) if sens is None and seeks_second else problem


def _scales(magnitude: Array, images: ImageSet, scale: ImageScale) -> Any:
    """Return the factor that brings the images to the scale at which the solver starts: a number, or (A, 1, …)."""
    if not images.is_series:
        return scale.of(magnitude) / scale.start
    return per_image([scale.of(one) / scale.start for one in magnitude], images.grid, magnitude)


def _unknown(measured: Measured, sens_model: SensitivityModel, neighbour: Array | None, variance: Any,
             rules: StartRules) -> State:
    """Return the State with sensitivities that fit the image, if there is one, else from the joint inversion.

    The sensitivities that a series shares are found from its image of least noise first: the others, which say less,
    would lead them astray.
    """
    image = None if measured.image is None else _as_bright(measured.image, measured)
    if image is not None:
        coefficients = sens_model.update(image, None, variance, rules.sens_penalty, rules.image_cg)
    elif measured.images.is_series:
        clearest = sens_model.image_of(int(measured.noise_std.argmin()))
        coefficients = joint_inversion(clearest, rules)[1][:, None]
        coefficients = joint_inversion(sens_model, rules, coefficients, rules.series_steps)[1]
    else:
        coefficients = joint_inversion(sens_model, rules, neighbour)[1]
    model = coil_model(measured.sampling, sens_model.maps.by_coil(coefficients), measured.images)
    if image is None:
        image = least_squares(model, measured.samples, rules.image_cg)
    return State(image, sens_model.maps, coefficients)


def _as_bright(image: Array, measured: Measured) -> Array:
    """Return a start image, or those of a series, as bright as the samples: it may be in units of another program."""
    def power_of(samples: Array) -> Array:
        power = power_of_coils(samples).reshape(*measured.images.independent, -1).sum(-1)
        return power.reshape(*power.shape, *(1,) * len(measured.images.grid))

    sampling, samples = measured.sampling, measured.samples
    of_coils = [sampling.of_coils(slice(coil, coil + 1)) for coil in range(len(samples))]
    if of_coils[0] is sampling:  # all coils have the same samples
        of_coils = [sampling]
    seen = [power_of(one.forward(image[None].copy())) for one in of_coils]
    return image * divide(power_of(samples), array_module(image).stack(seen).mean(0)) ** 0.5


def _known(measured: Measured, sens: Array | None, rules: StartRules) -> State:
    """Return the State with known sensitivities, each set scaled to RSS 1, or with 1 for a single coil."""
    sampling, samples, image = measured.sampling, measured.samples, measured.image
    xp = array_module(samples)
    # The prior knows the scale of the image only, so the sensitivities must not carry any.
    unit_sens = (xp.ones((len(samples), *sampling.shape), samples.dtype) if sens is None else divide(sens, rss(sens)))
    if unit_sens.ndim > 1 + len(sampling.shape):
        if image is not None or len(samples) == 1:
            raise ValueError(f"sens: two sets go with several coils and no start image, got {len(samples)} coils")
        return State(least_squares(SetsModel(sampling, unit_sens), samples, rules.image_cg), unit_sens)
    model = CoilModel(sampling, unit_sens)
    if image is None:
        image = least_squares(model, samples, rules.image_cg)
    else:  # the given image may have the scale of another program
        seen = model.forward(image)
        image = image * complex((seen.conj() * samples).sum() / (xp.abs(seen) ** 2).sum().clip(1e-30))
    return State(image, unit_sens)
