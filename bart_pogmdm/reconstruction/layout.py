"""The axis rule: which axes of a user's array are coils, rows and columns, and which are looped over.

2-D (y, x): one coil.  3-D (coil, y, x).  4-D and more: BART's (READ, PHS1, PHS2, COIL, …), where the grid of an image
has those of the first three that are longer than 1, two or three, and the dimensions after COIL are looped over.

With a trajectory (`trajectory_layout`) the samples take the place of the image plane: (spokes, samples), (coil, spokes,
samples), or BART's (1, samples, spokes, COIL, …).
"""

from itertools import zip_longest
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL, DIMS, MAPS, pad_dims
from ..arrays.modules import array_module
from ..arrays.rounding import as_pattern, is_acquired


def slices(array: Array) -> Array:
    """Return a view (…, coil, *grid) of kspace, sens or an image; the leading axes are the loop.

    In BART's order the first of these has the size 1, and those after COIL follow.
    """
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        return array
    grid = grid_axes(array.shape)
    alone = [axis for axis in range(COIL) if axis not in grid]
    view = array.transpose(*alone, *range(COIL + 1, array.ndim), COIL, *grid)
    return view if alone else view[None]


def grid_axes(shape: Shape) -> list[int]:
    """Return the axes of the image in BART's order, two or three; ValueError if there are fewer."""
    grid = [axis for axis in range(COIL) if shape[axis] > 1]
    if len(grid) < 2:
        sizes = ", ".join(f"{name} {n}" for name, n in zip(DIMS[:COIL], shape))
        raise ValueError(f"kspace: expected at least two of READ, PHS1, PHS2 longer than 1, got {sizes}")
    return grid


def grid_of(shape: Shape) -> Shape:
    """Return the grid of an image, (y, x) or (z, y, x), for k-space of a shape."""
    return tuple(shape[-2:]) if len(shape) <= 3 else tuple(shape[axis] for axis in grid_axes(shape))


def loop_of(shape: Shape) -> Shape:
    """Return the sizes of the dimensions of k-space that are looped over, as in `slices`."""
    return slices(np.broadcast_to(0, shape)).shape[:-1 - len(grid_of(shape))]


def place_of(index: Shape, loop: Shape) -> str:
    """Return the place of an index of `loop_of`, as "slice 2" or "TIME 3, slice 2"; empty where there is one."""
    named = [(DIMS[COIL + axis], place) for axis, (place, n) in enumerate(zip(index, loop)) if n > 1]
    return ", ".join(f"{'slice' if name == 'SLICE' else name} {place}" for name, place in named)


def image_shape(shape: Shape) -> Shape:
    """Return the shape of the image for k-space of a shape: without coils, but of the same rank in BART's order."""
    return tuple(shape[-2:]) if len(shape) <= 3 else tuple(1 if axis == COIL else n for axis, n in enumerate(shape))


def groups(shape: Shape, shared: int) -> list[list[tuple[int, Shape]]]:
    """Return the slices of k-space of a shape in groups that differ only along some dimensions.

    shared: BART's bits of these dimensions.  A slice is its number and its index in `loop_of(shape)`.
    """
    loop = loop_of(shape)
    axes = [0, *range(COIL + 1, len(shape))]
    found: dict[Shape, list[tuple[int, Shape]]] = {}
    for number, index in enumerate(np.ndindex(loop)):
        alone = tuple(0 if shared >> axis & 1 else place for axis, place in zip(axes, index))
        found.setdefault(alone, []).append((number, index))
    return list(found.values())


def check_kspace(kspace: Any, is_cartesian: bool = True) -> None:
    """Raise ValueError or TypeError unless kspace is a complex array with 2 to 16 dimensions, its coils along COIL."""
    if getattr(getattr(kspace, "dtype", None), "kind", None) != "c":
        raise TypeError(f"kspace: expected complex samples, got {getattr(kspace, 'dtype', type(kspace).__name__)}")
    if not 2 <= kspace.ndim <= len(DIMS):
        raise ValueError(f"kspace: expected 2 to {len(DIMS)} dimensions, got {kspace.ndim}")
    if 0 in kspace.shape:
        raise ValueError(f"kspace: expected samples, got an empty array of shape {kspace.shape}")
    if kspace.ndim > MAPS and kspace.shape[COIL] == 1 < kspace.shape[MAPS]:
        raise ValueError(f"kspace: expected the coils along COIL, dimension {COIL}, got 1 there and"
                         f" {kspace.shape[MAPS]} along MAPS, dimension {MAPS}: bart transpose {COIL} {MAPS} moves them")
    if not is_cartesian:
        if kspace.ndim > 3 and kspace.shape[0] != 1:
            raise ValueError("kspace: with a trajectory, expected BART's (1, samples, spokes, coils),"
                             f" got {kspace.shape}")
    elif kspace.ndim > 3:
        grid_axes(kspace.shape)
    elif min(kspace.shape[-2:]) < 2:
        raise ValueError(f"kspace: expected an image plane of at least 2 x 2, got {kspace.shape}")


