"""Slices that are solved together: series that share their sensitivities, and simultaneous slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..algorithms.problem import Problem
from ..arrays.array_types import Array, Shape
from ..physics.coil_compression import CoilRules, above_noise
from ..physics.noise_level import estimate_noise
from ..physics.sampling import Scan
from ..prior.image_scale import ImageScale
from .frame import Frame
from .inputs import Slices
from .options import Options
from .start import Measured, folds_over, problem_of

APART = ("kspace: the images of this series do not share their sensitivities, because their samples, or the boxes of"
         " k-space that were sampled, have other shapes")


@dataclass(frozen=True, eq=False)
class Part:
    """A slice of a call: its place and number, how it was measured, its noise in data units, and what is known of it.

    sens, start: known sensitivities and an image to start from, in the scale of the frame and of the data, or None.
    doubts: sentences about how it is solved.
    """

    index: Shape
    number: int
    scan: Scan
    frame: Frame
    noise_std: float
    sens: Array | None
    start: Array | None
    doubts: tuple[str, ...] = ()

    @classmethod
    def of(cls, slices: Slices, index: Shape, number: int, options: Options) -> Part:
        """From the slices of a call.  ValueError for unusable samples."""
        scan, frame = slices.scan(index)
        noise_std = float(frame.weight * frame.scale * estimate_noise(*scan.acquired(), options.rules.noise)
                          if options.noise_std is None else options.noise_std)
        return cls(index, number, scan, frame, noise_std, slices.sens(index), slices.start(index))

    def with_coils(self, matrix: Array) -> Part:
        """Return the slice with combinations (I, J) of its coils."""
        return replace(self, scan=self.scan.combined(matrix), frame=replace(self.frame, coils=matrix))

    def with_centre(self, centre: Shape) -> Part:
        """Return the slice with another point of k-space in the place of zero frequency."""
        step = tuple(new - old for new, old in zip(centre, self.frame.centre))
        if not any(step):
            return self
        return replace(self, scan=self.scan.moved(step), frame=replace(self.frame, centre=centre))

    def measured(self, scale: ImageScale, options: Options) -> Measured:
        """Return the slice as the solver sees it.  ValueError for unusable samples."""
        return Measured.of(self.scan, self.frame, self.noise_std / self.frame.weight, self.start, scale, options.rules,
                           known_sens=self.sens is not None)


def with_fewer_coils(parts: list[Part], rules: CoilRules) -> list[Part]:
    """Return slices that have the same coils, of unknown sensitivities, without those that are lost in the noise."""
    if any(part.sens is not None or not part.scan.same_for_coils for part in parts):
        return parts
    matrix = above_noise([(part.scan.acquired()[0], part.noise_std / (part.frame.weight * part.frame.scale))
                          for part in parts], rules)
    return parts if matrix is None else [part.with_coils(matrix) for part in parts]


def problems_of(parts: Sequence[Part], neighbour: Array | None, scale: ImageScale,
                options: Options) -> Iterator[tuple[Sequence[Part], Problem]]:
    """Yield the slices that are solved together, with their problem: all of the parts, or one by one.

    Several parts are a series with unknown sensitivities, or simultaneous slices.  A series is solved one by one where
    the shapes of the samples differ, as in other boxes of k-space, or where the object folds over.
    ValueError for simultaneous slices of which something else is asked or given.
    """
    if options.sms:
        yield _simultaneous(parts, scale, options)
        return
    slices = [part.measured(scale, options) for part in parts]
    doubts: tuple[str, ...] = ()
    if len(parts) > 1 and not _alike(slices):
        doubts = (APART,)
    elif len(parts) > 1:
        problem = problem_of(Measured.series(slices), None, None, scale, options)
        if slices[0].image is not None or not folds_over(problem, options):
            yield parts, problem
            return
    for part, measured in zip(parts, slices):
        sens = None if part.sens is None else part.frame.maps_into(part.sens)
        similar = None if neighbour is None else part.frame.coils_into(neighbour)
        yield [replace(part, doubts=doubts)], problem_of(measured, sens, similar, scale, options)


def _simultaneous(parts: Sequence[Part], scale: ImageScale, options: Options) -> tuple[Sequence[Part], Problem]:
    """Return the shots of simultaneous slices, with the one centre that their k-space has, and their problem."""
    if len(parts) < 2:
        raise ValueError("sms: expected SLICE longer than 1")
    if any(part.start is not None or part.frame.weight != 1 for part in parts):
        raise ValueError("sms: goes with a mask of zeros and ones, and without start")
    centre = max(parts, key=lambda part: part.frame.fit).frame.centre
    parts = [part.with_centre(centre) for part in parts]
    slices = [part.measured(scale, options) for part in parts]
    if not _alike(slices):
        raise ValueError("sms: expected shots of several coils with samples of the same shape, and unknown sens")
    return parts, problem_of(Measured.simultaneous(slices), None, None, scale, options)


def _alike(slices: Sequence[Measured]) -> bool:
    """Return True if slices have unknown sensitivities and arrays of the same shapes."""
    models = [one.sens_model for one in slices if one.sens_model]
    return len(models) == len(slices) and all(
        one.samples.shape == slices[0].samples.shape and model.samples.shape == models[0].samples.shape
        and one.images == slices[0].images for one, model in zip(slices, models))
