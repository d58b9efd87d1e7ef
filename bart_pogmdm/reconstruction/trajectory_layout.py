"""The axis rule of trajectories, whose points are in the order of the samples of k-space."""

from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..arrays.modules import array_module
from ..arrays.rounding import is_rounding


def readouts(kspace: Array) -> Array:
    """Return the number of the readout (spoke, arm) of each sample of `sample_slices(kspace)`, (samples,)."""
    xp = array_module(kspace)
    spokes, samples = kspace.shape[-2:] if kspace.ndim <= 3 else kspace.shape[2:0:-1]
    numbers = xp.arange(spokes)
    return xp.repeat(numbers, samples) if kspace.ndim <= 3 else xp.tile(numbers, samples)


def points(traj: Any, kspace: Array) -> Array:
    """Return the trajectory as (…, D, samples) in float64 that matches `sample_slices(kspace)`.

    traj in BART's (3, samples, spokes, …), or for k-space of up to three dimensions also (spokes, samples, 2 or 3), in
    cycles per field of view.  The components are y and x, or READ and PHS1, and PHS2 for a volume.  TypeError or
    ValueError otherwise, for example for other units.
    """
    xp = array_module(kspace)
    try:
        traj = xp.asarray(traj)
    except ValueError as error:
        raise ValueError(f"traj: expected an array ({error})") from None
    if traj.dtype.kind not in "iufc":
        raise TypeError(f"traj: expected numbers, got {traj.dtype}")
    if not bool(xp.isfinite(traj).all()):
        raise ValueError("traj: expected finite numbers, got NaN or infinite ones")
    if traj.dtype.kind == "c" and not is_rounding(traj.imag, traj):
        raise ValueError("traj: expected real numbers, got imaginary parts")
    axes = _components_first(traj.real, kspace).astype(float)
    if len(axes := axes[:components(axes)]) == 3 and kspace.ndim <= 3:
        raise ValueError("traj: a 3-D trajectory goes with kspace in BART's dimensions, (1, samples, spokes, coils),"
                         f" got {kspace.shape}")
    loop = axes.shape[3:]
    axes = xp.moveaxis(axes.reshape(len(axes), -1, *loop), (0, 1), (-2, -1))
    _check_units(axes)
    loop = (1, *kspace.shape[COIL + 1:]) if kspace.ndim > COIL else ()
    return xp.broadcast_to(axes, (*loop, *axes.shape[-2:]))


def components(traj: Array) -> int:
    """Return how many components a trajectory (2 or 3, …) uses: 3 for a volume, where the third is not zero."""
    return 3 if len(traj) == 3 and not is_rounding(traj[2], traj) else 2


def _components_first(traj: Array, kspace: Array) -> Array:
    """Return (2 or 3, a, b, …) with (a, b) in the order of k-space's samples; ValueError where it does not fit."""
    if kspace.ndim <= 3:
        given, (spokes, samples) = traj.shape, kspace.shape[-2:]
        trimmed = given + (1,) * (3 - len(given))
        if trimmed == (3, samples, spokes):
            return traj.reshape(trimmed).transpose(0, 2, 1)
        if given[:-1] == (spokes, samples) and given[-1] in (2, 3):
            return array_module(traj).moveaxis(traj, -1, 0)
        raise ValueError(f"traj: expected shape (3, {samples}, {spokes}) or ({spokes}, {samples}, 2)"
                         f" for kspace {kspace.shape}, got {given}")
    shape = (3, *kspace.shape[1:COIL], 1, *kspace.shape[COIL + 1:])
    padded = traj.shape + (1,) * (kspace.ndim - traj.ndim)
    if padded[:COIL + 1] != shape[:COIL + 1] or any(n not in (1, m) for n, m in zip(padded, shape)) \
            or any(n != 1 for n in padded[kspace.ndim:]):
        raise ValueError(f"traj: expected shape {shape[:COIL]} for kspace {kspace.shape}, got {traj.shape}")
    return traj.reshape(*padded[:COIL], *padded[COIL + 1:kspace.ndim])


def _check_units(axes: Array) -> None:
    """Raise ValueError for a trajectory (…, D, samples) that is not in cycles per field of view, or has no extent."""
    highest = float(abs(axes).max())
    if any(is_rounding(axes[..., axis, :], axes) for axis in range(axes.shape[-2])):
        raise ValueError("traj: expected two or three components, got one of these that is zero everywhere")
    for limit, unit, factor in ((0.5, "cycles per sample", "the image size"),
                                (np.pi, "radians per sample", "the image size / (2 pi)")):
        if highest <= 1.01 * limit:
            raise ValueError(f"traj: expected cycles per field of view, up to half the image size, got at most"
                             f" {highest:.3g}: in {unit}? (then multiply by {factor})")
