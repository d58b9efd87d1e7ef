"""The noise level of k-space, from its own outermost samples."""

import numpy as np

from ..arrays.modules import array_module

OUTER_PART = 0.15
RAYLEIGH_MEDIAN = float(2 * np.log(2)) ** 0.5


def estimate(kspace, mask):
    """Noise standard deviation per real and imaginary part of centred k-space (J, ny, nx), mask (ny, nx)."""
    xp = array_module(kspace)
    rows, columns = ((xp.arange(n) - n // 2) / n for n in mask.shape)
    return of_samples(kspace[:, mask], xp.hypot(rows[:, None], columns)[mask])


def of_samples(samples, radius):
    """The same of samples (J, M) at a distance (M,) from the zero frequency.

    median |z| / 1.1774 over the outer 15 % of the samples, in the quarter of the virtual coils (principal
    components) that carry least: even at the border of k-space the others hold signal.  These are found on one half of
    the samples and measured on the other; every second in order of energy, whatever order they come in, is in the same.
    Empty samples and empty coils do not count.
    """
    xp, acquired = array_module(samples), (samples != 0).any(0)
    outer = acquired & (radius >= xp.quantile(radius[acquired], 1 - OUTER_PART))
    samples = samples[(samples != 0).any(1)][:, outer]
    samples = samples[:, xp.argsort((abs(samples) ** 2).sum(0))]
    seen = samples[:, ::2]
    covariance = xp.einsum("in,jn->ij", seen, seen.conj())  # not by BLAS, whose rounding depends on its threads
    weakest = xp.linalg.eigh(covariance)[1][:, :max(1, len(samples) // 4)]
    unseen = samples[:, 1::2] if samples.shape[1] > 1 else samples
    return float(xp.median(xp.abs(xp.einsum("ji,jn->in", weakest.conj(), unseen)))) / RAYLEIGH_MEDIAN
