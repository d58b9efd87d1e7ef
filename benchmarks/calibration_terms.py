"""What tells how large the errors of a posterior are: the terms of the calibration, and others, on simulated scans.

usage: calibration_terms.py [SHARED_DATA_FOLDER]    (about 10 minutes on one core)

The scans are those of `bart-pogmdm calibrate` in two rounds (training images).  For each set of terms it prints the
standard deviation of log(factor that a scan needs) around their regression, each scan left out once, and the mean rank
correlation of the standard deviation with the error.  Then, for each class of docs/results.md, it prints the rank
correlation where one draw is the truth and the other chains are the reconstruction.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import calibration
import numpy as np
from records import Places
from scipy.ndimage import gaussian_filter

from bart_pogmdm import Gibbs, recon
from bart_pogmdm.algorithms.posterior_statistics import PosteriorStatistics
from bart_pogmdm.evaluate import metrics
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.undersampling import acceleration
from bart_pogmdm.prior.calibration import BAND
from bart_pogmdm.train.calibration import calibration_cases
from bart_pogmdm.train.images import load_series
from bart_pogmdm.train.recipe import CalibrationScans

TERMS = ("acceleration", "coils", "R-hat", "noise")
SETS = {"s": (), "s, R": ("acceleration",), "s, R, median R-hat": ("acceleration", "R-hat"),
        "s, R, median R-hat, J": ("acceleration", "R-hat", "coils"), "s R-hat": (), "s R-hat, R": ("acceleration",),
        "s R-hat, R, J": ("acceleration", "coils"), "s R-hat, R, J, noise": ("acceleration", "coils", "noise")}


@dataclass
class Drawn:
    """The draws of a scan, magnitudes (chain, draw, y, x), their mean, the truth, and the terms of the scan."""

    draws: np.ndarray
    mean: np.ndarray
    reference: np.ndarray
    terms: dict[str, float]

    def needed(self, std):
        """The logarithm of the factor with which 90 % of the errors are in the band."""
        errors = metrics.standardised_error(self.mean, std, self.reference)
        return np.log(np.quantile(errors, 0.9) / BAND)


def drawn(case):
    """Reconstruct a case and keep its draws."""
    found = defaultdict(list)

    def note(state):
        if state.info.is_draw:
            coil_images = state.sens * state.image
            found[state.info.chain].append(rss(coil_images.sum(1) if coil_images.ndim > 3 else coil_images))

    result = recon(case.kspace, case.mask, samples=10, callback=note)
    density = np.broadcast_to(case.mask != 0, case.reference.shape).astype("f4")
    noise = result.info["noise_std"] / np.abs(result.image).max()
    terms = dict(zip(TERMS, np.log([acceleration(density), 2 / min(len(case.kspace), 2), result.info["rhat"], noise])))
    return Drawn(np.array(list(found.values())), result.image, case.reference, terms)


def std_of(draws, by_rhat):
    """The standard deviation of draws (chain, draw, y, x), averaged as Gibbs does, and times R-hat of the window."""
    def smooth(variance):
        return gaussian_filter(variance, Gibbs().smoothing)

    statistics = PosteriorStatistics(draws.shape[1])
    for chain, of_chain in enumerate(draws):
        for one in of_chain:
            statistics.add(one, chain)
    within, pooled = map(smooth, statistics.variances())
    return (smooth(statistics.std**2) * (pooled / within if by_rhat else 1)) ** 0.5


def left_out(needed, terms):
    """The standard deviation of the residual of a regression, each scan left out once."""
    rows = np.column_stack([np.ones(len(needed)), *terms])
    hat = rows @ np.linalg.pinv(rows)
    return float(np.std((needed - hat @ needed) / (1 - np.diag(hat))))


def of_a_draw(draws):
    """The rank correlation of the others' standard deviation with their distance from one draw, the mean of several."""
    found = []
    for chain, own in enumerate(draws):
        others = np.delete(draws, chain, 0)
        found.append(metrics.rank_correlation(others.mean((0, 1)), std_of(others, True), own[-1]))
    return float(np.mean(found))


def main(folder):
    places = Places()._replace(data=folder)
    series, _ = load_series([folder / "train" / "train.h5"], 32)
    scans = [drawn(case) for case in calibration_cases([image for one in series for image in one.images],
                                                       CalibrationScans(rounds=2))]
    print(f"{len(scans)} scans of training images: median R-hat "
          + ", ".join(f"{np.exp(np.quantile([scan.terms['R-hat'] for scan in scans], part)):.2f} ({part:.0%})"
                      for part in (0.05, 0.5, 0.95)))
    print(f"{'terms':25} {'scatter':>8} {'rank correlation':>17}")
    for name, terms in SETS.items():
        stds = [std_of(scan.draws, "s R-hat" in name) for scan in scans]
        needed = np.array([scan.needed(std) for scan, std in zip(scans, stds)])
        ranks = [metrics.rank_correlation(scan.mean, std, scan.reference) for scan, std in zip(scans, stds)]
        scatter = left_out(needed, [[scan.terms[term] for scan in scans] for term in terms])
        print(f"{name:25} {scatter:8.3f} {np.mean(ranks):17.3f}")
    print(f"{'class':25} {'rank correlation where a draw is the truth':>43}")
    for of_class, make in calibration.uncertainty(places).items():
        if of_class not in ("full size", "volumes", "echoes"):
            found = np.mean([of_a_draw(drawn(scan).draws) for scan in make.args[0]()])
            print(f"{of_class:25} {found:43.2f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Places().data)
