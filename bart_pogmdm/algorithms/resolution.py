"""First steps at half the resolution, where they cost a part only: large structures need no more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import next_fast_len

from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import inner
from ..arrays.modules import array_module
from ..physics.fourier import interpolate, resample
from ..physics.phase_poles import winding_in_light
from ..prior.smooth_phase import SmoothPhase
from .held_out import HeldOut
from .problem import Problem
from .state import State


@dataclass(frozen=True, eq=False)
class LowResolution:
    """A problem on a coarser grid of the same field of view, with the samples that this grid holds.

    fine: the problem itself.  The units are those in which the coarser images are as bright.
    """

    fine: Problem
    problem: Problem

    @classmethod
    def of(cls, fine: Problem, shortest: int) -> LowResolution | None:
        """Half the resolution; None where a side would be shorter."""
        if min(fine.images.grid) < 2 * shortest:
            return None
        grid = tuple(2 * next_fast_len(-(-n // 4)) for n in fine.images.grid)  # even, and fast to transform
        (sampling, samples), start = fine.sampling.low(fine.samples, grid), fine.start
        model = fine.sens_model and fine.sens_model.on_grid(grid)
        maps = model.maps if model and start.coefficients is not None else interpolate(start.sens, grid)
        problem = replace(fine, sampling=sampling, samples=samples, sens_model=model,
                          images=replace(fine.images, grid=grid),
                          start=replace(start, image=resample(start.image, grid), maps=maps))
        return cls(fine, problem.in_units(_brighter(fine.images.grid, grid)))

    def refined(self, state: State) -> State:
        """Return a state at full resolution."""
        fine, model = self.fine, self.fine.sens_model
        maps = model.maps if model and state.coefficients is not None else fine.start.maps
        return replace(state, image=self.refined_image(state), maps=maps,
                       units=replace(fine.units, followed=state.units.followed))

    def refined_image(self, state: State) -> Array:
        """Return the image of a state at full resolution, with the high frequencies of the start of the problem."""
        fine, grid = self.fine, self.problem.images.grid
        start = fine.start.image / (state.units.followed / fine.units.followed)
        high = start - resample(resample(start, grid), fine.images.grid)
        return resample(state.image * _brighter(fine.images.grid, grid), fine.images.grid) + high


def _brighter(grid: Shape, coarse: Shape) -> float:
    """Return the factor by which a unitary transform to a coarser grid makes images brighter."""
    return float(np.prod(grid) / np.prod(coarse)) ** 0.5


def _low(held_out: HeldOut, rest: LowResolution, shortest: int) -> HeldOut | None:
    """Return the samples held out of the rest that a coarser grid holds; None if none, or other lines without them."""
    whole = LowResolution.of(held_out.problem, shortest)
    assert whole is not None, "the rest of the problem has one"
    radii = (problem.sampling.radius(problem.sampling.shape) for problem in (whole.problem, rest.problem))
    of_whole, of_rest = (array_module(radius).isfinite(radius) for radius in radii)
    if of_whole.shape != of_rest.shape or not bool((which := of_whole & ~of_rest).any()):
        return None
    return HeldOut(whole.problem, which, held_out.rules)


@dataclass(frozen=True)
class CoarseSteps:
    """The first steps, at half the resolution, or at the whole one if the image is small.

    In a plane they are as many as the image needs.  Without held-out samples nothing tells when several coils fit
    noise, and volumes gain nothing by more steps: then their number is the usual one.  With one coil no held-out sample
    tells of others: it takes the usual number at least, and more unless its phase winds about a point in the light,
    where they may make a hole.
    """

    change: float = 0.005
    """They end with a step that changes the image by less than this part of it: further ones change it hardly."""

    look: int = 5
    """Steps from one look to the next.  Where held-out samples are fitted worse than before, the steps end; with one
    coil where the smooth phase of the image winds about a point in the light."""

    longest: float = 3.0
    """Number of steps at most, as a multiple of the usual one."""

    shortest: int = 64
    """Shortest side of an image at half the resolution: a smaller one hardly tells image and sensitivities apart."""

    def __post_init__(self) -> None:
        check_fields(self)

    def most(self, usual: int) -> int:
        """Return the number of steps at most."""
        return max(int(self.longest * usual), usual)

    def of(self, problem: Problem, usual: int, solve: Callable[..., Iterator[State]], phase: SmoothPhase,
           held_out: HeldOut | None = None) -> Generator[State, None, tuple[Problem, Array, int]]:
        """Yield the State after each step; solve: yields those of some steps, which it makes `smoother` at first.

        usual: their number where it is fixed; phase: how that of the image is found; held_out: samples that the
        problem lacks.  Where these end the steps, the state that fitted them best is taken as the last.
        Returns the problem itself, started from the last state, the image before that, and the number of steps.
        """
        low, count = LowResolution.of(problem, self.shortest) if usual > 0 else None, 0
        coarse = low.problem if low else problem
        is_plane = len(problem.images.grid) == 2
        held_out = None if problem.one_coil or not is_plane else held_out
        held_out = _low(held_out, low, self.shortest) if held_out and low else held_out
        rule = phase.within(coarse.known_radius) if problem.one_coil and is_plane else None
        before = state = coarse.start
        best, least = (before, state, count), None
        for after in solve(coarse, range(self.most(usual) if held_out or rule else usual), smoother=usual):
            before, state, count = state, after, count + 1
            yield state
            if not held_out and not (rule and count >= usual):
                continue
            difference = state.image - before.image
            if float(inner(difference, difference) - self.change**2 * inner(state.image, state.image)) <= 0:
                break
            if count % self.look:
                continue
            if rule and winding_in_light(rule.turn(state.image)[None], abs(state.image) ** 2).any():
                break
            if held_out:
                misfit = held_out.misfit(state)
                if least is not None and held_out.are_fitted_worse(misfit, least):
                    before, state, count = best
                    break
                if least is None or misfit.sum() < least.sum():
                    best, least = (before, state, count), misfit
        previous = low.refined_image(before) if low else before.image
        fine = problem.started_from(low.refined(state) if low else state)
        return fine, previous * (before.units.followed / state.units.followed), count
