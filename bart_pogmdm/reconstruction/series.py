"""Slices that are solved together: series that share their sensitivities, and simultaneous slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..algorithms.problem import Problem
from ..arrays.array_types import Array, Shape
from ..arrays.modules import array_module
from ..physics.coil_compression import CoilRules, above_noise
from ..physics.kspace_centre import find_centre
from ..physics.noise_level import broken_coils, coil_levels, estimate_noise
from ..physics.sampling import Scan
from ..prior.image_scale import ImageScale
from .doubts import of_series
from .frame import Frame
from .inputs import Slices
from .misfit_lines import LEFT_OUT
from .options import Options
from .rules import Rules
from .sample_doubts import of_scan
from .second_set import folds_over
from .start import Measured, problem_of

Explained = Callable[[Shape], AbstractContextManager[None]]  # In this context errors name the slice at an index.
BROKEN = "kspace: the noise of a coil is so far above its signal that the coil is left out: is it broken?"
MOST_NOISE = 1e6  # In largest samples, about: the squares of much larger numbers are infinite.


@dataclass(frozen=True, eq=False)
class Place:
    """A slice of a call: its place and number, its frame, its noise in data units, and what is known of it.

    sens: known sensitivities in the scale of the frame, or None.
    doubts: sentences about its samples, and about how it is solved.
    """

    index: Shape
    number: int
    frame: Frame
    noise_std: float
    sens: Array | None
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Part(Place):
    """A slice with its samples, and with an image to start from in data units, or None."""

    scan: Scan
    start: Array | None

    @classmethod
    def of(cls, slices: Slices, index: Shape, group: tuple[Shape, ...], number: int, options: Options,
           misfits: Array | None = None) -> Part:
        """From the slices of a call; group: those that are solved together; misfits: samples that are left out.

        ValueError for unusable samples.
        """
        (scan, frame), sens = slices.scan(index, group, misfits), slices.sens(index)
        # The maps of coils that are sought for a slice alone have a ramp of a few cycles anyway.  So the phase of the
        # image does not jump from slice to slice where the centre is between two samples.
        has_own_sens, width = len(group) == 1 and scan.coils > 1 and sens is None, options.rules.centre.width
        frame = replace(frame, in_sens=has_own_sens and max(map(abs, frame.centre)) <= width)
        unit = frame.weight * frame.scale
        noise_std = float(unit * estimate_noise(*scan.acquired(), options.rules.noise)
                          if options.noise_std is None else options.noise_std)
        if noise_std > MOST_NOISE * unit:
            raise ValueError(f"noise_std: expected it in the units of kspace, got {noise_std / unit:.3g} times the"
                             " largest sample")
        doubts = () if misfits is None else (LEFT_OUT,)
        return cls(index, number, frame, noise_std, sens, doubts, scan, slices.start(index))

    @property
    def unit(self) -> float:
        """Data units in a unit of the samples, for those of weight 1."""
        return self.frame.weight * self.frame.scale

    def with_coils(self, matrix: Array) -> Part:
        """Return the slice with combinations (I, J) of its coils."""
        return replace(self, scan=self.scan.combined(matrix), frame=self.frame.with_coils(matrix, matrix.conj().T))

    def with_levels(self, levels: Array, kept: Array, rules: Rules) -> Part:
        """Return the slice with noise of the same level in all coils, which are divided by their levels (J,).

        kept: which coils are not left out, booleans (J,).
        """
        matrix = np.diag(1 / levels)[kept]
        frame = self.frame.with_coils(matrix, np.diag(levels)[:, kept])
        scan = self.scan.divided(levels) if kept.all() else self.scan.combined(matrix)  # the first needs less memory
        noise_std, centre = self.unit * estimate_noise(*scan.acquired(), rules.noise), find_centre(scan, rules.centre)
        if not any(centre.place):  # the noise of a coil may have hidden the centre, but it was found
            frame = replace(frame, fit=centre.fit)
        sens = self.sens
        if sens is not None:
            sens = sens / array_module(sens).asarray(levels, sens.real.dtype).reshape(-1, *(1,) * (sens.ndim - 1))
        doubts = self.doubts if kept.all() else (*self.doubts, BROKEN)
        return replace(self, scan=scan, frame=frame, noise_std=float(noise_std), sens=sens, doubts=doubts)

    def with_centre(self, centre: Shape) -> Part:
        """Return the slice with another point of k-space in the place of zero frequency."""
        step = tuple(new - old for new, old in zip(centre, self.frame.centre))
        if not any(step):
            return self
        return replace(self, scan=self.scan.moved(step), frame=replace(self.frame, centre=centre))

    def measured(self, scale: ImageScale, options: Options, *, alone: bool) -> tuple[Place, Measured]:
        """Return the slice without its samples, and as the solver sees it, alone or beside others.

        ValueError for unusable samples.
        """
        measured = Measured.of(self.scan, self.frame, self.noise_std / self.frame.weight, self.start, scale,
                               options.rules, known_sens=self.sens is not None, alone=alone)
        doubts = of_scan(self.scan, self.frame, measured.sampling, measured.sens_model is None, options.rules.doubts)
        frame = replace(self.frame, readouts=self.scan.readouts)
        return Place(self.index, self.number, frame, self.noise_std, self.sens, (*self.doubts, *doubts)), measured


def prepared(parts: list[Part], options: Options) -> list[Part]:
    """Return slices that are solved together about one centre, if they need one, and with even noise in their coils.

    Coils whose signal is lost in it are left out.  ValueError for slices that cannot be solved together as the options
    say.
    """
    if options.temporal is not None and len(parts) < 2:
        raise ValueError("temporal: expected several frames along TIME, got one")
    if options.sms:
        _check_shots(parts)
    if options.sms or options.temporal is not None:
        parts = _about_one_centre(parts)
    if options.noise_std is None:
        parts = _with_even_noise(parts, options.rules)
    return _with_fewer_coils(parts, options.rules.coils)


def _with_even_noise(parts: list[Part], rules: Rules) -> list[Part]:
    """Return slices that have the same coils with noise of the same level in all of these."""
    if any(part.scan.coils == 1 or not part.scan.same_for_coils for part in parts):
        return parts

    def scans() -> Iterator[tuple[Array, Array, float]]:
        return ((*part.scan.acquired(), part.unit / parts[0].unit) for part in parts)

    levels = coil_levels(scans(), rules.noise)
    if levels is None:
        return parts
    # Known maps are no less certain for the noise of their coils.
    kept = np.ones(len(levels), bool) if parts[0].sens is not None else ~broken_coils(scans(), levels, rules.noise)
    levels = levels / np.exp(np.log(levels[kept]).mean())
    return [part.with_levels(levels, kept, rules) for part in parts]


def _with_fewer_coils(parts: list[Part], rules: CoilRules) -> list[Part]:
    """Return slices that have the same coils, of unknown sensitivities, without those that are lost in the noise."""
    if any(part.sens is not None or not part.scan.same_for_coils for part in parts):
        return parts
    matrix = above_noise([(part.scan.acquired()[0], part.noise_std / part.unit) for part in parts], rules)
    return parts if matrix is None else [part.with_coils(matrix) for part in parts]


def problems_of(places: Sequence[Place], slices: list[Measured], neighbour: Array | None, prior: Any, options: Options,
                explained: Explained) -> Iterator[tuple[Sequence[Place], Problem]]:
    """Yield the slices that are solved together, with their problem: all of them, or one by one.

    Several slices are a series with unknown sensitivities, or simultaneous ones.  A series is solved one by one where
    the object folds over, or where its images do not share their sensitivities.  The list of slices is emptied, so that
    they need no memory beside the problem.
    """
    if len(slices) > 1 or options.sms:
        with explained(places[0].index):
            problem = _together(slices, prior, options)
            doubts = of_series(problem, options)
            folds = (all(problem_of(one, None, None, prior, options).images.sets > 1 for one in slices) if doubts else
                     slices[0].image is None and folds_over(problem, prior, options))  # a start image has one set
        if folds:
            options = replace(options, maps=2)
        else:
            places = [replace(place, doubts=(*place.doubts, *doubts)) for place in places]
        if options.temporal is not None or not (folds or doubts):
            slices.clear()
            yield places, problem
            return
        del problem
    for place in places:
        with explained(place.index):
            sens = None if place.sens is None else place.frame.maps_into(place.sens)
            similar = None if neighbour is None else place.frame.coils_into(neighbour)
            problem = problem_of(slices.pop(0), sens, similar, prior, options)
        yield [place], problem


def _together(slices: Sequence[Measured], prior: Any, options: Options) -> Problem:
    """Return the problem of simultaneous slices, or of a series."""
    if options.sms:
        return problem_of(Measured.simultaneous(slices), None, None, prior, options)
    return replace(problem_of(Measured.series(slices), None, None, prior, options), temporal=options.temporal)


def _check_shots(parts: Sequence[Part]) -> None:
    """Raise ValueError unless the parts can be shots of simultaneous slices."""
    if len(parts) < 2:
        raise ValueError("sms: expected SLICE longer than 1")
    if any(part.start is not None or part.frame.weight != 1 for part in parts):
        raise ValueError("sms: goes with a mask of zeros and ones, and without a start image")
    if any(part.sens is not None or part.scan.coils == 1 for part in parts):
        raise ValueError("sms: expected shots of several coils, and unknown sensitivities")


def _about_one_centre(parts: Sequence[Part]) -> list[Part]:
    """Return the shots of simultaneous slices, or frames, about the one centre that their k-space has."""
    centre = max(parts, key=lambda part: part.frame.fit).frame.centre
    return [part.with_centre(centre) for part in parts]
