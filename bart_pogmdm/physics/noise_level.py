"""The noise level of k-space, estimated from its own outermost samples."""

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .coil_compression import covariance

APART = 1.25  # Usual power of signal in one ring of k-space, in that of another, from which on they tell how it falls.
RAYLEIGH_MEDIAN = float(2 * np.log(2)) ** 0.5  # median magnitude of complex noise of standard deviation 1


@dataclass(frozen=True)
class NoiseRules:
    """Which samples the noise is measured on."""

    outer_part: float = 0.15
    """Part of the samples, the outermost: the signal falls off from the centre of k-space, but noise does not."""

    coil_part: float = 0.25
    """Part of the virtual coils, the weakest: even at the border of k-space the others hold signal."""

    border: float = 0.58
    """Distance from zero frequency, in cycles per pixel, at which one coil has its level: the mean of the outermost
    frequencies of a plane, which have the least signal."""

    least_samples: int = 64
    """Samples in a ring from which on the level of one coil is carried to the border: of fewer, chance decides."""

    def __post_init__(self) -> None:
        check_fields(self, ["outer_part", "coil_part"])


def estimate_noise(samples: Array, radius: Array, rules: NoiseRules) -> float:
    """Return the noise standard deviation per real and imaginary part: median |z| / 1.1774.

    samples (J, M) at a distance (M,) from zero frequency.  The virtual coils (principal components) are found on
    one half of the outermost samples and the noise is measured on the other half.  The halves alternate in order of
    energy, so that the order of the samples does not matter.  Samples that are empty in a coil, and empty coils, do
    not count.  Where the coils have hardly any samples in common, they take the place of the virtual coils.
    A single coil has no combination without signal: see `_of_one_coil`.
    """
    xp, acquired, connected = array_module(samples), (samples != 0).any(0), (samples != 0).any(1)
    if int(connected.sum()) == 1:
        return _of_one_coil(abs(samples[connected][0, acquired]), radius[acquired], rules)
    outer = acquired & (radius >= xp.quantile(radius[acquired], 1 - rules.outer_part))
    samples = samples[connected][:, outer]
    common = (samples != 0).all(0)
    if int(common.sum()) < 2 * len(samples) and not bool(common.all()):
        levels = sorted(_level(abs(coil[coil != 0])) for coil in samples if bool((coil != 0).any()))
        return float(np.median(levels[:max(1, int(rules.coil_part * len(levels)))]))
    samples = samples[:, common]
    samples = samples[:, xp.argsort((abs(samples) ** 2).sum(0))]
    seen = samples[:, ::2]
    energies, coils = np.linalg.eigh(covariance(seen))
    # Combinations of the coils that are only rounding, as of coils that were compressed and expanded, hold no noise.
    eps_of_samples, eps = np.finfo(samples.dtype).eps, np.finfo(float).eps
    coils = coils[:, energies > max((len(coils) * eps_of_samples) ** 2, len(coils) * eps) * energies[-1]]
    weakest = xp.asarray(coils[:, :max(1, int(rules.coil_part * coils.shape[1]))], samples.dtype)
    unseen = samples[:, 1::2] if samples.shape[1] > 1 else samples
    return _level(xp.abs(xp.einsum("ji,jn->in", weakest.conj(), unseen)))


def _of_one_coil(magnitude: Array, radius: Array, rules: NoiseRules) -> float:
    """Return the level at the border of k-space, which many masks leave out, of noise and what signal is left there.

    s^2 + a r^-3, with the usual power r^-3 of a plane's signal, goes through the levels of the outermost samples and of
    as many before them, at their mean distances r.  So all masks of a scan have about the same level.  Rings of few
    samples, or that lie side by side, tell nothing: then it is the level of the outermost samples.
    """
    xp = array_module(magnitude)
    edge, before = (xp.quantile(radius, max(0.0, 1 - rings * rules.outer_part)) for rings in (1, 2))
    outer, inner = radius >= edge, (radius >= before) & (radius < edge)
    power = _level(magnitude[outer]) ** 2
    if min(int(outer.sum()), int(inner.sum())) >= rules.least_samples:
        here, there = float(radius[outer].mean()), float(radius[inner].mean())
        if there > 0 and (fall := (here / there) ** 3) >= APART:
            signal = float(np.clip((_level(magnitude[inner]) ** 2 - power) / (fall - 1), -power, power))
            power -= signal * (1 - min(here / rules.border, 1.0) ** 3)
    return power**0.5


def _level(magnitude: Array) -> float:
    """Return the standard deviation per real and imaginary part of noise with these magnitudes, from their median."""
    return float(array_module(magnitude).median(magnitude)) / RAYLEIGH_MEDIAN
