"""The outcome of a method for one slice, in data units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..algorithms.joint_map import Map
from ..algorithms.posterior_statistics import PosteriorStatistics, Welford
from ..algorithms.problem import Problem
from ..algorithms.state import State
from ..arrays.array_types import Array
from ..arrays.conjugate_gradients import inner
from ..arrays.modules import array_module
from ..arrays.threads import pieces
from ..physics.coil_model import rss
from ..physics.fourier import axes_of, divide, filtered, interpolate, power_of_coils
from ..physics.sobolev_maps import MapsByCoil, SobolevMaps
from .frame import Frame
from .misfit_lines import misfits
from .options import Options


@dataclass(frozen=True, eq=False)
class SliceResult:
    """Image (*grid), std (*grid) or None, and residual_std of the weighted samples, in data units.

    sens_std: (J, *grid), that of the sensitivities where these were drawn, else None.
    scale: of the solver's units; convergence: rhat and ess of a method that samples.
    coefficients: of the last sensitivities, from which a similar slice may start; None if they have none, or two sets.
    maps: the number of sets; second: the part of the energy of the coil images in the second one.
    steps: to the maximum.  misfits: samples (*grid), or numbers of readouts, that do not fit the others, or None.
    """

    image: Array
    std: Array | None
    sens_std: Array | None
    scale: float
    residual_std: float
    convergence: dict[str, float | None]
    coefficients: Array | None
    maps: int
    second: float
    steps: int
    misfits: Array | None


def solve(problem: Problem, collectors: Sequence[Collector], prior: Any, options: Options, seed: tuple[int, ...],
          report: Callable[[State, int], None]) -> list[SliceResult]:
    """Solve the problem of a slice, or of the slices of a series, by the method of the options.

    collectors: one for each slice; report: called with each State and the number of slices.
    """
    for state in options.method.solve(problem, prior, options.num_samples, seed):
        report(state, len(collectors))
        for number, collector in enumerate(collectors):
            collector.add(state if len(collectors) == 1 else state.image_of(number))
    del state  # the results need the memory of its images
    return [collector.result(prior) for collector in collectors]


class Collector:
    """Brings the States of one slice into data units: its final image, or the statistics of its draws.

    known_sens: the sensitivities as the caller gave them, in the scale of the frame.
    sens, kept: where the sensitivities (J, *grid) and the samples go.
    """

    def __init__(self, problem: Problem, frame: Frame, known_sens: Array | None, options: Options, sens: Array,
                 kept: list[Array] | None) -> None:
        self._problem, self._frame, self._known_sens, self._options, self._final_sens, self._kept = (
            problem, frame, known_sens, options, sens, kept)
        self._statistics = PosteriorStatistics(options.method.chain_shape(options.num_samples)[1])
        self._residual_var = Welford()
        self._sens: list[Welford] = []  # of a few coils each
        self._reference_sens: Array | MapsByCoil | None = None
        self._reference: State | None = None
        self._last: State | None = None
        self._steps = 0

    def add(self, state: State) -> None:
        """Take the next State into account: the maximum is the reference of the draws that follow."""
        self._last = state
        if state.info.chain is None:
            self._reference, self._steps = state, self._steps + 1
        elif state.info.is_draw:
            if self._reference_sens is None:
                self._reference = self._reference or state
                self._reference_sens = (_sets_together(self._reference, self._frame)[1] if self._problem.images.adds_up
                                        else self._reference.sens_by_coil)
            image, sens, factor = _drawn(self._problem, state, self._reference_sens, self._frame)
            self._statistics.add(image, state.info.chain)
            if self._problem.sens_model:
                parts = pieces(len(sens), state.image)
                self._sens = self._sens or [Welford() for _ in parts]
                for coils, statistics in zip(parts, self._sens):
                    statistics.add(sens[coils] * factor)
            self._residual_var.add(state.info.residual_std**2)
            if self._kept and state.info.sample is not None:
                self._kept[state.info.sample][...] = image

    def result(self, prior: Any) -> SliceResult:
        """Return the result, and write the sensitivities.  Raises ValueError for a result that is not finite."""
        reference, last, problem, frame = self._reference, self._last, self._problem, self._frame
        known_sens, options, kept, statistics = self._known_sens, self._options, self._kept, self._statistics
        assert reference is not None and last is not None, "a method yields at least one State"
        units = reference.units
        second, found = 0.0, misfits(problem, reference, frame, options.rules.lines)
        if problem.images.adds_up:
            second = _second_part(reference)
            image, sens = _sets_together(reference, frame)
            parts = iter([(slice(None), sens)])
        else:
            image = frame.out_of(reference.image * reference.weight)
            parts = _maps(reference, frame, known_sens, options)
        weight, of_data = self._write(parts)
        coefficients = (None if last.coefficients is None or problem.images.adds_up else
                        frame.coils_out_of(last.coefficients))
        mean_weights, residual_std = reference.mean_weights, reference.info.residual_std
        del reference, last, parts
        self._reference = self._last = self._reference_sens = None  # they hold images
        convergence: dict[str, float | None] = {}
        if isinstance(options.method, Map):  # there are no draws
            std, spread = None, 1.0
        else:
            rhat, ess = statistics.convergence()
            image = self._mean(image, mean_weights, options.method.to_mean)
            std = options.method.std(statistics, prior, problem)
            spread = float((std**2).sum() / (statistics.std**2).sum().clip(1e-30)) ** 0.5  # one for the whole image
            residual_std = self._residual_var.mean**0.5
            convergence = {"rhat": rhat, "ess": ess}
        factor: Any = units.scale * of_data  # from images times the RSS of their sensitivities to reported images
        if not options.normalize:
            factor = (divide(units.scale, weight) if known_sens is None else
                      divide(units.scale, rss(known_sens)) / frame.sens_scale)
        for sample in kept or ():
            sample[...] = (image + spread * (sample - statistics.mean)) * factor
        image, std = image * factor, None if std is None else std * factor
        sens_std = self._sens_std(divide(1.0, of_data) if options.normalize else weight, prior)
        _check_finite(image, weight, std)
        return SliceResult(image, std, sens_std, units.scale * frame.interpolation, float(units.to_user(residual_std)),
                           convergence, coefficients, problem.images.sets, second, self._steps,
                           found)

    def _mean(self, estimate: Array, weights: Array | None, part: float) -> Array:
        """Return the estimate (*grid) that was there before the draws, moved a part of the way towards their mean.

        weights: how far each frequency of the estimate has been moved towards a mean already, or None.
        """
        step, frame = self._statistics.mean - estimate, self._frame
        if weights is not None:
            weights = weights[0] if self._problem.images.adds_up else weights
            step = step - frame.out_of(filtered(weights, frame.into(step), axes_of(weights.shape)))
        return estimate + float(part) * step

    def _write(self, parts: Iterator[tuple[slice, Array]]) -> tuple[Array, Array]:
        """Write the sensitivities, of which some rows at a time come, to their place, and return their RSS.

        And the RSS that they have in the coils of the data where it is 1 in those of the frame.
        """
        xp, normalize, known_sens = array_module(self._final_sens), self._options.normalize, self._known_sens
        weights, of_data, ramp = [], [], self._frame.sens_ramp(self._final_sens)
        for rows, sens in parts:
            weight = rss(sens)
            weights.append(weight)
            if normalize:
                sens = divide(sens, weight)
            elif known_sens is not None:
                sens = known_sens * self._frame.sens_scale
            sens = self._frame.coils_out_of(sens)
            if normalize and not self._frame.keeps_rss:
                of_data.append(rss(sens))
                sens = divide(sens, of_data[-1])
            self._final_sens[:, rows] = sens if ramp is None else sens * ramp[rows]
        weight = xp.concatenate(weights)
        return weight, xp.concatenate(of_data) if of_data else xp.ones_like(weight[:1])

    def _sens_std(self, weight: Any, prior: Any) -> Array | None:
        """Return the standard deviation of the sensitivities, times a weight; None for known ones."""
        if not self._sens or isinstance(self._options.method, Map):
            return None
        spread = self._options.method.temperature(prior, self._problem) ** -0.5
        squares = array_module(self._final_sens).concatenate([part.squares for part in self._sens])
        std = spread * (squares / max(self._sens[0].count - 1, 1)) ** 0.5
        std = interpolate(std, self._frame.grid) if self._frame.grid and std.shape[1:] != self._frame.grid else std
        return self._frame.std_out_of(std * weight)


def _check_finite(*arrays: Array | None) -> None:
    """Raise ValueError unless the arrays of a result are finite; None has no numbers."""
    for array in arrays:
        if array is not None and not bool(array_module(array).isfinite(array).all()):
            raise ValueError("kspace: expected samples that give a finite image, got NaN or infinite numbers in the"
                             f" result (in {array.dtype})")


def _maps(state: State, frame: Frame, known_sens: Array | None, options: Options) -> Iterator[tuple[slice, Array]]:
    """Yield rows of the grid of the data, and the sensitivities (J, *rows) of a state there."""
    maps, coefficients = state.maps, state.coefficients
    if coefficients is not None and frame.grid:
        maps = SobolevMaps.on_grid(frame.grid, frame.box, coefficients.dtype, options.rules.sens,
                                   array_module(state.image))
    if coefficients is not None and isinstance(maps, SobolevMaps):
        return maps.in_parts(coefficients)
    if not frame.grid:
        return iter([(slice(None), state.sens)])
    whole = interpolate(state.sens, frame.grid) if known_sens is None else divide(known_sens, rss(known_sens))
    return iter([(slice(None), whole)])


def _drawn(problem: Problem, state: State, reference: Array | MapsByCoil,
           frame: Frame) -> tuple[Array, Array | MapsByCoil, Array]:
    """Return the image of a draw, times the RSS of its sensitivities, these, and a factor with which they have RSS 1.

    The image is as it is in the data.  Image and products of both have the phase for the sensitivities `reference`.
    """
    adds_up = problem.images.adds_up
    image, sens = _sets_together(state, frame) if adds_up else (state.image, state.sens_by_coil)
    power: Any = 0
    turn: Any = 0
    for coils in pieces(len(sens), image):
        own = sens[coils]  # made anew each time for a volume
        power, turn = power + power_of_coils(own), turn + (reference[coils].conj() * own).sum(0)
    xp = array_module(image)
    weight, turn = xp.sqrt(power), divide(turn, xp.abs(turn))
    image = image * (weight * turn)
    return image if adds_up else frame.out_of(image), sens, divide(turn.conj(), weight)


def _second_part(state: State) -> float:
    """Return the part of the energy of the coil images of two sets that the second has."""
    first, second = (float(inner(coil_images, coil_images))
                     for coil_images in (state.sens[:, number] * state.image[number] for number in (0, 1)))
    return second / max(first + second, 1e-30)


def _sets_together(state: State, frame: Frame) -> tuple[Array, Array]:
    """Return one image and one set of sensitivities, of RSS 1, for all sets, as they are in the data.

    The phase is that of the first image.
    """
    xp = array_module(state.image)
    coil_images, first = frame.out_of((state.sens * state.image).sum(1)), frame.out_of(state.image[0])
    image = rss(coil_images) * divide(first, xp.abs(first))
    return image, divide(coil_images, image)
