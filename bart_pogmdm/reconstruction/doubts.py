"""Doubts about an image: sentences for `Result.info["warnings"]`.

They hold no numbers, so that slices with the same doubt share a sentence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ..algorithms.problem import Problem
from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import inner
from ..arrays.modules import array_module, move
from ..physics.acceleration import unseen_part
from ..physics.folding import folding
from ..physics.fourier import distances
from ..physics.noncartesian import on_grid
from ..physics.sampling import Sampling, Scan
from .frame import Frame
from .layout import place_of

Slice = TypeVar("Slice", int, Shape)  # by its number or its position


@dataclass(frozen=True)
class DoubtRules:
    """When the image of a slice is doubtful."""

    residual: float = 2.0
    """Residual in noise levels above which the samples are not explained: imperfect maps of real coils stay below.  A
    noise level as far above the samples themselves would explain anything."""

    unexplained: float = 0.03
    """Residual beyond the noise, as a part of the root mean square of the samples, below which it does not matter."""

    fit: float = 0.4
    """Fit of k-space to its shape about the centre, below which it has no centre: noise alone has 0.2."""

    distance: float = 1.5
    """Distance of the nearest sample to the centre of k-space, in samples, above which the centre is not sampled."""

    spike: float = 4.0
    """Amplitude of a sample far from the centre of k-space, as a multiple of that of the sample of rank `rank`."""

    rank: int = 16
    """Rank of that sample: the strongest ones lie about the centre."""

    far: float = 8.0
    """Distance from the centre of k-space, in samples, that is far."""

    folding: float = 0.8
    """Height of a copy of the image, by the pattern alone, above which the copy is not told from the image."""

    calibration: int = 24
    """Size of the centre of k-space, in samples, whose pattern must not be a lattice: the maps are found there."""

    unseen: float = 0.65
    """Part of the usual amplitude of k-space that the samples do not see, above which the prior makes up too much."""

    second: float = 0.002
    """Part of the energy of the coil images in a second set that nobody asked for, above which it may explain faults
    of the samples: the edges of a phantom have 0.0004, an object that folds over 0.0035."""

    zeros: float = 0.25
    """Part of the samples of a mask that may be zero in all coils, as those beyond an elliptic acquisition (0.22)."""

    valley: float = 10.0
    """Mean power on both sides of a line of k-space, as a multiple of its own, above which the line may be a gap."""

    valleys: float = 0.04
    """Part of the lines along an axis that may be so weak."""

    pixels: int = 100
    """Pixels for each sample of a coil, above which a point or the unit of a trajectory must be wrong."""

    lost: float = 0.1
    """Part of the points of a trajectory that may lie outside the grid."""

    spacing: float = 1.2
    """Distance of samples along readouts of even steps, in cycles per field of view, that resolves the field."""

    def __post_init__(self) -> None:
        check_fields(self, {"calibration": 2, "pixels": 1, "rank": 1},
                     ["residual", "unexplained", "fit", "distance", "spike", "far", "folding", "unseen", "second",
                      "zeros", "valley", "valleys", "lost", "spacing"])


def of_axes(kspace: Array, grid: Shape) -> list[str]:
    """Return the doubt whether the axes of k-space (…, J, *grid) are in the expected order.

    There are more coils than rows or columns, and an eighth of them, side by side, holds most of the energy, as it is
    along an axis of k-space.
    """
    coils = kspace.shape[-1 - len(grid)]
    if coils <= min(grid):
        return []
    xp = array_module(kspace)
    amplitude = abs(kspace).reshape(-1, coils, math.prod(grid)).max((0, 2))
    energy = (amplitude / amplitude.max()) ** 2
    part = sum(xp.roll(energy, shift) for shift in range(max(1, coils // 8)))
    if not bool(part.max() > energy.sum() / 2):
        return []
    return ["kspace: it has more coils than the image has rows or columns: are its axes (coil, y, x), or BART's"
            " (READ, PHS1, PHS2, COIL, ...)?"]


def of_trajectory(points: Array, readouts: Array, size: Shape, rules: DoubtRules) -> list[str]:
    """Return doubts about points (…, D, M) on a grid of some size.

    readouts: number of the readout of each sample, (M,).  ValueError if most points lie outside the grid, or if it is
    far too large for them.
    """
    grid, highest = " x ".join(map(str, size)), float(abs(points).max())
    if math.prod(size) > rules.pixels * points.shape[-1]:
        raise ValueError(f"dims: expected at most {rules.pixels} pixels for each sample, got a grid of {grid} for"
                         f" {points.shape[-1]} samples, with points up to {highest:.3g} cycles per field of view: is it"
                         " in 1/m or radians?")
    xp, doubts = array_module(points), []
    # A trajectory that all frames share is looked at once.
    points = points[tuple(slice(None if stride else 1) for stride in points.strides)]
    lost = 1 - float(on_grid(points, size).mean(-1).min())
    if lost > 0.5:
        raise ValueError(f"dims: expected a grid that holds the trajectory, got {grid}, and {100 * lost:.0f} % of the"
                         f" points lie outside, up to {highest:.3g} cycles per field of view: is it in 1/m or radians?")
    if lost > rules.lost:
        doubts.append("dims: a part of traj lies outside the grid and is left out")
    in_order = xp.argsort(readouts, kind="stable")
    step, same = xp.diff(points[..., in_order], axis=-1), xp.diff(readouts[in_order]) == 0
    if bool(same.any()):
        low, high = xp.quantile(xp.sqrt((step**2).sum(-2))[..., same], xp.asarray([0.1, 0.9]))
        if bool((low > rules.spacing) & (high < 2 * low)):
            doubts.append("traj: neighbouring samples of a readout do not resolve the field of view: is traj in cycles"
                          " per field of view?")
    return doubts


def of_scan(scan: Scan, frame: Frame, sampling: Sampling, known_sens: bool, rules: DoubtRules) -> list[str]:
    """Return doubts about the samples of a slice in its frame; known_sens: or those of a single coil."""
    doubts, (power, sampled), lost = [], scan.power(), frame.lost
    if lost + (1 - lost) * float((power[sampled] == 0).mean()) > rules.zeros:
        doubts.append("mask: many of its samples are zero in all coils: is it transposed or moved, or does it have"
                      " more samples than k-space?")
    elif any(_valleys(power, sampled, axis, rules.valley) > rules.valleys for axis in range(power.ndim)):
        doubts.append("kspace: many of its lines are far weaker than lines on both sides: are these gaps that hold"
                      " noise? They need a mask")
    return [*doubts, *_of_centre(power, sampled, frame.fit, rules), *_of_pattern(scan, sampling, known_sens, rules)]


def of_residual(problem: Problem, residual_std: float, image_noise: float, rules: DoubtRules) -> list[str]:
    """Return the doubts whether the samples of a slice are explained, and by what.

    residual_std: in data units; image_noise: that the method leaves in the image, in solver units.
    """
    noise = math.hypot(problem.noise_std, image_noise / problem.coils**0.5)
    residual = problem.units.to_solver(residual_std)
    unexplained = max(residual**2 - noise**2, 0.0) ** 0.5
    energy = float(sum(inner(coil, coil) for coil in problem.samples))  # of one at a time, since k-space may be large
    signal = energy / (2 * problem.coils * problem.sampling.count)
    if problem.noise_std > rules.residual * signal**0.5:
        return ["noise_std: it is larger than the samples, so that the image hardly depends on them: is it in the units"
                " of kspace?"]
    if residual > rules.residual * noise and unexplained > rules.unexplained * signal**0.5:
        return ["kspace: image and sensitivities do not explain the samples, the residual is far above the noise: check"
                " mask, traj, sens and iterations" + (
                    "" if problem.images.adds_up or len(problem.images.grid) > 2 else
                    "; an object larger than the field of view needs two sets of maps (-m 2, maps=2)")]
    return []


def of_problem(problem: Problem, second: float, maps: str | int, temporal: float | None,
               rules: DoubtRules) -> list[str]:
    """Return the doubts whether a slice has samples enough, and whether two sets that were not asked for are right.

    second: the part of the energy in the second set; maps, temporal: the options.  Frames with a temporal prior tell
    of each other.
    """
    doubts = []
    if maps == "auto" and second > rules.second:
        doubts.append("kspace: it takes two sets of sensitivities to explain the samples: either the object folds over,"
                      " or slices were excited together (sms), or lines or samples are wrong, as with the phase errors"
                      " of EPI")
    if temporal is not None or unseen_part(problem.sampling.sampled_part, problem.coils) <= rules.unseen:
        return doubts
    return [*doubts, "kspace: it has so few samples that large parts of the image are what the prior finds likely, and"
                     " may be wrong: the standard deviation of several samples of the posterior shows where"]


def _of_centre(power: Array, sampled: Array, fit: float, rules: DoubtRules) -> list[str]:
    """Return doubts about the centre of k-space, which is at n // 2, and about spikes far from it."""
    xp = array_module(power)
    distance = distances(*(xp.arange(n) - n // 2 for n in power.shape))[sampled]
    doubts, amplitude = [], xp.sqrt(power[sampled])
    if fit < rules.fit or bool(distance.min() > rules.distance):
        doubts.append("kspace: its centre is not sampled, or hardly stands out from noise, so that large parts of the"
                      " image are unknown: is it k-space, with all of its samples in place?")
    ranked = xp.sort(amplitude)[-min(rules.rank, len(amplitude))]
    if bool((amplitude[distance > rules.far] > rules.spike * ranked).any()):
        doubts.append("kspace: samples far from its centre are larger than those about it: spikes?")
    return doubts


def _valleys(power: Array, sampled: Array, axis: int, factor: float) -> float:
    """Return the part of the lines across an axis whose mean power is `factor` times smaller than on both sides.

    Only lines with at least half as many samples as the fullest are looked at: the mean of a few varies.
    """
    others = tuple(other for other in range(power.ndim) if other != axis)
    sums, counts = move(power.sum(others), np), move(sampled.sum(others), np)
    full = 2 * counts >= counts.max()
    line = sums[full] / counts[full]
    before, after = np.maximum.accumulate(line), np.maximum.accumulate(line[::-1])[::-1]
    return float((np.minimum(before, after) > factor * line).mean())


def _of_pattern(scan: Scan, sampling: Sampling, known_sens: bool, rules: DoubtRules) -> list[str]:
    """Return the doubt whether the image is folded."""
    if not known_sens:
        window = tuple(min(rules.calibration, n) for n in scan.shape)
        if folding(scan.low(window, window).sampled()[0].density) > rules.folding:
            return ["mask: the image may be folded, because a regular pattern does not tell sensitivities from copies"
                    " of the image: some neighbouring lines at the centre of k-space do, or known sensitivities"]
    elif math.prod(scan.shape) > scan.coils * sampling.count and folding(sampling.density) > rules.folding:
        return ["mask: the image may be folded, because a regular pattern with fewer samples of all coils than pixels"
                " does not tell the image from its copies"]
    return []


def by_sentence(doubts: Mapping[Slice, Sequence[str]]) -> dict[str, list[Slice]]:
    """Return {sentence: slices} for {slice: sentences}."""
    slices: dict[str, list[Slice]] = {}
    for one, sentences in doubts.items():
        for sentence in sentences:
            slices.setdefault(sentence, []).append(one)
    return slices


def gathered(doubts: Mapping[Shape, Sequence[str]], loop: Shape) -> list[str]:
    """Return each sentence once, followed by the positions of its slices where there are several in the loop."""
    places = {sentence: [place_of(index, loop) for index in slices] for sentence, slices in by_sentence(doubts).items()}
    return [f"{sentence} ({'; '.join(where)})" if where != [""] else sentence for sentence, where in places.items()]