def patterns(mask: Any, kspace: Array, is_cartesian: bool = True) -> Array:
    """Return the mask as booleans, or weights as numbers, that match `slices(kspace)`; None: where it was acquired.

    Shape (…, J, *grid), and along trajectories (…, J, samples) as `sample_slices(kspace)`, with 1 in place of J if all
    coils have the same.  ValueError for others than `pattern_like` accepts.
    """
    if mask is None:
        ndim = len(grid_of(kspace.shape))
        return array_module(kspace).expand_dims(is_acquired(slices(kspace), ndim), -1 - ndim)
    return (slices if is_cartesian else sample_slices)(pattern_like(mask, kspace, is_cartesian))


def pattern_like(mask: Any, kspace: Array, is_cartesian: bool = True) -> Array:
    """Return the mask as booleans, or weights as numbers, of the shape of k-space.

    It has 1 in place of the coils if all have the same.  Accepts (y, x) or a line that broadcasts to it, for all coils
    and slices, one more axis of coils, or BART's dims.  ValueError otherwise.
    """
    xp = array_module(kspace)
    try:
        mask = xp.asarray(mask)
    except ValueError as error:
        raise ValueError(f"mask: expected an array ({error})") from None
    given, pattern = mask.shape, as_pattern(mask, "mask")
    if kspace.ndim > 3 and pattern.ndim > 2:
        pattern = _of_rank(pattern, kspace.ndim)
    elif kspace.ndim > 3:
        grid = grid_axes(kspace.shape) if is_cartesian else [1, 2]
        pattern = pattern.reshape((1,) * (len(grid) - pattern.ndim) + given)
        pattern = xp.expand_dims(pattern, tuple(set(range(kspace.ndim)) - set(grid)))
    elif kspace.ndim == 3 and pattern.ndim < 3:
        pattern = pattern[None]
    shape = list(kspace.shape)
    if kspace.ndim == pattern.ndim > 2:
        coils = COIL if kspace.ndim > 3 else 0
        first = pattern.take([0], coils)
        if pattern.shape[coils] in (1, shape[coils]) and not bool((pattern != first).any()):
            pattern, shape[coils] = first, 1
    try:
        broadcast: Array = xp.broadcast_to(pattern, shape)
    except ValueError:
        names = {2: "(y, x)", 3: "(coil, y, x)", 4: "(READ, PHS1, PHS2, COIL, …)"} if is_cartesian else {
            2: "(spokes, samples)", 3: "(coil, spokes, samples)", 4: "(1, samples, spokes, COIL, …)"}
        axes = names[min(kspace.ndim, 4)]
        raise ValueError(f"mask: expected a shape that broadcasts to {_short(kspace.shape)}, of k-space {axes},"
                         f" got {_short(given)}") from None
    return broadcast


def _short(shape: Shape) -> Shape:
    """Return a shape in BART's order without the dimensions of size 1 at its end."""
    while len(shape) > COIL + 1 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def sampled(kspace: Array, mask: Any) -> Array:
    """Return the samples of each coil, (J, n), of k-space in BART's order; those outside the mask are zero."""
    xp = array_module(kspace)
    measured, coils = xp.where(patterns(mask, kspace) != 0, slices(kspace), 0), -1 - len(grid_of(kspace.shape))
    return xp.moveaxis(measured, coils, 0).reshape(kspace.shape[COIL], -1)


def sens_slices(sens: Array, shape: Shape) -> Array:
    """Return known sensitivities as a view (…, J, sets, *grid), with one or two sets.

    sens: of the `shape` of the result, in BART's order also 1 in dimensions that are looped over.  Two sets lie along
    MAPS, as `ecalib` writes them, or along a first axis (2, coil, y, x).  ValueError otherwise.
    """
    xp, given = array_module(sens), sens.shape
    if len(shape) <= 3:
        sets = [sens] if sens.ndim <= 3 else list(sens)
    else:
        sens = _of_rank(sens, len(DIMS))
        sets = [sens] if sens.shape[MAPS] == pad_dims(shape)[MAPS] else xp.split(sens, sens.shape[MAPS], MAPS)
        sets = [_of_rank(one, len(shape)) for one in sets]
    if len(sets) > 2 or not all(n == wanted or (axis > COIL and n == 1) for one in sets
                                for axis, (n, wanted) in enumerate(zip_longest(one.shape, shape))):
        raise ValueError(f"sens: expected shape {tuple(shape)}, or two such sets, got {given}")
    sens, loop = xp.stack([slices(one) for one in sets], -1 - len(grid_of(shape))), loop_of(shape)
    return xp.broadcast_to(sens, (*loop, *sens.shape[len(loop):]))


def _of_rank(array: Array, rank: int) -> Array:
    """Return an array with dimensions of size 1 added at the end, or removed there, as far as it has some."""
    shape = array.shape + (1,) * (rank - array.ndim)
    while len(shape) > rank and shape[-1] == 1:
        shape = shape[:-1]
    return array.reshape(shape)


def sample_slices(kspace: Array) -> Array:
    """Return a view (…, coil, samples) of k-space along trajectories; the leading axes are the loop."""
    if kspace.ndim <= 3:
        return slices(kspace).reshape(len(slices(kspace)), -1)
    loop = range(COIL + 1, kspace.ndim)  # beside the axis of size 1, which `slices` has as well
    return kspace.transpose(0, *loop, COIL, 1, 2).reshape(1, *kspace.shape[COIL + 1:], kspace.shape[COIL], -1)
