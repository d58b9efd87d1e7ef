"""Doubts about an image: sentences for `Result.info["warnings"]`, without numbers, so that slices can share one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..algorithms.problem import Problem
from ..arrays.array_types import Array, Shape
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from ..physics.folding import folding
from ..physics.fourier import power_of_coils
from ..physics.sampling import Scan


@dataclass(frozen=True)
class DoubtRules:
    """When the image of a slice is doubtful."""

    residual: float = 2.0
    """Residual in noise levels above which the samples are not explained: imperfect maps of real coils stay below."""

    unexplained: float = 0.03
    """Residual beyond the noise, as a part of the root mean square of the samples, below which it does not matter."""

    folding: float = 0.8
    """Height of a copy of the image, by the pattern alone, above which the copy is not told from the image."""

    calibration: int = 24
    """Size of the centre of k-space, in samples, whose pattern must not be a lattice: the maps are found there."""

    zeros: float = 0.2
    """Part of the samples of a mask that may be zero in all coils, as those beyond an elliptic acquisition."""

    pixels: int = 100
    """Pixels for each sample of a coil, above which a point or the unit of a trajectory must be wrong."""

    lost: float = 0.1
    """Part of the points of a trajectory that may lie outside the grid."""

    spacing: float = 1.2
    """Distance of neighbouring samples of a readout, in cycles per field of view, that still resolves the field; a
    tenth of the samples must be as near."""

    def __post_init__(self) -> None:
        check_fields(self, {"calibration": 2, "pixels": 1},
                     ["residual", "unexplained", "folding", "zeros", "lost", "spacing"])


def of_axes(coils: int, plane: Shape) -> list[str]:
    """Return the doubt whether the axes of k-space are in the expected order."""
    if coils <= min(plane):
        return []
    return ["kspace: it has more coils than the image has rows or columns: are its axes (coil, y, x), or BART's"
            " (READ, PHS1, PHS2, COIL, ...)?"]


def of_trajectory(points: Array, readouts: Array, size: Shape, margin: float, rules: DoubtRules) -> list[str]:
    """Return doubts about points (…, 2, M) on a grid of some size.

    readouts: number of the readout of each sample, (M,).  ValueError if most points lie outside the grid, or if it is
    far too large for them.
    """
    if size[0] * size[1] > rules.pixels * points.shape[-1]:
        raise ValueError(f"dims: expected at most {rules.pixels} pixels for each sample, got a grid of {size[0]} x"
                         f" {size[1]} for {points.shape[-1]} samples, with traj up to {float(abs(points).max()):.3g}"
                         " cycles per field of view: is it in 1/m or radians?")
    xp, doubts = array_module(points), []
    inside = xp.ones(points[..., 0, :].shape, bool)
    for axis, n in enumerate(size):
        inside &= xp.abs(points[..., axis, :]) <= n / 2 + margin
    lost = 1 - float(inside.mean())
    if lost > 0.5:
        raise ValueError(f"dims: expected a grid that holds the trajectory, got {size[0]} x {size[1]}, and"
                         f" {100 * lost:.0f} % of traj lies outside, up to {float(abs(points).max()):.3g} cycles per"
                         " field of view: is it in 1/m or radians?")
    if lost > rules.lost:
        doubts.append("dims: a part of traj lies outside the grid and is left out")
    in_order = xp.argsort(readouts, kind="stable")
    step, same = xp.diff(points[..., in_order], axis=-1), xp.diff(readouts[in_order]) == 0
    if bool(same.any()) and float(xp.quantile(xp.hypot(step[..., 0, :], step[..., 1, :])[..., same], 0.1)) \
            > rules.spacing:
        doubts.append("traj: neighbouring samples of a readout do not resolve the field of view: is traj in cycles per"
                      " field of view?")
    return doubts


def of_slice(scan: Scan, problem: Problem, residual_std: float, noise_std: float, image_noise: float,
             rules: DoubtRules) -> list[str]:
    """Return doubts about the image of a slice.

    residual_std and noise_std are in data units, the noise that the method leaves in the image in solver units.
    """
    doubts, (power, sampled) = [], scan.power()
    if float((power[sampled] == 0).mean()) > rules.zeros:
        doubts.append("mask: many of its samples are zero in all coils: is it transposed or moved, or does it have"
                      " more samples than k-space?")
    if problem.one_coil and _folds(scan, rules):
        doubts.append("mask: the image may be folded, because a regular pattern does not tell the image of one coil"
                      " from its copies")
    elif problem.sens_model and _folds(scan.low(*2 * [(rules.calibration,) * 2]), rules):
        doubts.append("mask: the image may be folded, because a regular pattern does not tell sensitivities from copies"
                      " of the image: some neighbouring lines at the centre of k-space do, or known sensitivities")
    expected = math.hypot(noise_std, problem.units.to_user(image_noise / problem.coils**0.5))
    unexplained = max(residual_std**2 - expected**2, 0.0) ** 0.5
    if residual_std > rules.residual * expected and unexplained > rules.unexplained * _mean_amplitude(problem):
        doubts.append("kspace: image and sensitivities do not explain the samples, the residual is far above the"
                      " noise: check mask, traj, sens and iterations; an object larger than the field of view needs"
                      " maps 2")
    return doubts


def _folds(scan: Scan, rules: DoubtRules) -> bool:
    """Return whether the pattern of a scan copies the image."""
    return folding(scan.sampled()[0].density) > rules.folding


def _mean_amplitude(problem: Problem) -> float:
    """Return the root mean square of the samples per real and imaginary part, in data units."""
    power = float(power_of_coils(problem.samples).sum()) / (2 * problem.coils * problem.sampling.count)
    return problem.units.to_user(power**0.5)


def gathered(doubts: Mapping[Shape, Sequence[str]], loop: Shape) -> list[str]:
    """Return each sentence once, followed by the positions of its slices where there are several in the loop."""
    positions: dict[str, list[str]] = {}
    for index, sentences in doubts.items():
        for sentence in sentences:
            positions.setdefault(sentence, []).append(", ".join(str(i) for i, n in zip(index, loop) if n > 1))
    return [f"{sentence} (slice {'; '.join(where)})" if where != [""] else sentence
            for sentence, where in positions.items()]
