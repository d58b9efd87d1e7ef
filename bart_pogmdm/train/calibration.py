"""The calibration of the posterior's standard deviation, learned on scans whose truth is known.

A. N. Angelopoulos, S. Bates, arXiv 2107.07511; A. N. Angelopoulos et al., Conformal risk control, arXiv 2208.02814.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import lsq_linear

from ..algorithms.gibbs import Gibbs
from ..arrays.array_types import Array
from ..evaluate import masks, metrics, simulate
from ..physics.fourier import fft2c, ifft2c, resize
from ..physics.undersampling import acceleration
from ..prior.calibration import BAND, POWERS, Calibration
from ..prior.pogmdm import PoGMDM
from ..reconstruction.inputs import Inputs
from ..reconstruction.options import Options, options_of
from ..reconstruction.recon import reconstruct
from ..reconstruction.result import Result
from .recipe import CalibrationScans

OUTSIDE = 0.1      # Part of the object that the band of 1.645 standard deviations may miss.
LEAST_PART = 0.05  # Part that it misses on the scans of the factor at least, where they are too few for a guarantee.
PULL = 0.03        # Weight of the powers that the prior has, in scans: few scans hardly change them.
DIGITS = 4         # Significant ones of a number that was found.
PLAIN = Calibration(1.0, *(0.0 for _ in POWERS))  # It leaves the standard deviation of the chains as it is.


class Case(NamedTuple):
    """k-space (coil, y, x) where the mask (y, x) samples it, and the magnitude (y, x) behind it."""

    kspace: Array
    mask: Array
    reference: Array


def reconstructed(case: Case, prior: PoGMDM, options: Options) -> Result:
    """Reconstruct a case; doubts about it, which `recon` would raise as warnings, are nothing to a user here."""
    return reconstruct(Inputs(case.kspace, case.mask), prior, options)[0]


def calibration_cases(images: Sequence[Array], rules: CalibrationScans) -> Iterator[Case]:
    """Yield the simulated scans of magnitude images: one image after the other, each with a smooth phase of its own.

    In the first two of four rounds the images are of low resolution, and in the others parts of full resolution.  Every
    second scan then has both kinds of each configuration, as the others have.
    """
    kinds = [(reduced, *scan, noise_std) for number in range(rules.rounds) for reduced in [(low, cut)[number // 2 % 2]]
             for noise_std in rules.noise_stds for scan in rules.scans]
    for number, (reduced, word, coils, noise_std) in enumerate(kinds):
        image = reduced(images[number * len(images) // len(kinds)], rules.side)
        image = image / image.max()
        (y, x), turn = simulate.coordinates(image.shape), np.random.default_rng(number).uniform(-1, 1, 3)
        kspace = simulate.kspace(image * np.exp(1j * (turn[0] * x + turn[1] * y * x + turn[2] * y**2)), coils,
                                 noise_std, number)
        mask = masks.named(word, image.shape, number)
        yield Case(kspace * mask, mask, image)


def low(image: Array, side: int) -> Array:
    """Return an image of lower resolution, with at most `side` pixels along each axis."""
    shape = tuple(min(n, 2 * round(side * n / max(image.shape) / 2)) for n in image.shape)
    reduced: Array = np.abs(ifft2c(resize(fft2c(image.astype(complex)), shape)))
    return reduced


def cut(image: Array, side: int) -> Array:
    """Return a bright part of an image, of at most side x side pixels."""
    for _ in range(2):
        profile = image.sum(1)
        first = np.convolve(profile, np.ones(min(side, len(profile))), "valid").argmax()
        image = image[first:first + side].T
    return image


@dataclass(frozen=True, eq=False)
class Evidence:
    """The evidence of a scan: errors over the std of the chains in the object, acceleration and number of coils."""

    errors: Array
    acceleration: float
    coils: int

    def scores(self, calibration: Calibration) -> Array:
        """Return the errors in units of half the band of 90 %."""
        return self.errors / (BAND * calibration.factor(self.acceleration, self.coils))


def evidence_of(case: Case, prior: PoGMDM, samples: int) -> Evidence:
    """Reconstruct a case with a prior whose calibration is PLAIN, and return what it says."""
    options = options_of(method=Gibbs(), samples=samples)
    result = reconstructed(case, prior, options)
    assert result.std is not None, "Gibbs sampling has a standard deviation"
    scan, _ = Inputs(case.kspace, case.mask).slices(options.rules).scan((), ((),))
    return Evidence(metrics.standardised_error(result.image, result.std, case.reference),
                    acceleration(scan.sampled()[0].sampled_part), len(case.kspace))


def rounded(number: float) -> float:
    """Return a number that was found, with its significant digits."""
    return float(f"{number:.{DIGITS}g}")


def learn_calibration(prior: PoGMDM, cases: Sequence[Case], samples: int,
                      report: Callable[[str], object]) -> PoGMDM:
    """Return the prior with a calibration that was learned on the cases, and its origin in its provenance.

    Every second case tells the powers, the others the factor (`conformal_factor`); a single one tells both.
    """
    found, plain = [], replace(prior, rules=replace(prior.rules, calibration=PLAIN))
    for number, case in enumerate(cases):
        found.append(evidence_of(case, plain, samples))
        report(f"calibration: scan {number + 1} of {len(cases)}")
    powers = fitted_powers(found[::2], prior.calibration)
    factor = conformal_factor([one.scores(powers) for one in found[1::2] or found])
    calibration = replace(powers, std_factor=rounded(factor))
    report("calibration: " + ", ".join(f"{name} {value:g}" for name, value in asdict(calibration).items()))
    return replace(prior, rules=replace(prior.rules, calibration=calibration),
                   provenance={**prior.provenance, "calibration": {"cases": len(found), "samples": samples}})


def fitted_powers(found: Sequence[Evidence], before: Calibration) -> Calibration:
    """Return a Calibration of factor 1 whose powers explain the factors that the scans need, by least squares.

    The factor of a scan is the 90 % quantile of its errors in units of the chains' band.  Powers are not negative, and
    are pulled towards those `before`.
    """
    needed = [np.log(np.quantile(one.scores(PLAIN), 1 - OUTSIDE)) for one in found]
    rows = [[1.0, np.log(one.acceleration), np.log(2 / min(one.coils, 2))] for one in found]
    for place, name in enumerate(POWERS, 1):
        rows.append([PULL**0.5 * (place == column) for column in range(len(POWERS) + 1)])
        needed.append(PULL**0.5 * getattr(before, name))
    bounds = [-np.inf, *(0 for _ in POWERS)], np.inf
    powers = lsq_linear(np.array(rows), np.array(needed), bounds).x[1:]
    return Calibration(1.0, *(rounded(abs(power)) for power in powers))


def conformal_factor(scores: Sequence[Array]) -> float:
    """Return the least factor with which a further scan is covered by 90 % on average, by conformal risk control.

    scores: errors over the half width of the band, at the pixels of each of n scans, which are as likely in any order
    as a further one.  The mean part with larger scores than the factor must not exceed 0.1 - 0.9 / n.
    """
    level = max(OUTSIDE - (1 - OUTSIDE) / len(scores), LEAST_PART)
    values = np.concatenate(scores)
    weights = np.concatenate([np.full(one.size, 1 / (one.size * len(scores))) for one in scores])
    order = np.argsort(values)
    inside = np.cumsum(weights[order])
    return float(values[order][min(int(np.searchsorted(inside, 1 - level)), values.size - 1)])
