"""Lines of k-space that do not fit the others: a burst of noise, a spike, a line of the wrong phase or place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..algorithms.problem import Problem
from ..algorithms.state import State
from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module, move
from ..physics.cartesian import CartesianSampling
from ..physics.fourier import power_of_coils
from ..physics.nufft import Nufft
from .frame import Frame

LEFT_OUT = ("kspace: lines or samples that fit the others far worse than those beside them are left out: were they"
            " disturbed, by spikes or bursts of noise, or do they have another phase?")


@dataclass(frozen=True)
class LineRules:
    """When a line of a plane, or a readout along a trajectory, does not fit the others."""

    ratio: float = 10.0
    """Least power of its residual per sample, as a multiple of the median of the lines beside it, and of noise."""

    part: float = 0.1
    """Least power of its residual, as a part of the power of the line itself."""

    audible: float = 0.04
    """Least power of its residual per sample, as a part of the mean power of all samples: less changes no image."""

    beside: int = 6
    """Sampled lines that count as those beside it."""

    most: float = 0.05
    """Part of all lines that may not fit: of more, something else is wrong."""

    def __post_init__(self) -> None:
        check_fields(self, ["part", "most"])


def misfits(problem: Problem, state: State, frame: Frame, rules: LineRules) -> Array | None:
    """Return the samples of a plane in the data that do not fit the others, by a maximum; None for none.

    They are booleans (*grid), zero frequency at n // 2: rows or columns, or where there are both, the crossings, as of
    a spike.  Along a trajectory they are numbers of readouts.
    """
    sampling, readouts = problem.sampling, frame.readouts
    if not isinstance(sampling, CartesianSampling if readouts is None else Nufft):
        return None
    if len(problem.images.grid) > 2 or state.info.chain is not None:
        return None
    problem = problem.started_from(state)
    image = state.image if state.maximum is None else state.maximum
    _, power = problem.model(state.sens_by_coil).gradient(image, problem.samples)
    noise, xp = 2 * problem.coils * problem.noise_std**2, array_module(power)
    arrays = power, power_of_coils(problem.samples), sampling.coil_part
    if readouts is not None:
        own = len(readouts)  # those of a series have some more at the end, without weight
        wrong = _of_lines((move(xp.bincount(readouts, array[:own]), np) for array in arrays), noise, rules)
        return xp.asarray(np.flatnonzero(wrong)) if wrong.any() else None
    rows, columns = (_of_lines((move(xp.fft.fftshift(array.sum(axis)), np) for array in arrays), noise, rules)
                     for axis in (1, 0))
    crossings = rows[:, None] & columns if rows.any() and columns.any() else rows[:, None] | columns
    return frame.samples_out_of(xp.asarray(crossings)) if crossings.any() else None


def _of_lines(sums: Iterable[Array], noise: float, rules: LineRules) -> Array:
    """Return which lines (n,) do not fit.

    sums: over each line, (n,): power of the residual, of the samples, and their number; noise: power of a sample.
    Lines with less than half as many samples as the fullest tell nothing, and none does where not even the median line
    fits: then something else is wrong.
    """
    power, signal, count = sums
    full, wrong = np.flatnonzero(2 * count >= count.max()), np.zeros(len(count), bool)
    if len(full) <= rules.beside or not np.isfinite(power).all():
        return wrong
    mean, numbers = power[full] / count[full], np.arange(len(full))
    if np.median(mean) > rules.ratio * noise:
        return wrong
    first = (numbers - rules.beside // 2).clip(0, len(full) - 1 - rules.beside)
    beside = first[:, None] + np.arange(1 + rules.beside)
    others = np.where(beside == numbers[:, None], np.nan, mean[beside])
    least = rules.ratio * np.maximum(np.nanmedian(others, 1), noise)
    least = np.maximum(least, rules.audible * signal.sum() / count.sum())
    found = (mean > least) & (power[full] > rules.part * signal[full])
    wrong[full[found]] = found.sum() <= max(1, rules.most * len(full))
    return wrong
