"""The noise level of k-space, estimated from its own outermost samples."""

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .coil_compression import covariance

RAYLEIGH_MEDIAN = float(2 * np.log(2)) ** 0.5  # median magnitude of complex noise of standard deviation 1


@dataclass(frozen=True)
class NoiseRules:
    """Which samples the noise is measured on."""

    outer_part: float = 0.15
    """Part of the samples, the outermost: the signal falls off from the centre of k-space, but noise does not."""

    coil_part: float = 0.25
    """Part of the virtual coils, the weakest: even at the border of k-space the others hold signal."""

    def __post_init__(self) -> None:
        check_fields(self, ["outer_part", "coil_part"])


def estimate_noise(samples: Array, radius: Array, rules: NoiseRules) -> float:
    """Return the noise standard deviation per real and imaginary part: median |z| / 1.1774.

    samples (J, M) at a distance (M,) from zero frequency.  The virtual coils (principal components) are found on
    one half of the outermost samples and the noise is measured on the other half.  The halves alternate in order of
    energy, so that the order of the samples does not matter.  Samples that are empty in a coil, and empty coils, do
    not count.  Where the coils have hardly any samples in common, they take the place of the virtual coils.
    """
    xp, acquired = array_module(samples), (samples != 0).any(0)
    outer = acquired & (radius >= xp.quantile(radius[acquired], 1 - rules.outer_part))
    samples = samples[(samples != 0).any(1)][:, outer]
    common = (samples != 0).all(0)
    if int(common.sum()) < 2 * len(samples) and not bool(common.all()):
        medians = sorted(float(xp.median(abs(coil[coil != 0]))) for coil in samples if bool((coil != 0).any()))
        return float(np.median(medians[:max(1, int(rules.coil_part * len(medians)))])) / RAYLEIGH_MEDIAN
    samples = samples[:, common]
    samples = samples[:, xp.argsort((abs(samples) ** 2).sum(0))]
    seen = samples[:, ::2]
    energies, coils = np.linalg.eigh(covariance(seen))
    # Combinations of the coils that are only rounding, as of coils that were compressed and expanded, hold no noise.
    eps_of_samples, eps = np.finfo(samples.dtype).eps, np.finfo(float).eps
    coils = coils[:, energies > max((len(coils) * eps_of_samples) ** 2, len(coils) * eps) * energies[-1]]
    weakest = xp.asarray(coils[:, :max(1, int(rules.coil_part * coils.shape[1]))], samples.dtype)
    unseen = samples[:, 1::2] if samples.shape[1] > 1 else samples
    return float(xp.median(xp.abs(xp.einsum("ji,jn->in", weakest.conj(), unseen)))) / RAYLEIGH_MEDIAN
