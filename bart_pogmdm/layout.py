"""The axis rule: which axes of a user's array are coils, rows and columns, and which are looped over.

2-D (y, x): one coil.  3-D (coil, y, x).  4-D and more: BART's (READ, PHS1, PHS2, COIL, …), where the image
plane is the pair of the first three that is longer than 1, and everything beyond COIL is looped over.
"""

from .backend import array_module
from .io import COIL, DIMS


def slices(array):
    """A view (…, coil, y, x) of kspace, sens or an image; the leading axes are the loop."""
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        return array
    plane = plane_axes(array.shape)
    loop = [axis for axis in range(array.ndim) if axis not in (*plane, COIL)]
    return array.transpose(*loop, COIL, *plane)


def plane_axes(shape):
    """The two axes of the image in BART's order; ValueError when there are not two."""
    plane = [axis for axis in range(COIL) if shape[axis] > 1]
    if len(plane) != 2:
        sizes = ", ".join(f"{name} {n}" for name, n in zip(DIMS[:COIL], shape))
        raise ValueError(f"kspace: expected two of READ, PHS1, PHS2 longer than 1 (a 2-D slice), got {sizes}")
    return plane


def image_shape(shape):
    """Shape of the image for k-space of a shape: without coils, of the same rank in BART's order."""
    return tuple(shape[-2:]) if len(shape) <= 3 else tuple(1 if axis == COIL else n for axis, n in enumerate(shape))


def check_kspace(kspace):
    """ValueError or TypeError unless kspace is a complex array with 2 to 16 dimensions."""
    if getattr(getattr(kspace, "dtype", None), "kind", None) != "c":
        raise TypeError(f"kspace: expected complex samples, got {getattr(kspace, 'dtype', type(kspace).__name__)}")
    if not 2 <= kspace.ndim <= len(DIMS):
        raise ValueError(f"kspace: expected 2 to {len(DIMS)} dimensions, got {kspace.ndim}")
    if 0 in kspace.shape:
        raise ValueError(f"kspace: expected samples, got an empty array of shape {kspace.shape}")
    if kspace.ndim > 3:
        plane_axes(kspace.shape)
    elif min(kspace.shape[-2:]) < 2:
        raise ValueError(f"kspace: expected an image plane of at least 2 x 2, got {kspace.shape}")


def mask_slices(mask, kspace):
    """The mask as boolean view (…, y, x) that matches `slices(kspace)`; sampled where kspace is not zero for None.

    Accepts (y, x) or a line that broadcasts to it, for all slices, or BART's dims.  ValueError otherwise.
    """
    xp = array_module(kspace)
    if mask is None:
        return (slices(kspace) != 0).any(-3)
    try:
        mask = xp.asarray(mask)
    except ValueError as error:
        raise ValueError(f"mask: expected an array ({error})") from None
    given = mask.shape
    if mask.dtype.kind not in "biufc" or not bool(((mask == 0) | (mask == 1)).all()):
        raise ValueError("mask: expected boolean or 0/1 values"
                         + (f", got {mask.dtype}" if mask.dtype.kind not in "biufc" else ", got others"))
    shape = image_shape(kspace.shape)
    if kspace.ndim > 3 and mask.ndim > 2:
        mask = mask.reshape(given + (1,) * (kspace.ndim - mask.ndim))
    elif kspace.ndim > 3:
        mask = mask.reshape((1,) * (2 - mask.ndim) + given)
        mask = xp.expand_dims(mask, tuple(set(range(kspace.ndim)) - set(plane_axes(kspace.shape))))
    elif mask.ndim == 3 and given[0] == 1:
        mask = mask[0]
    try:
        mask = xp.broadcast_to(mask != 0, shape)
    except ValueError:
        raise ValueError(f"mask: expected a shape that broadcasts to the image's {shape}, got {given}") from None
    return slices(mask)[..., 0, :, :]
