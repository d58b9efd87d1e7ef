"""The numbers of a prior that are chosen by reconstructions of validation images with simulated coils."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import numpy as np

from ..algorithms.joint_map import Map
from ..arrays.array_types import Array
from ..evaluate import masks, metrics, simulate
from ..prior.pogmdm import PoGMDM
from ..prior.rules import PriorRules
from ..reconstruction.options import options_of
from .calibration import Case, cut, learn_calibration, reconstructed, rounded
from .recipe import RuleSearch


def simulated_cases(images: Sequence[Array], search: RuleSearch) -> list[Case]:
    """Return scans of some of the images (cut to a largest size) with a smooth phase, coils, noise, and each mask."""
    chosen = images[::max(1, len(images) // search.images)][:search.images]
    return [case for number, image in enumerate(chosen) for case in _scans(cut(image, search.side), number, search)]


def _scans(image: Array, number: int, search: RuleSearch) -> list[Case]:
    y, x = simulate.coordinates(image.shape)
    kspace = simulate.kspace(image * np.exp(1j * (0.6 * x - 0.8 * y * x)), search.coils,
                             search.noise_stds[number % len(search.noise_stds)], number)
    patterns = [masks.named(word, image.shape, number) for word in search.masks]
    return [Case(kspace * mask, mask, image) for mask in patterns]


def learn_rules(prior: PoGMDM, images: Sequence[Array], search: RuleSearch,
                report: Callable[[str], object]) -> PoGMDM:
    """Return the prior with the numbers that reconstruct the images best, and their origin in its provenance.

    One number after the other is changed in steps as long as the mean PSNR of the joint maximum rises, until no change
    helps.  The calibration (`learn_calibration`) follows.  The numbers that shape denoising as well (exponent,
    noise_gain, ridge) stay as they were in training.  report is called with a sentence about each trial.
    """
    cases = simulated_cases(images, search)
    found: dict[PriorRules, float] = {}

    def quality(rules: PriorRules) -> float:
        if rules not in found:
            found[rules] = _mean_psnr(replace(prior, rules=rules), cases)
            report(f"rules: {_named(rules, search)}: PSNR {found[rules]:.2f} dB")
        return found[rules]

    best, previous = prior.rules, None
    while best != previous:
        previous = best
        for name in search.names:
            best = _climbed(best, name, quality, search)
    psnr = {_named(rules, search): round(value, 3) for rules, value in found.items()}
    provenance = {**prior.provenance, "rules": {"psnr": psnr, "cases": len(cases), **asdict(search)}}
    return learn_calibration(replace(prior, rules=best, provenance=provenance), cases, search.samples, report)


def _climbed(rules: PriorRules, name: str, quality: Callable[[PriorRules], float], search: RuleSearch) -> PriorRules:
    """Return the rules with one number multiplied or divided by the step as often as that helps."""
    for factor in (search.step, 1 / search.step):
        while quality(rules) + search.least_gain < quality(other := _multiplied(rules, name, factor)):
            rules = other
    return rules


def _multiplied(rules: PriorRules, name: str, factor: float) -> PriorRules:
    return PriorRules.of({**rules.numbers, name: rounded(factor * rules.numbers[name])})


def _named(rules: PriorRules, search: RuleSearch) -> str:
    return ", ".join(f"{name} {rules.numbers[name]:g}" for name in search.names)


def _mean_psnr(prior: PoGMDM, cases: Sequence[Case]) -> float:
    """Return the mean PSNR of the joint maximum in the object."""
    options = options_of(method=Map())
    return float(np.mean([metrics.psnr(reconstructed(case, prior, options).image, case.reference) for case in cases]))
