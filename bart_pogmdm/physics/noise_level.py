"""The noise level of k-space, and of its coils beside each other, estimated from its own outermost samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module, move
from .coil_compression import covariance

APART = 1.25  # Usual power of signal in one ring of k-space, in that of another, from which on they tell how it falls.
SAME = 1.1  # Levels of coils within this factor of each other are taken as one: so small a difference may be chance.
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
    """Samples in a ring from which on it tells the level of one coil at the border, or those of several beside each
    other, where they are counted beyond the number of coils: of fewer, chance decides."""

    fall: float = 2.0
    """What a coil sees and no other coil tells falls with the distance from zero frequency, by this power of it at
    least: the rest of it at the border of k-space may be noise of this coil."""

    rings: int = 3
    """Rings of as many samples, before the outermost ones, by which that signal is bounded."""

    errors: float = 3.0
    """Standard errors from which on coils have noise of different levels."""

    audible: float = 0.1
    """Power of noise, as a part of the median power of a coil at the border of k-space, that adds to the noise of every
    coil: levels far below it do not matter."""

    broken: float = 8.0
    """Noise of a coil, as a multiple of that of the median coil, from which on it is left out, unless its signal is
    larger, too."""

    def __post_init__(self) -> None:
        check_fields(self, ["outer_part", "coil_part"], fall=0, errors=0, audible=0)


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
    coils = coils[:, energies > _rounding(energies, np.finfo(samples.dtype).eps)]
    weakest = xp.asarray(coils[:, :max(1, int(rules.coil_part * coils.shape[1]))], samples.dtype)
    unseen = samples[:, 1::2] if samples.shape[1] > 1 else samples
    return _level(xp.abs(xp.einsum("ji,jn->in", weakest.conj(), unseen)))


def coil_levels(scans: Iterable[tuple[Array, Array, float]], rules: NoiseRules) -> Array | None:
    """Return the noise levels of coils beside each other, (J,) of geometric mean 1; None where they may be the same.

    scans: samples (J, M) at distances (M,) of images that share their coils, and the unit of these samples.  The noise
    of a coil has at most the power of its outermost samples, and at least that of what no combination of the others
    tells, 1 / (C^-1)_jj for the covariance C, but for signal in it: that falls with the distance, so that the samples
    before bound it.  Coils depart from a common level no more than these bounds ask for.
    """
    rings = [_Ring()] * (1 + rules.rings)
    for scan in scans:
        rings = [ring + _Ring.of(*scan, number, rules) for number, ring in enumerate(rings)]
    connected = np.diag(rings[0].energy).real > 0 if rings[0].number else np.zeros(0, bool)
    if not connected.any():
        return None
    outer, *before = (ring.of_coils(connected) for ring in rings if ring.number)
    own = outer.own(rules.least_samples)
    if own is None:
        return None
    total = np.diag(outer.energy).real / outer.number
    most, least = total * (1 + rules.errors * outer.error), np.zeros(len(own))
    for ring in before:
        if _apart(outer.distance, ring.distance) and (inner := ring.own(rules.least_samples)) is not None:
            fall = (outer.distance / ring.distance) ** rules.fall - 1
            error = np.hypot(own * outer.error, np.hypot(own * outer.error, inner * ring.error) / fall)
            least = np.maximum(least, own - (inner - own).clip(0) / fall - rules.errors * error)
    if not least.max() > most.min():
        return None
    common = np.sort(np.concatenate([least, most]))[len(own)]
    power = common.clip(least, most)
    power += rules.audible * np.median(total) * (power / common).clip(max=1)
    if power.max() < SAME**2 * power.min():
        return None
    levels = np.ones(len(connected))
    levels[connected] = (power / np.exp(np.log(power).mean())) ** 0.5
    return levels


def broken_coils(scans: Iterable[tuple[Array, Array, float]], levels: Array, rules: NoiseRules) -> Array:
    """Return which coils have `broken` times the noise of the median coil, and stand out from it that much less, (J,).

    None is where less than two coils would be left.  scans: as for `coil_levels`, which gives the levels.  The map of
    such a coil is hardly known, and times its level it would spoil the root sum of squares of all maps.
    """
    power, border = np.zeros(len(levels)), np.zeros(len(levels))
    for samples, radius, unit in scans:
        ring = _Ring.of(samples, radius, unit, 0, rules)
        if ring.number:
            power += unit**2 * move((abs(samples) ** 2).mean(1), np)
            border += np.diag(ring.energy).real / ring.number
    signal, half = (power / np.where(border, border, 1) - 1).clip(0), len(levels) // 2
    usual_level, usual_signal = np.sort(levels)[(len(levels) - 1) // 2], np.sort(signal)[half]
    broken: Array = (levels >= rules.broken * usual_level) & (signal * rules.broken**2 <= usual_signal)
    return broken & ((~broken).sum() > 1)


@dataclass(frozen=True, eq=False)
class _Ring:
    """Samples of coils in a ring of k-space: sum of z z^H (J, J), their number, sum of distances, and rounding."""

    energy: Any = 0.0
    number: int = 0
    distances: float = 0.0
    eps: float = 0.0

    @classmethod
    def of(cls, samples: Array, radius: Array, unit: float, number: int, rules: NoiseRules) -> _Ring:
        """From the outermost samples that all connected coils have, number 0, or as many before them, 1, 2, …"""
        xp = array_module(samples)
        common = ((samples != 0) | ~(samples != 0).any(1)[:, None]).all(0)
        if not bool(common.any()):
            return cls()
        upper, lower = (xp.quantile(radius[common], max(0.0, 1 - rings * rules.outer_part))
                        for rings in (number, number + 1))
        ring = common & (radius >= lower) & ((radius < upper) | (number == 0))
        if not bool(ring.any()):
            return cls()
        return cls(unit**2 * covariance(samples[:, ring]), int(ring.sum()), float(radius[ring].sum()),
                   float(np.finfo(samples.dtype).eps))

    def __add__(self, other: _Ring) -> _Ring:
        return _Ring(self.energy + other.energy, self.number + other.number, self.distances + other.distances,
                     max(self.eps, other.eps))

    def of_coils(self, coils: Array) -> _Ring:
        """Return the ring of some coils, by booleans (J,)."""
        return replace(self, energy=self.energy[np.ix_(coils, coils)])

    @property
    def distance(self) -> float:
        """Mean distance from zero frequency."""
        return self.distances / self.number

    @property
    def spare(self) -> int:
        """Number of samples beyond those that it takes to tell a coil from the others."""
        return self.number - len(self.energy)

    @property
    def error(self) -> float:
        """Standard error of `own`, as a part of it."""
        return float(self.spare**-0.5)

    def own(self, least_samples: int) -> Array | None:
        """Return the variance (J,) that no combination of the others tells.

        None for few samples, and where some coil is a combination of others.
        """
        if self.spare < least_samples:
            return None
        energies = np.linalg.eigvalsh(self.energy)
        if energies[0] <= _rounding(energies, self.eps):
            return None
        return 1 / np.diag(np.linalg.inv(self.energy)).real / self.spare


def _apart(here: float, there: float) -> bool:
    """Return whether rings at two mean distances tell how signal falls."""
    return 0 < there * APART ** (1 / 3) <= here


def _rounding(energies: Array, eps: float) -> float:
    """Return the energy below which a combination of coils is only rounding, as of coils that were expanded."""
    number = len(energies)
    return float(max((number * eps) ** 2, number * np.finfo(float).eps) * energies[-1])


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
        if _apart(here, there):
            signal = (_level(magnitude[inner]) ** 2 - power) / ((here / there) ** 3 - 1)
            signal = float(np.clip(signal, -power, power))
            power -= signal * (1 - min(here / rules.border, 1.0) ** 3)
    return power**0.5


def _level(magnitude: Array) -> float:
    """Return the standard deviation per real and imaginary part of noise with these magnitudes, from their median."""
    return float(array_module(magnitude).median(magnitude)) / RAYLEIGH_MEDIAN
