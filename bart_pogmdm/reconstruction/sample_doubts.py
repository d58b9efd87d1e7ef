"""Doubts about the samples of a slice, before it is solved: their axes, places, pattern and values."""

from __future__ import annotations

import math

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import DIMS
from ..arrays.modules import array_module, move
from ..physics.folding import folding
from ..physics.fourier import distances
from ..physics.noncartesian import image_size, on_grid
from ..physics.sampling import Sampling, Scan
from .doubt_rules import DoubtRules
from .frame import Frame


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
        name = "traj" if size == image_size(points) else "dims"
        raise ValueError(f"{name}: expected at most {rules.pixels} pixels for each sample, got a grid of {grid} for"
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
        doubts.append("dims: a part of `traj` lies outside the grid and is left out")
    in_order = xp.argsort(readouts, kind="stable")
    step, same = xp.diff(points[..., in_order], axis=-1), xp.diff(readouts[in_order]) == 0
    if bool(same.any()):
        low, high = xp.quantile(xp.sqrt((step**2).sum(-2))[..., same], xp.asarray([0.1, 0.9]))
        if bool((low > rules.spacing) & (high < 2 * low)):
            doubts.append("traj: neighbouring samples of a readout do not resolve the field of view: are its points in"
                          " cycles per field of view?")
    return doubts


def of_zero_frequency(samples: Array, points: Array, rules: DoubtRules) -> list[str]:
    """Return the doubt whether samples (…, J, M) at points (…, D, M) were multiplied by a density compensation.

    All those at zero frequency, which are the largest as a rule, are zero.
    """
    at_zero = (points**2).sum(-2) < rules.at_zero**2
    signal = (samples != 0).any(-2)
    if not bool(at_zero.any()) or not bool(signal.any()) or bool((signal & at_zero).any()):
        return []
    return ["kspace: all of its samples at zero frequency are zero, where it is largest as a rule: was it multiplied by"
            " a density compensation? It has to be as it was measured"]


def of_scan(scan: Scan, frame: Frame, sampling: Sampling, known_sens: bool, rules: DoubtRules) -> list[str]:
    """Return doubts about the samples of a slice in its frame; known_sens: or those of a single coil."""
    doubts, (power, sampled), lost = [], scan.power(), frame.lost
    if lost + (1 - lost) * float((power[sampled] == 0).mean()) > rules.zeros:
        doubts.append("mask: many of its samples are zero in all coils: is it transposed or moved, or does it have"
                      " more samples than k-space?")
    elif lost + (1 - lost) * frame.zeros > rules.zeros:
        doubts.append("mask: many of its samples are zero in some of the coils: do the coils have masks of their own?")
    elif any(_gaps(power, sampled, axis, rules) > rules.valleys for axis in range(power.ndim)):
        doubts.append("kspace: many of its lines are far weaker than lines on both sides: are these gaps that hold"
                      " noise? Then it needs `mask`")
    if frame.ties > rules.ties:
        doubts.append("kspace: several of its samples have the same largest value: was the receiver saturated?")
    if frame.unmapped > rules.unmapped:
        doubts.append("sens: it is zero in a coil that holds signal, which is left out: are its sensitivities missing?")
    if frame.spiked:
        doubts.append("kspace: samples that are far larger than those about them are left out: were they disturbed, by"
                      " spikes?")
    heavy = scan.of_weight(rules.weight)
    of_heavy = (power, sampled) if heavy is scan else heavy.power()
    return [*doubts, *_of_centre(*of_heavy, frame.fit, rules), *_of_pattern(scan, heavy, sampling, known_sens, rules)]


def _of_centre(power: Array, sampled: Array, fit: float, rules: DoubtRules) -> list[str]:
    """Return doubts about the centre of k-space, which is at n // 2, and about spikes far from it."""
    xp, doubts = array_module(power), list[str]()
    distance, amplitude = _from_centre(power.shape, xp)[sampled], xp.sqrt(power[sampled])
    if fit < rules.fit or bool(distance.min() > rules.distance):
        doubts.append("kspace: its centre is not sampled, or hardly stands out from noise, so that large parts of the"
                      " image are unknown: is it k-space, with all of its samples in place?")
    elif power.ndim == 3:
        doubts += [f"kspace: its energy is as even along {DIMS[axis]} as that of slices, not of k-space: was it"
                   " transformed along that axis already? Slices belong along SLICE"
                   for axis in range(3) if _are_slices(power, sampled, axis, rules)]
    ranked = xp.sort(amplitude)[-min(rules.rank, len(amplitude))]
    if bool((amplitude[distance > rules.far] > rules.spike * ranked).any()):
        doubts.append("kspace: samples far from its centre are larger than those about it: spikes?")
    return doubts


def _gaps(power: Array, sampled: Array, axis: int, rules: DoubtRules) -> float:
    """Return the part of the lines across an axis that look like gaps with noise.

    Their mean power is `valley` times smaller than on both sides, rises by `edge` at once at both ends of a run of such
    lines, and is less than `flat` times their median.  The lines between the peaks of an object with a period, such as
    tags, are as weak, but k-space falls gradually to them, and they hold signal where they cross other peaks.  Only
    lines with at least half as many samples as the fullest are looked at: the mean of a few varies.
    """
    xp = array_module(power)
    lines, seen = (xp.moveaxis(array, axis, 0).reshape(power.shape[axis], -1) for array in (power, sampled))
    full = 2 * seen.sum(1) >= seen.sum(1).max()
    lines = xp.where(seen[full], lines[full], xp.nan)
    line, median = move(xp.nanmean(lines, 1), np), move(xp.nanmedian(lines, 1), np)
    before, after = np.maximum.accumulate(line), np.maximum.accumulate(line[::-1])[::-1]
    weak, flat = np.minimum(before, after) > rules.valley * line, line < rules.flat * median
    # The outermost lines are never weak, so that each run has a line on both sides.
    runs = np.flatnonzero(weak[1:] != weak[:-1]).reshape(-1, 2) + 1
    gaps = sum(flat[start:end].sum() for start, end in runs if line[start - 1] > rules.edge * line[start]
               and line[end] > rules.edge * line[end - 1])
    return float(gaps / len(line))


def _are_slices(power: Array, sampled: Array, axis: int, rules: DoubtRules) -> bool:
    """Return whether planes across an axis of a volume have energies as even as those of slices.

    They are means over the samples within `far` of the other axes' centres.  Two planes tell nothing.
    """
    xp, number = array_module(power), power.shape[axis]
    near = _from_centre(power.shape[:axis] + power.shape[axis + 1:], xp) <= rules.far
    planes, seen = (xp.moveaxis(array, axis, 0)[:, near] for array in (power, sampled))
    energies = (planes * seen).sum(1) / seen.sum(1).clip(1)
    return number > 2 and bool(0 < energies.max() < rules.peaked * number**-0.5 * energies.sum())


def _from_centre(shape: Shape, xp: ArrayModule) -> Array:
    """Return the distance from the centre of k-space of each point of a grid, in samples."""
    return distances(*(xp.arange(n) - n // 2 for n in shape))


def _of_pattern(scan: Scan, heavy: Scan, sampling: Sampling, known_sens: bool, rules: DoubtRules) -> list[str]:
    """Return the doubt whether the image is folded; heavy: the samples whose weights count."""
    if not known_sens:
        window = tuple(min(rules.calibration, n) for n in scan.shape)
        low = scan.low(window, window).of_weight(rules.weight)
        if folding(low.sampled()[0].density) > rules.folding:
            return ["mask: the image may be folded, because a regular pattern does not tell sensitivities from copies"
                    " of the image: some neighbouring lines at the centre of k-space do, or known sensitivities"]
        return []
    sampling = sampling if heavy is scan else heavy.sampled()[0]
    if math.prod(scan.shape) > scan.coils * sampling.count and folding(sampling.density) > rules.folding:
        return ["mask: the image may be folded, because a regular pattern with fewer samples of all coils than pixels"
                " does not tell the image from its copies"]
    return []
