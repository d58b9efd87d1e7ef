"""The arrays of one call, checked and cut into slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import COIL
from ..arrays.binary_scale import exponent_of, scaled
from ..arrays.modules import array_module, complex_dtype, move
from ..arrays.rounding import is_acquired, largest_of_coils
from ..physics.cartesian import CartesianScan
from ..physics.fourier import axes_of, resize
from ..physics.kspace_centre import find_centre
from ..physics.noncartesian import NonCartesianScan, image_size
from ..physics.nufft import library
from ..physics.readout_factors import align
from ..physics.sampled_box import sampled_box
from ..physics.sampling import Scan
from . import doubts, layout
from .frame import Frame
from .options import Rules

SPIKES = 3  # Samples of k-space that may outshine all others beyond the precision of numbers: fewer are no image.
ScanAt: TypeAlias = Callable[[Shape], tuple[Scan, Frame]]
ScanT = TypeVar("ScanT", CartesianScan, NonCartesianScan)


@dataclass(frozen=True, eq=False)
class Inputs:
    """The arrays of `recon`, in the caller's layout, device and precision.

    neighbour: coefficients of the sensitivities of a similar slice, to start from.
    first: number of the first slice, where k-space is a part of a larger array; it decides about random draws.
    """

    kspace: Array
    mask: Any = None
    traj: Any = None
    dims: Any = None
    sens: Any = None
    start: Any = None
    neighbour: Array | None = None
    first: int = 0

    def on(self, xp: ArrayModule) -> Inputs:
        """Return the same with arrays of another module."""
        names = ("kspace", "mask", "traj", "sens", "start", "neighbour")
        return replace(self, **{name: move(getattr(self, name), xp) for name in names})

    def slices(self, rules: Rules) -> Slices:
        """Return the slices.  TypeError or ValueError that names the argument that is wrong."""
        if self.neighbour is not None and not (self.sens is None and self.start is None):
            raise ValueError("neighbour: goes with unknown sens and no start")
        scan, sens_shape, about_all = self._cartesian(rules) if self.traj is None else self._noncartesian(rules)
        sens = None if self.sens is None else layout.sens_slices(self._numbers(self.sens, "sens"), sens_shape)
        if sens is not None and not bool((sens != 0).any()):
            raise ValueError("sens: all values are zero")
        image_shape = layout.image_shape(sens_shape)
        start = None if self.start is None else self._numbers(self.start, "start")
        if start is not None and start.shape != image_shape:
            raise ValueError(f"start: expected shape {image_shape}, got {start.shape}")
        start = None if start is None else layout.slices(start)
        if start is not None and not bool((start != 0).any(axes_of(layout.grid_of(sens_shape))).all()):
            raise ValueError("start: all values are zero" + (" in some slice" if start.ndim > 3 else ""))
        found = Slices(sens_shape, about_all, scan, sens, 0 if sens is None else exponent_of(sens), start)
        if self.neighbour is not None and len(self.neighbour) != found.coils:
            raise ValueError(f"neighbour: expected coefficients of as many coils as k-space, {found.coils}, got"
                             f" {len(self.neighbour)}")
        return found

    def _numbers(self, array: Any, name: str) -> Array:
        """Return an argument as an array in the precision of k-space; ValueError unless its numbers are finite."""
        xp = array_module(self.kspace)
        array = xp.asarray(array)
        if array.dtype.kind not in "fc" or not bool(xp.isfinite(array).all()):
            raise ValueError(f"{name}: expected finite floating-point numbers, got {array.dtype}"
                             + (" with NaN or infinite ones" if array.dtype.kind in "fc" else ""))
        return array.astype(complex_dtype(self.kspace.dtype))

    def _cartesian(self, rules: Rules) -> tuple[ScanAt, Shape, list[str]]:
        """Return a function from the index of a slice to its scan and frame, the shape of the sensitivities, doubts."""
        if self.dims is not None:
            raise ValueError("dims: goes with traj; without a trajectory k-space says the size")
        slices, patterns = layout.slices(self.kspace), layout.patterns(self.mask, self.kspace)

        def scan(index: Shape) -> tuple[Scan, Frame]:
            _check_spikes(slices[index])
            (kspace, where), pattern, grid = _inside(slices[index], patterns[index]), patterns[index], ()
            # The box lies about the centre of the grid, so it comes before the centre that the data have.
            box = sampled_box(is_acquired(kspace, kspace.ndim - 1), rules.box)
            if box != kspace.shape[1:]:
                kspace, pattern, grid = resize(kspace, box), resize(pattern, box), kspace.shape[1:]
            kspace, frame = _scaled(kspace, where, overwrite=True)
            weights, unit = _weights(pattern, kspace)
            scan = CartesianScan(kspace, (pattern != 0).any(0), weights)
            return _centred(scan, replace(frame, weight=unit, grid=grid, box=box if grid else ()), rules)

        return scan, self.kspace.shape, doubts.of_axes(slices, layout.grid_of(self.kspace.shape))

    def _noncartesian(self, rules: Rules) -> tuple[ScanAt, Shape, list[str]]:
        """Return the same for k-space along trajectories."""
        kspace = self.kspace
        library(array_module(kspace))
        samples, points = layout.sample_slices(kspace), layout.points(self.traj, kspace)
        readouts = layout.readouts(kspace)
        patterns = None if self.mask is None else layout.patterns(self.mask, kspace, is_cartesian=False)
        size = image_size(points) if self.dims is None else _size(self.dims, points.shape[-2])
        shape = (*kspace.shape[:-2], *size) if kspace.ndim <= 3 else (*size, *(1,) * (COIL - len(size)),
                                                                      *kspace.shape[COIL:])

        def scan(index: Shape) -> tuple[Scan, Frame]:
            _check_spikes(samples[index])
            if patterns is None:
                (measured, frame), weights, unit = _scaled(samples[index]), None, 1.0
            else:
                measured, frame = _scaled(*_inside(samples[index], patterns[index]), overwrite=True)
                weights, unit = _weights(patterns[index], measured)
            if weights is not None and weights.ndim > 1:
                raise ValueError("mask: expected the same weights for all coils along a trajectory")
            # The grid holds the samples about the centre, so the centre is found first.
            scan = NonCartesianScan(measured, points[index], size, readouts, weights)
            scan, frame = _centred(scan, replace(frame, weight=unit), rules)
            return align(scan.acquired_on_grid(), rules.readouts, rules.sens, rules.start), frame

        return scan, shape, doubts.of_trajectory(points, readouts, size, rules.doubts)


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of a call: their scans, known sensitivities (…, J, sets, *grid), start images (…, 1, *grid)."""

    sens_shape: Shape
    doubts: list[str]
    _scan: ScanAt
    _sens: Array | None
    _sens_exponent: int
    _start: Array | None

    @cached_property
    def image_shape(self) -> Shape:
        """Shape of the image, in the caller's layout."""
        return layout.image_shape(self.sens_shape)

    @cached_property
    def grid(self) -> Shape:
        """Grid of the image of a slice, (y, x), or (z, y, x) for a volume."""
        return layout.grid_of(self.sens_shape)

    @property
    def coils(self) -> int:
        """Number of coils."""
        return layout.slices(np.broadcast_to(0, self.sens_shape)).shape[-1 - len(self.grid)]

    @property
    def known_sets(self) -> int:
        """Number of sets of known sensitivities."""
        return 0 if self._sens is None else self._sens.shape[-1 - len(self.grid)]

    def scan(self, index: Shape) -> tuple[Scan, Frame]:
        """Return a slice as it was measured, in its frame."""
        scan, frame = self._scan(index)
        return scan, replace(frame, sens_scale=2.0**self._sens_exponent)

    def sens(self, index: Shape) -> Array | None:
        """Return the known sensitivities of a slice in the scale of its frame, (J, *grid) or (J, 2, *grid), or None.

        They are C-contiguous.
        """
        if self._sens is None:
            return None
        sens = scaled(self._sens[index], -self._sens_exponent)
        return array_module(sens).ascontiguousarray(sens[:, 0] if self.known_sets == 1 else sens)

    def start(self, index: Shape) -> Array | None:
        """Return the start image of a slice, (*grid) and C-contiguous, or None."""
        return None if self._start is None else array_module(self._start).ascontiguousarray(self._start[index][0])


