"""First steps at half the resolution, where they cost a part only: large structures need no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.fft import next_fast_len

from ..arrays.array_types import Array, Shape
from ..physics.fourier import interpolate, resample
from .problem import Problem
from .state import State

Steps = Callable[[Problem, range, "Array | None"], Iterator[State]]


@dataclass(frozen=True, eq=False)
class LowResolution:
    """A problem on a coarser grid of the same field of view, with the samples that this grid holds.

    fine: the problem itself.  The units are those in which the coarser images are as bright.
    """

    fine: Problem
    problem: Problem

    @classmethod
    def of(cls, fine: Problem, shortest: int) -> LowResolution | None:
        """Half the resolution; None where a side would be shorter, or the images of a series would differ in shape."""
        grid = tuple(2 * next_fast_len(-(-n // 4)) for n in fine.images.grid)  # even, and fast to transform
        low = fine.sampling.low(fine.samples, grid) if min(fine.images.grid) >= 2 * shortest else None
        if low is None:
            return None
        (sampling, samples), start = low, fine.start
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


def coarse_to_fine(problem: Problem, steps: range, coarse_steps: int, shortest: int, solve: Steps) -> Iterator[State]:
    """Yield the State after each of the steps, the first ones at half the resolution if the image is large enough.

    solve: yields the states of some steps, given the image before the first.  The fine steps go on with the direction
    of the coarse ones.
    """
    low = LowResolution.of(problem, shortest) if coarse_steps > 0 else None
    if low is None:
        yield from solve(problem, steps, None)
        return
    before = state = low.problem.start
    for after in solve(low.problem, range(steps.start, coarse_steps), None):
        before, state = state, after
        yield state
    step = before.units.followed / state.units.followed
    fine = solve(problem.started_from(low.refined(state)), range(coarse_steps, steps.stop),
                 low.refined_image(before) * step)
    del low, before, state  # the fine steps need their memory
    yield from fine
