"""The montage of a reconstruction, drawn by `bart-pogmdm view --montage`: all slices as tiles of one image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..arrays.array_types import Array
from .panels import LINE, draw_panels, mosaic
from .reconstruction_picture import is_volumes, magnitude_panel, stacks_of
from .volume_planes import plane_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 1800  # Most pixels along a side of several tiles: two montages fit beside each other on a screen of 3840 x 2160.

LARGEST_ZOOM = 6  # Pixels of the screen along a side of a pixel: small images need not fill the screen.


def draw_montage(image: Array | None = None, std: Array | None = None) -> Figure:
    """Draw the magnitude of the image in all slices as tiles of one image, and so std; return the Figure.

    image, std: as in `Result`; None is left out.  The tiles are the planes of a volume across READ, the first of its
    dimensions, or the slices of a series, row by row.  Where there are more than a screen takes, slices are skipped
    evenly, and the title says so.  Scales, axes and pixels are as in `draw_reconstruction`.
    Raises ValueError for arrays that do not fit together, are not finite or are several volumes, ImportError without
    matplotlib.
    """
    stacks = stacks_of(image=image, std=std)
    first, stack = next(iter(stacks.items()))
    if is_volumes(stack) and len(stack) > 1:
        raise ValueError(f"{first}: expected one volume for a montage, got {len(stack)}: take one with `bart slice`")
    tiles = {name: np.abs(array).reshape(-1, *array.shape[-2:]) for name, array in stacks.items()}
    number, ny, nx = tiles[first].shape
    most = max(1, (SIDE + LINE) // (ny + LINE)) * max(1, (SIDE + LINE) // (nx + LINE))
    step = -(-number // most)
    shown = np.arange((number - 1) % step // 2, number, step)  # As many are left out at the start as at the end.
    panels = [replace(magnitude_panel(name, list(array[shown])), images=[mosaic(array[shown])])
              for name, array in tiles.items()]
    side = max(panels[0].images[0].shape)
    places = f"{shown[0]} to {shown[-1]}" if len(shown) > 1 else f"{shown[0]}"
    places += f", one in {step}" if step > 1 else ""
    return draw_panels(panels, {plane_name(0, places) if is_volumes(stack) else f"slice {places}":
                                min(max(1, SIDE // side), LARGEST_ZOOM) * side})
