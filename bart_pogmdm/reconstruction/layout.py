"""The axis rule: which axes of a user's array are coils, rows and columns, and which are looped over.

2-D (y, x): one coil.  3-D (coil, y, x).  4-D and more: BART's (READ, PHS1, PHS2, COIL, …), where the image plane is
the pair of the first three that is longer than 1, and the dimensions after COIL are looped over.

With a trajectory the samples take the place of the image plane: (spokes, samples), (coil, spokes, samples), or BART's
(1, samples, spokes, COIL, …).
"""

from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL, DIMS
from ..arrays.modules import array_module
from ..arrays.rounding import as_mask, is_rounding


def slices(array: Array) -> Array:
    """Return a view (…, coil, y, x) of kspace, sens or an image; the leading axes are the loop."""
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        return array
    plane = plane_axes(array.shape)
    loop = [axis for axis in range(array.ndim) if axis not in (*plane, COIL)]
    return array.transpose(*loop, COIL, *plane)


def plane_axes(shape: Shape) -> list[int]:
    """Return the two axes of the image in BART's order; ValueError if there are not two."""
    plane = [axis for axis in range(COIL) if shape[axis] > 1]
    if len(plane) != 2:
        sizes = ", ".join(f"{name} {n}" for name, n in zip(DIMS[:COIL], shape))
        raise ValueError(f"kspace: expected two of READ, PHS1, PHS2 longer than 1 (a 2-D slice), got {sizes}")
    return plane


def image_shape(shape: Shape) -> Shape:
    """Return the shape of the image for k-space of a shape: without coils, but of the same rank in BART's order."""
    return tuple(shape[-2:]) if len(shape) <= 3 else tuple(1 if axis == COIL else n for axis, n in enumerate(shape))


def check_kspace(kspace: Any, is_cartesian: bool = True) -> None:
    """Raise ValueError or TypeError unless kspace is a complex array with 2 to 16 dimensions."""
    if getattr(getattr(kspace, "dtype", None), "kind", None) != "c":
        raise TypeError(f"kspace: expected complex samples, got {getattr(kspace, 'dtype', type(kspace).__name__)}")
    if not 2 <= kspace.ndim <= len(DIMS):
        raise ValueError(f"kspace: expected 2 to {len(DIMS)} dimensions, got {kspace.ndim}")
    if 0 in kspace.shape:
        raise ValueError(f"kspace: expected samples, got an empty array of shape {kspace.shape}")
    if not is_cartesian:
        if kspace.ndim > 3 and kspace.shape[0] != 1:
            raise ValueError("kspace: with a trajectory, expected BART's (1, samples, spokes, coils),"
                             f" got {kspace.shape}")
    elif kspace.ndim > 3:
        plane_axes(kspace.shape)
    elif min(kspace.shape[-2:]) < 2:
        raise ValueError(f"kspace: expected an image plane of at least 2 x 2, got {kspace.shape}")


def mask_slices(mask: Any, kspace: Array) -> Array:
    """Return the mask as boolean view (…, y, x) that matches `slices(kspace)`; None: sampled where kspace is not zero.

    Accepts (y, x) or a line that broadcasts to it, for all slices, or BART's dims.  ValueError otherwise.
    """
    xp = array_module(kspace)
    if mask is None:
        return (slices(kspace) != 0).any(-3)
    try:
        mask = xp.asarray(mask)
    except ValueError as error:
        raise ValueError(f"mask: expected an array ({error})") from None
    given, mask = mask.shape, as_mask(mask, "mask")
    shape = image_shape(kspace.shape)
    if kspace.ndim > 3 and mask.ndim > 2:
        mask = mask.reshape(given + (1,) * (kspace.ndim - mask.ndim))
    elif kspace.ndim > 3:
        mask = mask.reshape((1,) * (2 - mask.ndim) + given)
        mask = xp.expand_dims(mask, tuple(set(range(kspace.ndim)) - set(plane_axes(kspace.shape))))
    elif mask.ndim == 3 and given[0] == 1:
        mask = mask[0]
    try:
        mask = xp.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(f"mask: expected a shape that broadcasts to the image's {shape}, got {given}") from None
    return slices(mask)[..., 0, :, :]


def sampled(kspace: Array, mask: Any) -> Array:
    """Return the samples of each coil, (J, n), of k-space in BART's order; those outside the mask are zero."""
    xp = array_module(kspace)
    measured = xp.where(mask_slices(mask, kspace)[..., None, :, :], slices(kspace), 0)
    return xp.moveaxis(measured, -3, 0).reshape(kspace.shape[COIL], -1)


def sample_slices(kspace: Array) -> Array:
    """Return a view (…, coil, samples) of k-space along trajectories; the leading axes are the loop."""
    if kspace.ndim <= 3:
        return slices(kspace).reshape(len(slices(kspace)), -1)
    loop = range(COIL + 1, kspace.ndim)  # beside the axis of size 1, which `slices` has as well
    return kspace.transpose(0, *loop, COIL, 1, 2).reshape(1, *kspace.shape[COIL + 1:], kspace.shape[COIL], -1)


def readouts(kspace: Array) -> Array:
    """Return the number of the readout (spoke, arm) of each sample of `sample_slices(kspace)`, (samples,)."""
    xp = array_module(kspace)
    spokes, samples = kspace.shape[-2:] if kspace.ndim <= 3 else kspace.shape[2:0:-1]
    numbers = xp.arange(spokes)
    return xp.repeat(numbers, samples) if kspace.ndim <= 3 else xp.tile(numbers, samples)


def points(traj: Any, kspace: Array) -> Array:
    """Return the trajectory as (…, 2, samples) in float64 that matches `sample_slices(kspace)`: y, x or READ, PHS1.

    traj in BART's (3, samples, spokes, …), or for k-space of up to three dimensions also (spokes, samples, 2 or 3), in
    cycles per field of view.  TypeError or ValueError otherwise, for example for 3-D trajectories or other units.
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
    if axes.shape[0] == 3 and not is_rounding(axes[2], axes):
        raise ValueError("traj: expected a trajectory in a plane, got a 3-D one (3-D is not supported)")
    loop = axes.shape[3:]
    axes = xp.moveaxis(axes[:2].reshape(2, -1, *loop), (0, 1), (-2, -1))
    _check_units(axes)
    loop = (1, *kspace.shape[COIL + 1:]) if kspace.ndim > COIL else ()
    return xp.broadcast_to(axes, (*loop, *axes.shape[-2:]))


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
    """Raise ValueError for a trajectory (…, 2, samples) that is not in cycles per field of view, or has no extent."""
    highest = float(abs(axes).max())
    if is_rounding(axes[..., 0, :], axes) or is_rounding(axes[..., 1, :], axes):
        raise ValueError("traj: expected points in a plane, got a line (one component is zero everywhere)")
    for limit, unit, factor in ((0.5, "cycles per sample", "the image size"),
                                (np.pi, "radians per sample", "the image size / (2 pi)")):
        if highest <= 1.01 * limit:
            raise ValueError(f"traj: expected cycles per field of view, up to half the image size, got at most"
                             f" {highest:.3g}: in {unit}? (then multiply by {factor})")
