"""From the samples of one slice to its scan, in the frame in which it is solved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from operator import and_, or_
from typing import TypeVar

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.binary_scale import exponent_of, scaled
from ..arrays.modules import array_module, move
from ..arrays.rounding import is_acquired, largest_of_coils
from ..physics.cartesian_scan import CartesianScan
from ..physics.fourier import resize
from ..physics.kspace_centre import Centre, find_centre
from ..physics.noncartesian import NonCartesianScan
from ..physics.readout_factors import align
from ..physics.sampled_box import BoxRules, sampled_box
from ..physics.spikes import spikes_along_readouts, spikes_on_grid
from .frame import Frame
from .rules import Rules

ROUNDING = 1e-6  # Relative difference of numbers that are the same: k-space in single precision may have been scaled.
SPIKES = 3  # Samples of k-space that may outshine all others beyond the precision of numbers: fewer are no image.
ScanT = TypeVar("ScanT", CartesianScan, NonCartesianScan)


def cartesian_scan(samples: Array, pattern: Array, rules: Rules, box: Shape | None) -> tuple[CartesianScan, Frame]:
    """Return k-space (J, *grid) as a scan, without spikes: all is as if these were not in the mask.

    pattern: (J or 1, *grid), booleans or weights; box: of k-space that was sampled, None to find it from the samples.
    """
    _check_spikes(samples)
    scan, frame = _on_grid(samples, pattern, rules, box)
    # The strongest may hide others.  Without a centre that stands out, peaks of the object may look like them.
    while frame.fit >= rules.doubts.fit and bool((found := spikes_on_grid(scan, rules.spikes)).any()):
        pattern = pattern * ~frame.samples_out_of(found)
        scan, frame = _on_grid(samples, pattern, rules, box)
        frame = replace(frame, spiked=True)
    return scan, frame


def _on_grid(samples: Array, pattern: Array, rules: Rules, box: Shape | None) -> tuple[CartesianScan, Frame]:
    """Return k-space as a scan, spikes and all."""
    kspace, where = _inside(samples, pattern)
    acquired, grid = is_acquired(kspace, kspace.ndim - 1), kspace.shape[1:]
    # The box lies about the centre of the grid, so it comes before the centre that the data have.
    box = box or sampled_box(acquired, rules.box)
    padded = box != grid
    if padded:
        kspace, pattern, acquired = (resize(array, box) for array in (kspace, pattern, acquired))
    pattern, lost = _without_empty_lines(pattern, acquired)
    kspace, frame = _scaled(kspace, where, overwrite=True)
    weights, unit = _weights(pattern, kspace)
    zeros = 0.0 if weights is not None and weights.ndim == kspace.ndim else _zeros(kspace, pattern[0] != 0)
    frame = replace(frame, lost=lost, zeros=zeros, weight=unit, grid=grid if padded else (), box=box if padded else ())
    scan = CartesianScan(kspace, (pattern != 0).any(0), weights)
    return _centred(scan, frame, find_centre(scan, rules.centre))


def box_of_all(slices: Iterable[tuple[Array, Array]], rules: BoxRules) -> Shape:
    """Return the box that holds the samples of all slices, given as k-space and pattern.

    Images that share their sensitivities have one grid, although random masks end at different lines.
    """
    return sampled_box(reduce(or_, (is_acquired(array_module(kspace).where(pattern != 0, kspace, 0), kspace.ndim - 1)
                                    for kspace, pattern in slices)), rules)


def noncartesian_scan(samples: Array, pattern: Array | None, points: Array, size: Shape, readouts: Array,
                      rules: Rules) -> tuple[NonCartesianScan, Frame]:
    """Return samples (J, M) at points (D, M) as a scan, without those off the grid, and without spikes.

    pattern: (1, M), booleans or weights, or None.  readouts: the number of the readout of each sample, (M,).
    """
    _check_spikes(samples)
    scan, frame = _along_trajectory(samples, pattern, points, size, readouts)
    centre = find_centre(scan, rules.centre)
    while (centre.fit >= rules.doubts.fit
           and bool((found := spikes_along_readouts(scan, centre.place, rules.spikes)).any())):
        pattern = (True if pattern is None else pattern) * ~found[None]
        scan, frame = _along_trajectory(samples, pattern, points, size, readouts)
        frame, centre = replace(frame, spiked=True), find_centre(scan, rules.centre)
    # The grid holds the samples about the centre, so the centre is found first.
    scan, frame = _centred(scan, frame, centre)
    return align(scan.acquired_on_grid(), rules.readouts, rules.sens, rules.start), frame


def _along_trajectory(samples: Array, pattern: Array | None, points: Array, size: Shape,
                      readouts: Array) -> tuple[NonCartesianScan, Frame]:
    """Return all samples as a scan about zero frequency, spikes and all."""
    if pattern is None:
        (measured, frame), weights, unit = _scaled(samples), None, 1.0
    else:
        measured, frame = _scaled(*_inside(samples, pattern), overwrite=True)
        weights, unit = _weights(pattern, measured)
    if weights is not None and weights.ndim > 1:
        raise ValueError("mask: expected the same weights for all coils along a trajectory")
    return NonCartesianScan(measured, points, size, readouts, weights), replace(frame, weight=unit)


def of_coils(pattern: Array, coils: Array) -> Array:
    """Return a pattern (J or 1, …) of some of the coils, by booleans (J,)."""
    return pattern if len(pattern) == 1 else pattern[coils]


def with_mapped(frame: Frame, kspace: Array, pattern: Array | None, mapped: Array) -> Frame:
    """Return the frame of a scan of the coils that have known sensitivities, by booleans (J,).

    kspace, pattern: (J, …) and (J or 1, …) or None, of all coils; the frame says how much signal the others hold.
    """
    xp, peaks = array_module(kspace), [0.0]
    for coil in xp.flatnonzero(~mapped).tolist():
        samples = kspace[coil] if pattern is None else kspace[coil][pattern[coil if len(pattern) > 1 else 0] != 0]
        power = abs(samples[samples != 0]).astype(float) ** 2
        peaks.append(float(power.mean() / xp.median(power)) if power.size else 0.0)
    chosen = np.eye(len(mapped))[move(mapped, np)]
    return replace(frame, unmapped=max(peaks)).with_coils(chosen, chosen.T)


def _inside(kspace: Array, pattern: Array) -> tuple[Array, str]:
    """Return k-space with zeros outside the mask, and the words that say so; ValueError for a mask without samples."""
    has_signal = bool((kspace != 0).any())
    if has_signal and not bool(pattern.any()):
        raise ValueError("mask: expected at least one sample, got none")
    xp = array_module(kspace)
    inside = xp.zeros(kspace.shape, kspace.dtype)  # C-contiguous, whatever k-space is
    xp.copyto(inside, kspace, where=pattern != 0)
    return inside, " inside the mask" if has_signal else ""


def _without_empty_lines(pattern: Array, acquired: Array) -> tuple[Array, float]:
    """Return the pattern without lines along any axis on which nothing was acquired, and the part of it that these had.

    Lines that were lost or padded with zeros tell nothing, whereas zeros among other samples may have been measured.
    """
    kept = reduce(and_, (acquired.any(axis, keepdims=True) for axis in range(acquired.ndim)))
    lost = int(((pattern != 0) & ~kept).sum())
    return (pattern * kept, lost / int((pattern != 0).sum())) if lost else (pattern, 0.0)


def _zeros(kspace: Array, mask: Array) -> float:
    """Return which part of the samples of coils with signal is zero."""
    of_coils = [float((coil[mask] == 0).mean()) for coil in kspace]  # one by one, since k-space may be large
    return float(np.mean([zeros for zeros in of_coils if zeros < 1]))


def _weights(pattern: Array, samples: Array) -> tuple[Array | None, float]:
    """Return the weights of the samples (J, …), and the unit by which they were divided.

    pattern: (J or 1, …), booleans or weights.  The weights have the shape of a coil, or (J, …) if the coils differ, or
    are None if all samples have the same.  In their unit ||W z|| = ||z||.
    """
    if len(pattern) > 1 and bool((pattern == pattern[:1]).all()):
        pattern = pattern[:1]
    if pattern.dtype.kind == "b" and len(pattern) == 1:
        return None, 1.0
    largest = float(pattern.max())
    weights = pattern / largest
    if len(pattern) == 1 and bool(((weights == 0) | (weights == 1)).all()):
        return None, largest
    energy = abs(samples).astype(float) ** 2
    unit = float((weights**2 * energy).sum() / energy.sum()) ** 0.5
    weights = (weights / unit).astype(samples.real.dtype)
    return weights[0] if len(weights) == 1 else weights, unit * largest


def _scaled(samples: Array, where: str = "", overwrite: bool = False) -> tuple[Array, Frame]:
    """Return the samples of one slice, perhaps in place, the largest about 1; ValueError for nothing to reconstruct."""
    if not bool(array_module(samples).isfinite(samples).all()):
        raise ValueError("kspace: expected finite samples, got NaN or infinite ones")
    if not bool((samples != 0).any()):
        raise ValueError(f"kspace: all samples are zero{where}")
    if not bool((samples.imag != 0).any()):
        raise ValueError("kspace: expected complex samples, got real ones (all imaginary parts are zero)")
    exponent, ties = exponent_of(samples), _ties(samples)
    # C-contiguous: rounding depends on the layout.
    return scaled(samples, -exponent, overwrite), Frame(2.0**exponent, ties=ties)


def _ties(samples: Array) -> int:
    """Return how many samples have the largest magnitude of a real or imaginary part.

    Those whose other parts are equal, too, count once: without noise they are the same place, measured again.
    """
    xp = array_module(samples)
    largest = float(xp.stack([xp.maximum(abs(coil.real), abs(coil.imag)).max() for coil in samples]).max())
    others = [abs(other)[abs(part) >= (1 - ROUNDING) * largest] for coil in samples  # one by one: k-space may be large
              for part, other in ((coil.real, coil.imag), (coil.imag, coil.real))]
    return len(xp.unique(xp.rint(xp.concatenate(others) / largest / ROUNDING)))


def _check_spikes(samples: Array) -> None:
    """Raise ValueError where a few samples (J, …) are so large that all others are lost in their rounding."""
    magnitude = largest_of_coils(samples)
    largest = float(magnitude.max())
    others = magnitude[magnitude <= np.finfo(magnitude.dtype).eps * largest]
    if 0 < magnitude.size - others.size <= SPIKES and bool((others != 0).any()):
        raise ValueError(f"kspace: expected samples of one scale, got {magnitude.size - others.size} of magnitude"
                         f" {largest:.3g} and all others below {float(others.max()):.3g}: spikes?")


def _centred(scan: ScanT, frame: Frame, centre: Centre) -> tuple[ScanT, Frame]:
    """Return the scan with the centre of k-space at zero frequency."""
    return (scan.moved(centre.place) if any(centre.place) else scan,
            replace(frame, centre=centre.place, fit=centre.fit))