def _size(dims: Any, ndim: int) -> Shape:
    """Return the sizes of an image of two or three dimensions."""
    sizes = tuple(dims) if isinstance(dims, (tuple, list, np.ndarray)) else ()
    if len(sizes) != ndim or not all(isinstance(n, (int, np.integer)) and n >= 2 for n in sizes):
        expected = "two integers >= 2, (y, x)" if ndim == 2 else "three integers >= 2 for a 3-D trajectory"
        raise ValueError(f"dims: expected {expected}, got {dims!r}")
    return tuple(map(int, sizes))


def _inside(kspace: Array, pattern: Array) -> tuple[Array, str]:
    """Return k-space with zeros outside the mask, and the words that say so; ValueError for a mask without samples."""
    has_signal = bool((kspace != 0).any())
    if has_signal and not bool(pattern.any()):
        raise ValueError("mask: expected at least one sample, got none")
    xp = array_module(kspace)
    inside = xp.zeros(kspace.shape, kspace.dtype)  # C-contiguous, whatever k-space is
    xp.copyto(inside, kspace, where=pattern != 0)
    return inside, " inside the mask" if has_signal else ""


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
    exponent = exponent_of(samples)
    return scaled(samples, -exponent, overwrite), Frame(2.0**exponent)  # C-contiguous: rounding depends on the layout


def _check_spikes(samples: Array) -> None:
    """Raise ValueError where a few samples (J, …) are so large that all others are lost in their rounding."""
    magnitude = largest_of_coils(samples)
    largest = float(magnitude.max())
    others = magnitude[magnitude <= np.finfo(magnitude.dtype).eps * largest]
    if 0 < magnitude.size - others.size <= SPIKES and bool((others != 0).any()):
        raise ValueError(f"kspace: expected samples of one scale, got {magnitude.size - others.size} of magnitude"
                         f" {largest:.3g} and all others below {float(others.max()):.3g}: spikes?")


def _centred(scan: ScanT, frame: Frame, rules: Rules) -> tuple[ScanT, Frame]:
    """Return the scan with the centre of k-space at zero frequency."""
    centre, fit = find_centre(scan, rules.centre)
    return scan.moved(centre) if any(centre) else scan, replace(frame, centre=centre, fit=fit)
