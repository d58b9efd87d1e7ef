"""The arrays of one call, checked and cut into slices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.bart_dims import COIL
from ..arrays.binary_scale import exponent_of, scaled
from ..arrays.modules import array_module, complex_dtype, move
from ..arrays.rounding import is_acquired
from ..physics.finufft_plan import library
from ..physics.fourier import axes_of
from ..physics.noncartesian import image_size
from ..physics.sampling import Scan
from . import layout, sample_doubts, trajectory_layout
from .frame import Frame
from .rules import Rules
from .scans import box_of_all, cartesian_scan, noncartesian_scan, of_coils, with_mapped

ScanAt: TypeAlias = Callable[[Shape, tuple[Shape, ...], Array | None, Array | None], tuple[Scan, Frame]]


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

    def check_kinds(self) -> None:
        """Raise TypeError for arrays that say more than their numbers, or have none yet."""
        for name in ("kspace", "mask", "traj", "sens", "start"):
            if isinstance(value := getattr(self, name), np.ma.MaskedArray):
                raise TypeError(f"{name}: expected a plain array, got a masked one: give its numbers, and mask")
            if hasattr(value, "__dask_graph__"):
                raise TypeError(f"{name}: expected an array in memory, got one of Dask: give the result of compute()")

    def _numbers(self, array: Any, name: str) -> Array:
        """Return an argument as an array in the precision of k-space; ValueError unless its numbers are finite."""
        xp = array_module(self.kspace)
        array = xp.asarray(array)
        if array.dtype.kind not in "fc" or not bool(xp.isfinite(array).all()):
            raise ValueError(f"{name}: expected finite floating-point numbers, got {array.dtype}"
                             + (" with NaN or infinite ones" if array.dtype.kind in "fc" else ""))
        return array.astype(complex_dtype(self.kspace.dtype))

    def _cartesian(self, rules: Rules) -> tuple[ScanAt, Shape, list[str]]:
        """Return a function that makes the scan of a slice, the shape of the sensitivities, and doubts."""
        grid = layout.grid_of(self.kspace.shape)
        if self.dims is not None and tuple(n for n in _sizes(self.dims) if n != 1) != grid:
            raise ValueError(f"dims: without a trajectory, expected the size of k-space, {grid}, got {self.dims!r}")
        slices, patterns = layout.slices(self.kspace), layout.patterns(self.mask, self.kspace)

        @lru_cache(1)  # the slices of a group come one after the other
        def box(group: tuple[Shape, ...]) -> Shape | None:
            return box_of_all(((slices[i], patterns[i]) for i in group), rules.box) if len(group) > 1 else None

        def scan(index: Shape, group: tuple[Shape, ...], mapped: Array | None,
                 misfits: Array | None) -> tuple[Scan, Frame]:
            kspace, pattern, fitting = slices[index], patterns[index], True if misfits is None else ~misfits
            if mapped is None:
                return cartesian_scan(kspace, pattern * fitting, rules, box(group))
            sought = (pattern if self.mask is not None else is_acquired(kspace[mapped], len(grid))[None]) * fitting
            scan, frame = cartesian_scan(kspace[mapped], of_coils(sought, mapped), rules, None)
            return scan, with_mapped(frame, kspace, pattern, mapped)

        return scan, self.kspace.shape, sample_doubts.of_axes(slices, grid)

    def _noncartesian(self, rules: Rules) -> tuple[ScanAt, Shape, list[str]]:
        """Return the same for k-space along trajectories."""
        kspace = self.kspace
        library(array_module(kspace))
        samples, points = layout.sample_slices(kspace), trajectory_layout.points(self.traj, kspace)
        readouts = trajectory_layout.readouts(kspace)
        patterns = None if self.mask is None else layout.patterns(self.mask, kspace, is_cartesian=False)
        size = image_size(points) if self.dims is None else _size(self.dims, points.shape[-2])
        shape = (*kspace.shape[:-2], *size) if kspace.ndim <= 3 else (*size, *(1,) * (COIL - len(size)),
                                                                      *kspace.shape[COIL:])

        def scan(index: Shape, group: tuple[Shape, ...], mapped: Array | None,
                 misfits: Array | None) -> tuple[Scan, Frame]:
            kspace, pattern = samples[index], None if patterns is None else patterns[index]
            if misfits is not None:
                pattern = (True if pattern is None else pattern) * ~array_module(misfits).isin(readouts, misfits)[None]
            if mapped is None:
                return noncartesian_scan(kspace, pattern, points[index], size, readouts, rules)
            sought = None if pattern is None else of_coils(pattern, mapped)
            scan, frame = noncartesian_scan(kspace[mapped], sought, points[index], size, readouts, rules)
            return scan, with_mapped(frame, kspace, pattern, mapped)

        return scan, shape, [*sample_doubts.of_trajectory(points, readouts, size, rules.doubts),
                             *sample_doubts.of_zero_frequency(samples, points, rules.doubts)]


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

    def scan(self, index: Shape, group: tuple[Shape, ...], misfits: Array | None = None) -> tuple[Scan, Frame]:
        """Return a slice as it was measured, in its frame; group: slices that have the same box of k-space.

        misfits: samples that are left out: booleans (*grid), zero frequency at n // 2, or numbers of readouts.

        Coils whose known sensitivities are zero are left out: what no image explains would pass for noise of all coils.
        ValueError where all are zero.
        """
        scan, frame = self._scan(index, group, self._mapped(index), misfits)
        return scan, replace(frame, sens_scale=2.0**self._sens_exponent)

    def sens(self, index: Shape) -> Array | None:
        """Return the known sensitivities of a slice in the scale of its frame, (J, *grid) or (J, 2, *grid), or None.

        They are C-contiguous, and those of the coils of its frame.  ValueError where all are zero.
        """
        if self._sens is None:
            return None
        mapped, sens = self._mapped(index), self._sens[index]
        sens = scaled(sens if mapped is None else sens[mapped], -self._sens_exponent)
        return array_module(sens).ascontiguousarray(sens[:, 0] if self.known_sets == 1 else sens)

    def _mapped(self, index: Shape) -> Array | None:
        """Return which coils of a slice have known sensitivities that are not zero, (J,), or None for all.

        ValueError where none has.
        """
        if self._sens is None:
            return None
        mapped = (self._sens[index] != 0).reshape(self.coils, -1).any(1)
        if not bool(mapped.any()):
            raise ValueError("sens: all values are zero")
        return None if bool(mapped.all()) else mapped

    def start(self, index: Shape) -> Array | None:
        """Return the start image of a slice, (*grid) and C-contiguous, or None."""
        return None if self._start is None else array_module(self._start).ascontiguousarray(self._start[index][0])


def _size(dims: Any, ndim: int) -> Shape:
    """Return the sizes of an image of two or three dimensions."""
    sizes = _sizes(dims)
    if len(sizes) != ndim or not all(isinstance(n, (int, np.integer)) and n >= 2 for n in sizes):
        expected = "two integers >= 2, (y, x)" if ndim == 2 else "three integers >= 2 for a 3-D trajectory"
        raise ValueError(f"dims: expected {expected}, got {dims!r}")
    return tuple(map(int, sizes))


def _sizes(dims: Any) -> tuple[Any, ...]:
    return tuple(dims) if isinstance(dims, (tuple, list, np.ndarray)) else ()
