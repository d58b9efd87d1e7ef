"""A figure of panels in rows and columns, each beside its colour bar, and its PNG: to the pixel, the same each time."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.extras import optional
from ..files.outputs import PICTURE_SOURCE
from ..prior.calibration import BAND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 0.995  # Each scale ends at this quantile of its values, so that few bright pixels do not darken the others.
DPI = 100
TITLE = 24  # Height of a title, in pixels of the figure.
CHARACTER = 7  # Width of a character of a title, in pixels of the figure.
BAR = 10  # Width of a colour bar, in pixels of the figure.
SHORTEST_BAR = 48  # Least height of a colour bar, so that its labels stay apart, in pixels of the figure.
LABELS = 62  # Width of the labels of a colour bar, in pixels of the figure.
LINE = 1  # Width of the lines between the tiles of a mosaic, in pixels of a tile.
GAP = 8  # Distance between two parts of the figure, in pixels.


@dataclass(frozen=True)
class Panel:
    """One column of the figure: an image (y, x) for each row, with their colours and the ends of their scale."""

    title: str
    images: Sequence[Array]
    colours: str
    low: float
    high: float


def draw_panels(panels: Sequence[Panel], rows: Mapping[str, int]) -> Figure:
    """Draw the columns of a figure, and return the Figure.  Raises ImportError without matplotlib.

    rows: {title: longer side of the images in this row, in pixels of the figure}.
    """
    optional("matplotlib", "pictures need")
    from matplotlib.figure import Figure
    titles = [[f"{panel.title}, {row}" if row else panel.title for panel in panels] for row in rows]
    sizes = [[_size(panel.images[number], side) for panel in panels] for number, side in enumerate(rows.values())]
    heights = [max(SHORTEST_BAR, *(height for height, _ in row)) for row in sizes]
    widths = [max(CHARACTER * max(map(len, names)), max(width for _, width in column) + GAP + BAR + LABELS)
              for names, column in zip(zip(*titles), zip(*sizes))]
    full_width = GAP + sum(widths) + len(panels) * GAP
    full_height = GAP + sum(heights) + len(rows) * (TITLE + GAP)
    picture: Any = Figure(figsize=(full_width / DPI, full_height / DPI), dpi=DPI)

    def axes_at(left: int, top: int, width: int, height: int) -> Any:
        return picture.add_axes((left / full_width, (full_height - top - height) / full_height,
                                 width / full_width, height / full_height))

    top = TITLE
    for number, row_height in enumerate(heights):
        left = GAP
        for panel, title, (height, width), column_width in zip(panels, titles[number], sizes[number], widths):
            axes, array = axes_at(left, top, width, height), panel.images[number]
            is_whole = height % array.shape[0] == width % array.shape[1] == 0
            shown = axes.imshow(array, cmap=panel.colours, vmin=panel.low, vmax=panel.high, origin="upper",
                                aspect="auto", interpolation="nearest" if is_whole else "auto")
            axes.set_axis_off()  # A frame would cover the outermost pixels.
            axes.set_title(title, fontsize=9, loc="left")
            bar = picture.colorbar(shown, cax=axes_at(left + width + GAP, top, BAR, max(height, SHORTEST_BAR)))
            bar.ax.tick_params(labelsize=7)
            if panel.low < 0:
                bar.set_ticks([panel.low, 0, panel.high], labels=["-π", "0", "π"])
            left += column_width + GAP
        top += row_height + GAP + TITLE
    picture._repr_png_ = functools.partial(png, picture)  # Notebooks show the figure by this method.
    return picture


def png(picture: Figure, dpi: int = DPI) -> bytes:
    """Return a Figure as PNG, without date and version, so that the same data give the same bytes."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None, "Source": PICTURE_SOURCE})
    return buffer.getvalue()


def relative_std(magnitude: Array, std: Array) -> Array:
    """Return std over the magnitude; NaN, which the figure leaves blank, where the band of 90 % reaches zero.

    There the true value may be zero: in air, and where an object is darker than its error.
    """
    return np.where(magnitude > BAND * std, std, np.nan) / np.where(magnitude > 0, magnitude, 1)


def upper_end(magnitudes: Sequence[Array]) -> float:
    """Return the upper end of a scale: the quantile WINDOW, or the maximum if that is 0, or 1 if all values are 0."""
    values = np.concatenate([magnitude[np.isfinite(magnitude)].ravel() for magnitude in magnitudes])
    return (float(np.quantile(values, WINDOW)) or float(values.max()) or 1.0) if values.size else 1.0


def mosaic(tiles: Array) -> Array:
    """Arrange tiles (tile, y, x) row by row in an almost square grid.

    Lines between the tiles and empty places are NaN, which the figure leaves blank.
    """
    number, ny, nx = tiles.shape
    columns = _mosaic_columns(number, ny, nx)
    rows = -(-number // columns)
    places = np.full((rows * columns, ny + LINE, nx + LINE), np.nan, tiles.dtype)
    places[:number, :ny, :nx] = tiles
    places = places.reshape(rows, columns, *places.shape[1:]).swapaxes(1, 2)
    return places.reshape(rows * (ny + LINE), columns * (nx + LINE))[:-LINE, :-LINE]


def _mosaic_columns(number: int, ny: int, nx: int) -> int:
    """Return the columns with which the longer side of a mosaic of tiles (ny, nx) is shortest, and few places empty."""
    def cost(columns: int) -> tuple[int, int, int]:
        rows = -(-number // columns)
        return max(rows * (ny + LINE), columns * (nx + LINE)), rows * columns, -columns

    return min(range(1, number + 1), key=cost)


def _size(image: Array, side: int) -> tuple[int, int]:
    """Return height and width at which an image has this longer side, in pixels of the figure."""
    height, width = (max(1, round(side * n / max(image.shape))) for n in image.shape)
    return height, width
