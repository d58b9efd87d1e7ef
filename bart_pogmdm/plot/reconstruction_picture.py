"""The picture of a reconstruction, drawn by `bart-pogmdm view` and by `Result.plot`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..arrays.modules import move
from ..reconstruction import layout
from .panels import Panel, draw_panels, mosaic, relative_std, upper_end
from .volume_planes import central_planes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 256  # The longer side of a panel takes about this many pixels of the screen.
MOST_ROWS = 32  # More rows than this would give a picture too tall for a screen.


def draw_reconstruction(image: Array | None = None, sens: Array | None = None, std: Array | None = None) -> Figure:
    """Draw magnitude and phase (if any) of the image, the magnitude of each sensitivity, and std; return the Figure.

    With image and std, the last panel is std over the magnitude, blank where the band of 90 % reaches zero.
    image, sens, std: as in `Result`; None is left out.  Each slice has one row; each volume has three, the planes
    across READ, PHS1 and PHS2 through the centre of its energy.  The first axis of a plane runs down and the second to
    the right, as in `bart toimg`.  Each scale goes from 0 to the 99.5 % quantile over all rows (that of the phase from
    -π to π).  A pixel of the image, or a voxel, is a square of whole pixels of the figure.
    Raises ValueError for arrays that do not fit together or are not finite, ImportError without matplotlib.
    """
    stacks = stacks_of(image=image, sens=sens, std=std)
    first, stack = next(iter(stacks.items()))
    is_volume, number = is_volumes(stack), len(stack)
    most, places = (MOST_ROWS // COIL, "volumes") if is_volume else (MOST_ROWS, "slices")
    if number > most:
        raise ValueError(f"{first}: expected at most {most} {places}, got {number}: take some with `bart extract`")
    if is_volume:
        rows = central_planes(stacks)
    else:
        rows = {f"slice {row}" if number > 1 else "": {name: array[row] for name, array in stacks.items()}
                for row in range(number)}
    zoom = max(1, round(SIDE / max(stack.shape[2:])))
    panels = [panel for name in stacks for panel in _panels(name, [planes[name] for planes in rows.values()])]
    if "image" in stacks and "std" in stacks:
        relative = [relative_std(*(np.abs(planes[name][0]) for name in ("image", "std"))) for planes in rows.values()]
        panels.append(Panel("std / magnitude", relative, "magma", 0, upper_end(relative)))
    return draw_panels(panels, {title: zoom * max(planes[first].shape[1:]) for title, planes in rows.items()})


def stacks_of(**arrays: Array | None) -> dict[str, Array]:
    """Return {name: (place, coil, *grid)} of those of image, sens and std that are given, as NumPy arrays.

    Raises ValueError unless they fit together and are finite.
    """
    stacks = {}
    for name, array in arrays.items():
        if array is None:
            continue
        grid = layout.grid_of(array.shape)
        view = layout.slices(move(array, np))
        view = view.reshape(-1, view.shape[-1 - len(grid)] if name == "sens" else 1, *grid)
        if not np.isfinite(view).all():
            raise ValueError(f"{name}: expected finite values, got NaN or infinite ones")
        stacks[name] = view
    if not stacks:
        raise ValueError(f"expected some of {', '.join(arrays)}, got none of them")
    first = next(iter(stacks))
    shapes = {name: (len(stack), *stack.shape[2:]) for name, stack in stacks.items()}
    for name, shape in shapes.items():
        if shape != shapes[first]:
            raise ValueError(f"{name}: expected as many slices or volumes, of the same size, as in {first},"
                             f" {shapes[first]}, got {shape}")
    return stacks


def is_volumes(stack: Array) -> bool:
    """Return True if a stack (place, coil, *grid) is one of volumes, not of slices."""
    return stack.ndim == 2 + COIL


def _panels(name: str, planes: Sequence[Array]) -> Iterator[Panel]:
    """Yield the panels of the planes (coil, y, x) of an array: magnitude, and phase of an image that has one."""
    if name == "sens":
        tiles = [np.abs(coils) for coils in planes]
        yield Panel("|sensitivities|", [mosaic(coils) for coils in tiles], "gray", 0, upper_end(tiles))
        return
    yield magnitude_panel(name, [np.abs(plane[0]) for plane in planes])
    if name == "image" and any((plane[0] != np.abs(plane[0])).any() for plane in planes):
        yield Panel("phase", [np.angle(plane[0]) for plane in planes], "twilight", -np.pi, np.pi)


def magnitude_panel(name: str, magnitudes: Sequence[Array]) -> Panel:
    """Return the panel of the magnitudes (y, x) of the image or of std, on the scale of all of them."""
    title, colours = {"image": ("magnitude", "gray"), "std": ("standard deviation", "viridis")}[name]
    return Panel(title, magnitudes, colours, 0, upper_end(magnitudes))
