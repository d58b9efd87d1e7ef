"""Slices that are solved together: series that share their sensitivities, and simultaneous slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..algorithms.problem import Problem
from ..arrays.array_types import Array, Shape
from ..physics.coil_compression import CoilRules, above_noise
from ..physics.noise_level import estimate_noise
from ..physics.sampling import Scan
from ..prior.image_scale import ImageScale
from .doubts import of_scan
from .frame import Frame
from .inputs import Slices
from .options import Options, scale_of
from .second_set import folds_over
from .start import Measured, problem_of

MOST_NOISE = 1e6  # In largest samples, about: the squares of much larger numbers are infinite.
APART = ("kspace: the images of this series do not share their sensitivities, because their samples, or the boxes of"
         " k-space that were sampled, have other shapes")


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
    def of(cls, slices: Slices, index: Shape, number: int, options: Options) -> Part:
        """From the slices of a call.  ValueError for unusable samples."""
        scan, frame = slices.scan(index)
        unit = frame.weight * frame.scale
        noise_std = float(unit * estimate_noise(*scan.acquired(), options.rules.noise)
                          if options.noise_std is None else options.noise_std)
        if noise_std > MOST_NOISE * unit:
            raise ValueError(f"noise_std: expected it in the units of kspace, got {noise_std / unit:.3g} times the"
                             " largest sample")
        return cls(index, number, frame, noise_std, slices.sens(index), (), scan, slices.start(index))

    def with_coils(self, matrix: Array) -> Part:
        """Return the slice with combinations (I, J) of its coils."""
        return replace(self, scan=self.scan.combined(matrix), frame=replace(self.frame, coils=matrix))

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
        doubts = of_scan(self.scan, self.frame.fit, measured.sampling, measured.sens_model is None,
                         options.rules.doubts)
        return Place(self.index, self.number, self.frame, self.noise_std, self.sens, tuple(doubts)), measured


def with_fewer_coils(parts: list[Part], rules: CoilRules) -> list[Part]:
    """Return slices that have the same coils, of unknown sensitivities, without those that are lost in the noise."""
    if any(part.sens is not None or not part.scan.same_for_coils for part in parts):
        return parts
    matrix = above_noise([(part.scan.acquired()[0], part.noise_std / (part.frame.weight * part.frame.scale))
                          for part in parts], rules)
    return parts if matrix is None else [part.with_coils(matrix) for part in parts]


def problems_of(parts: list[Part], neighbour: Array | None, prior: Any,
                options: Options) -> Iterator[tuple[Sequence[Place], Problem]]:
    """Yield the slices that are solved together, with their problem: all of the parts, or one by one.

    Several parts are a series with unknown sensitivities, or simultaneous slices.  A series is solved one by one where
    the shapes of the samples differ, as in other boxes of k-space, or where the object folds over.  The list of parts
    is emptied, so that their samples need no memory beside those of the problem.
    ValueError for simultaneous slices of which something else is asked or given.
    """
    if options.sms:
        _check_shots(parts)
    if options.sms or options.temporal is not None:
        parts[:] = _about_one_centre(parts)
    alone = len(parts) == 1
    places: list[Place] = []
    slices: list[Measured] = []
    while parts:
        place, measured = parts.pop(0).measured(scale_of(prior), options, alone=alone)
        places.append(place)
        slices.append(measured)
    del measured
    if options.sms:
        if not _alike(slices):
            raise ValueError("sms: expected shots of several coils with samples of the same shape, and unknown sens")
        yield places, problem_of(Measured.simultaneous(slices), None, None, prior, options)
        return
    doubts: tuple[str, ...] = ()
    if options.temporal is not None and (alone or not _alike(slices)):
        raise ValueError("temporal: expected several frames along TIME, with samples of the same shape")
    if not alone and not _alike(slices):
        doubts = (APART,)
    elif not alone:
        problem = problem_of(Measured.series(slices), None, None, prior, options)
        problem = replace(problem, temporal=options.temporal)
        if slices[0].image is not None or not folds_over(problem, prior, options):
            del slices
            yield places, problem
            return
        options = replace(options, maps=2)
        del problem
    for place in places:
        sens = None if place.sens is None else place.frame.maps_into(place.sens)
        similar = None if neighbour is None else place.frame.coils_into(neighbour)
        yield ([replace(place, doubts=(*doubts, *place.doubts))],
               problem_of(slices.pop(0), sens, similar, prior, options))


def _check_shots(parts: Sequence[Part]) -> None:
    """Raise ValueError unless the parts can be shots of simultaneous slices."""
    if len(parts) < 2:
        raise ValueError("sms: expected SLICE longer than 1")
    if any(part.start is not None or part.frame.weight != 1 for part in parts):
        raise ValueError("sms: goes with a mask of zeros and ones, and without start")


def _about_one_centre(parts: Sequence[Part]) -> list[Part]:
    """Return the shots of simultaneous slices, or frames, about the one centre that their k-space has."""
    centre = max(parts, key=lambda part: part.frame.fit).frame.centre
    return [part.with_centre(centre) for part in parts]


def _alike(slices: Sequence[Measured]) -> bool:
    """Return True if slices have unknown sensitivities and arrays of the same shapes."""
    models = [one.sens_model for one in slices if one.sens_model]
    return len(models) == len(slices) and all(
        one.samples.shape == slices[0].samples.shape and model.samples.shape == models[0].samples.shape
        and one.images == slices[0].images for one, model in zip(slices, models))
