"""Doubts: their rules, those about a solution, and the sentences for `Result.info["warnings"]`.

Sentences hold no numbers, so that slices with the same doubt share one.  `sample_doubts` has the doubts about samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..algorithms.problem import Problem
from ..arrays.array_types import Shape
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import inner
from ..physics.undersampling import unseen_part
from .layout import place_of

Slice = TypeVar("Slice", int, Shape)  # by its number or its position


@dataclass(frozen=True)
class DoubtRules:
    """When the image of a slice is doubtful."""

    residual: float = 2.0
    """Residual in noise levels above which the samples are not explained: imperfect maps of real coils stay below."""

    noise: float = 1.2
    """Noise level, as a part of the root mean square of the samples, above which it is larger than these can be: their
    own noise is a part of them."""

    smooth: float = 0.25
    """Residual of several coils in noise levels below which a level that was given smooths too much."""

    audible: float = 0.2
    """Noise level, as a part of the root mean square of the samples, below which it hardly smooths."""

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

    weight: float = 0.07
    """Weight of a sample, as a part of the largest, below which it does not prevent a fold."""

    calibration: int = 24
    """Size of the centre of k-space, in samples, whose pattern must not be a lattice: the maps are found there."""

    unseen: float = 0.65
    """Part of the usual amplitude of k-space that the samples do not see, above which the prior makes up too much."""

    second: float = 0.002
    """Part of the energy of the coil images in a second set that nobody asked for, above which it may explain faults
    of the samples: the edges of a phantom have 0.0004, an object that folds over 0.0035."""

    zeros: float = 0.25
    """Part of the samples of a mask that may be zero, as those beyond an elliptic acquisition (0.22)."""

    valley: float = 10.0
    """Mean power on both sides of a line of k-space, as a multiple of its own, above which the line may be a gap."""

    edge: float = 5.0
    """Step of the mean power at both ends of a run of weak lines, as a factor, above which they may be gaps."""

    flat: float = 2.0
    """Mean power of a weak line, as a multiple of its median, below which it may be a gap: noise of one coil has
    1.4."""

    valleys: float = 0.04
    """Part of the lines along an axis that may look like gaps."""

    ties: int = 4
    """Different samples that may have the largest real or imaginary part: more come from a saturated receiver."""

    pixels: int = 100
    """Pixels for each sample of a coil, above which a point or the unit of a trajectory must be wrong."""

    lost: float = 0.1
    """Part of the points of a trajectory that may lie outside the grid."""

    spacing: float = 1.2
    """Distance of samples along readouts of even steps, in cycles per field of view, that resolves the field."""

    def __post_init__(self) -> None:
        check_fields(self, calibration=2)


def of_residual(problem: Problem, residual_std: float, image_noise: float, known_noise: bool,
                rules: DoubtRules) -> list[str]:
    """Return the doubts whether the samples of a slice are explained, and by what.

    residual_std: in data units; image_noise: that the method leaves in the image, in solver units; known_noise: or an
    estimated noise level, which is no error of the caller.
    """
    noise = math.hypot(problem.noise_std, image_noise / problem.coils**0.5)
    residual = problem.units.to_solver(residual_std)
    unexplained = max(residual**2 - noise**2, 0.0) ** 0.5
    energy = float(sum(inner(coil, coil) for coil in problem.samples))  # of one at a time, since k-space may be large
    signal = energy / (2 * problem.coils * problem.sampling.count)
    if problem.noise_std > rules.noise * signal**0.5:
        return ["noise_std: it is larger than the samples, so that the image hardly depends on them: is it in the units"
                " of kspace?"]
    if known_noise and not problem.one_coil and problem.noise_std > max(residual / rules.smooth,
                                                                        rules.audible * signal**0.5):
        return ["noise_std: it is far above the residual, so that the image is smoother than the samples say: is it in"
                " the units of kspace?"]
    if residual > rules.residual * noise and unexplained > rules.unexplained * signal**0.5:
        return ["kspace: image and sensitivities do not explain the samples, the residual is far above the noise: check"
                " mask, traj, sens and iterations" + (
                    "" if problem.images.adds_up or len(problem.images.grid) > 2 else
                    "; an object larger than the field of view needs two sets of maps (-m 2, maps=2)")]
    return []


def of_problem(problem: Problem, second: float, maps: str | int, temporal: float | None, width: float,
               rules: DoubtRules) -> list[str]:
    """Return the doubts whether a slice has samples enough, and whether two sets that were not asked for are right.

    second: the part of the energy in the second set; maps, temporal: the options; width: that of `CentreRules`.  Frames
    with a temporal prior tell of each other.
    """
    doubts = []
    if maps == "auto" and second > rules.second:
        doubts.append("kspace: it takes two sets of sensitivities to explain the samples: either the object folds over,"
                      " or slices were excited together (sms), or lines or samples are wrong, as with the phase errors"
                      " of EPI")
    if temporal is not None or unseen_part(problem.sampling.sampled_part, problem.coils, width) <= rules.unseen:
        return doubts
    return [*doubts, "kspace: it has so few samples that large parts of the image are what the prior finds likely, and"
                     " may be wrong: the standard deviation of several samples of the posterior shows where"]


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
