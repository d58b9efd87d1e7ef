"""The picture of a comparison: the images of every method on one case, with their errors, on common scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays.array_types import Array
from ..prior.calibration import BAND
from .panels import relative_std

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERROR_GAIN = 4  # Errors and standard deviations are shown this many times brighter than the images.
ZOOM = 3  # The enlarged part spans this fraction, 1 / ZOOM, of each side.
CELL_INCHES = 2.2  # Width of one panel.
CAPTIONS = {"image": "image", "error": "error", "part": "enlarged", "std": "standard deviation",
            "relative": "std / image, if not 0",
            "unexplained": "unexplained by sens"}


def draw_comparison(reference: Array, inside: Array, methods: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Draw all methods on one case with common scales, and return the matplotlib Figure.

    reference: (ny, nx).  inside: mask of the object (ny, nx).
    methods: {title: {name: (ny, nx)}} in the scale of the reference, with the names image and, if the method has them,
        std and unexplained.
    The rows are image, error, enlarged part, standard deviation, its part of the image (blank where the band of 90 %
    reaches zero), and the RSS of the part of the coil images that the sensitivities do not explain (figure 3 of the
    paper).
    """
    from matplotlib.figure import Figure
    ny, nx = reference.shape
    part = _central_part(inside)
    columns = {"reference": {"image": reference, "part": reference[part]}}
    for title, panels in methods.items():
        image = panels["image"]
        columns[title] = {**panels, "error": np.abs(image - reference), "part": image[part]}
        if "std" in panels:
            columns[title]["relative"] = relative_std(image, panels["std"])
    rows = [name for name in CAPTIONS if any(name in panels for panels in columns.values())]
    bright: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": float(np.quantile(reference[inside], 0.995))}
    dim = bright | {"cmap": "magma", "vmax": bright["vmax"] / ERROR_GAIN}
    picture = Figure((CELL_INCHES * len(columns), CELL_INCHES * len(rows) * min(1.5, ny / nx)), layout="constrained")
    axes = picture.subplots(len(rows), len(columns), squeeze=False)
    shown: dict[str, Any] = {}  # an image of each row
    for column, (title, panels) in zip(axes.T, columns.items()):
        column[0].set_title(title, fontsize=8)
        for axis, name in zip(column, rows):
            axis.set_axis_off()
            if name in panels:
                style = {"image": bright, "part": bright, "relative": dim | {"vmax": 1 / BAND}}.get(name, dim)
                shown[name] = axis.imshow(panels[name], **style)
    for axis, name in zip(axes[:, 0], rows):
        axis.text(-0.05, 0.5, CAPTIONS[name], transform=axis.transAxes, rotation=90, ha="right", va="center",
                  fontsize=7)
    for axis, name in zip(axes[:, -1], rows):
        if name not in ("image", "part"):  # in the scale of the reference
            picture.colorbar(shown[name], ax=axis, fraction=0.05)
    return picture


def _central_part(inside: Array) -> tuple[slice, slice]:
    """Return rows and columns of the enlarged part, around the median position of the object."""
    centres = (int(np.median(place)) for place in np.nonzero(inside))
    halves = (n // (2 * ZOOM) for n in inside.shape)
    rows, columns = (slice(max(0, centre - half), centre + half) for centre, half in zip(centres, halves))
    return rows, columns
