"""One slice: run the method, and bring its outcome into data units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..algorithms.posterior_statistics import PosteriorStatistics, Welford
from ..algorithms.problem import Problem
from ..algorithms.state import State
from ..arrays.array_types import Array
from ..arrays.modules import array_module
from ..physics.coil_model import rss
from ..physics.fourier import divide
from .frame import Frame
from .options import Options


@dataclass(frozen=True, eq=False)
class SliceResult:
    """Image (y, x), sens (J, y, x), std (y, x) or None, and residual_std of the weighted samples, in data units.

    scale: of the solver's units; convergence: rhat and ess of a method that samples.
    coefficients: of the last sensitivities, from which a similar slice may start; None if they have none.
    maps: the number of sets.
    """

    image: Array
    sens: Array
    std: Array | None
    scale: float
    residual_std: float
    convergence: dict[str, float | None]
    coefficients: Array | None
    maps: int


def reconstruct_slice(problem: Problem, frame: Frame, known_sens: Array | None, prior: Any, options: Options,
                      seed: tuple[int, ...], kept: list[Array] | None, report: Callable[[State], None]) -> SliceResult:
    """Solve the problem by the method of the options; the samples go to `kept`.

    known_sens: the sensitivities as the caller gave them, in the frame.  report: called with each State.
    Raises ValueError for a result that is not finite.
    """
    method, samples, state, reference = options.method, options.num_samples, None, None
    statistics, residual_var = PosteriorStatistics(method.chain_shape(samples)[1]), Welford()
    for state in method.solve(problem, prior, samples, seed):
        report(state)
        if state.info.chain is None:
            reference = state
        elif state.info.is_draw:
            reference = _as_one_set(problem, state if reference is None else reference)
            image = _combined(_as_one_set(problem, state), reference.sens)
            statistics.add(image, state.info.chain)
            residual_var.add(state.info.residual_std**2)
            if kept and state.info.sample is not None:
                kept[state.info.sample][...] = image
    assert state is not None and reference is not None, "a method yields at least one State"
    reference = _as_one_set(problem, reference)
    units, weight = reference.units, rss(reference.sens)
    convergence: dict[str, float | None] = {}
    if options.samples is None:
        image, spread, std, residual_std = reference.image * weight, 1.0, None, reference.info.residual_std
    else:
        image, spread = statistics.mean, method.spread(prior, problem)
        std, residual_std = spread * statistics.std, residual_var.mean**0.5
        convergence = dict(zip(("rhat", "ess"), statistics.convergence()))
    factor: Any = units.scale  # from images times the RSS of their sensitivities to reported images
    if options.normalize:
        sens = divide(reference.sens, weight)
    elif known_sens is None:
        sens, factor = reference.sens, divide(factor, weight)
    else:
        sens, factor = known_sens * frame.sens_scale, divide(factor, rss(known_sens)) / frame.sens_scale
    for sample in kept or ():
        sample[...] = frame.out_of((image + spread * (sample - image)) * factor)
    image, std = frame.out_of(image * factor), None if std is None else std * factor
    _check_finite(image, sens, std)
    return SliceResult(image, sens, std, units.scale, float(units.to_user(residual_std)), convergence,
                       state.coefficients, problem.images.sets)


def _check_finite(*arrays: Array | None) -> None:
    """Raise ValueError unless the arrays of a result are finite; None has no numbers."""
    for array in arrays:
        if array is not None and not bool(array_module(array).isfinite(array).all()):
            raise ValueError("kspace: expected samples that give a finite image, got NaN or infinite numbers in the"
                             f" result (in {array.dtype})")


def _as_one_set(problem: Problem, state: State) -> State:
    """Return one image and one set of sensitivities, of RSS 1, for all sets; the phase is that of the first image.

    A state of one set stays as it is.
    """
    if state.image.ndim == len(problem.images.grid):
        return state
    xp = array_module(state.image)
    coil_images = (state.sens * state.image).sum(1)
    first = state.image[0]
    image = rss(coil_images) * divide(first, xp.abs(first))
    return replace(state, image=image, sens=divide(coil_images, image))


def _combined(state: State, reference: Array) -> Array:
    """Return the image times the RSS of its sensitivities, with its phase for the sensitivities `reference`."""
    image = state.image * rss(state.sens)
    if state.sens is reference:
        return image
    turn = (reference.conj() * state.sens).sum(0)
    return image * divide(turn, array_module(image).abs(turn))
