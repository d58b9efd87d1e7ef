"""The picture of a reconstruction, drawn by `bart-pogmdm view` and by `Result.plot`."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.modules import move
from ..files.outputs import PICTURE_SOURCE
from ..reconstruction import layout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WINDOW = 0.995  # Each scale ends at this quantile of its values, so that few bright pixels do not darken the others.
SIDE = 256  # The longer side of a panel takes about this many pixels of the screen.
MOST_ROWS = 32  # More slices than this would give a picture too tall for a screen.
DPI = 100
TITLE = 24  # Height of a title, in pixels of the figure.
BAR = 10  # Width of a colour bar, in pixels of the figure.
LABELS = 62  # Width of the labels of a colour bar, in pixels of the figure.
GAP = 8  # Distance between two parts of the figure, in pixels.


@dataclass(frozen=True)
class Panel:
    """One column of the picture: slices (slice, y, x) with their colours and the ends of their scale."""

    title: str
    slices: Array
    colours: str
    low: float
    high: float


def draw_reconstruction(image: Array | None = None, sens: Array | None = None, std: Array | None = None) -> Figure:
    """Draw magnitude and phase of the image, the magnitude of each sensitivity, and std; return the Figure.

    image, sens, std: as in `Result`; None is left out.  Each slice has one row.  The first axis of the plane runs
    down and the second to the right, as in `bart toimg`.  Each scale goes from 0 to the 99.5 % quantile over all
    slices (that of the phase from -π to π).  A pixel of the image is a square of whole pixels of the figure.
    Raises ValueError for arrays that do not fit together or are not finite, ImportError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'bart_pogmdm[plot]'") from None
    stacks = _stacks(image, sens, std)
    panels = [panel for name, stack in stacks.items() for panel in _panels(name, stack)]
    ny, nx = next(iter(stacks.values())).shape[-2:]
    rows = len(panels[0].slices)
    zoom = max(1, round(SIDE / max(ny, nx)))
    height = zoom * ny
    widths = [zoom * round(ny * panel.slices.shape[2] / panel.slices.shape[1]) for panel in panels]
    full_width = GAP + sum(widths) + len(panels) * (BAR + LABELS + 2 * GAP)
    full_height = GAP + rows * (TITLE + height + GAP)
    picture: Any = Figure(figsize=(full_width / DPI, full_height / DPI), dpi=DPI)
    for row in range(rows):
        left, bottom = GAP, full_height - (row + 1) * (TITLE + height + GAP)
        for panel, width in zip(panels, widths):
            boxes = [(x / full_width, bottom / full_height, wide / full_width, height / full_height)
                     for x, wide in ((left, width), (left + width + GAP, BAR))]
            axes = picture.add_axes(boxes[0])
            shown = axes.imshow(panel.slices[row], cmap=panel.colours, vmin=panel.low, vmax=panel.high,
                                origin="upper", aspect="auto",
                                interpolation="nearest" if width == zoom * nx else "auto")
            axes.set_axis_off()  # A frame would cover the outermost pixels.
            axes.set_title(f"{panel.title}, slice {row}" if rows > 1 else panel.title, fontsize=9)
            bar = picture.colorbar(shown, cax=picture.add_axes(boxes[1]))
            bar.ax.tick_params(labelsize=7)
            if panel.low < 0:
                bar.set_ticks([panel.low, 0, panel.high], labels=["-π", "0", "π"])
            left += width + BAR + LABELS + 2 * GAP
    picture._repr_png_ = functools.partial(png, picture)  # Notebooks show the figure by this method.
    return picture


def png(picture: Figure, dpi: int = DPI) -> bytes:
    """Return a Figure as PNG, without date and version, so that the same data give the same bytes."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None, "Source": PICTURE_SOURCE})
    return buffer.getvalue()


def _stacks(image: Array | None, sens: Array | None, std: Array | None) -> dict[str, Array]:
    """Return {name: (slice, coil, y, x)} of the given arrays.  Raises ValueError unless they fit together."""
    stacks = {}
    for name, array in (("image", image), ("sens", sens), ("std", std)):
        if array is None:
            continue
        view = layout.slices(move(array, np))
        view = view.reshape(-1, view.shape[-3] if name == "sens" else 1, *view.shape[-2:])
        if not np.isfinite(view).all():
            raise ValueError(f"{name}: expected finite values, got NaN or infinite ones")
        stacks[name] = view
    if not stacks:
        raise ValueError("expected an image or sensitivities, got neither")
    first = next(iter(stacks))
    shapes = {name: (len(stack), *stack.shape[2:]) for name, stack in stacks.items()}
    for name, shape in shapes.items():
        if shape != shapes[first]:
            raise ValueError(f"{name}: expected slices, rows and columns as in {first}, {shapes[first]}, got {shape}")
    if shapes[first][0] > MOST_ROWS:
        raise ValueError(f"{first}: expected at most {MOST_ROWS} slices, got {shapes[first][0]}:"
                         " take some with `bart extract`")
    return stacks


def _panels(name: str, stack: Array) -> Iterator[Panel]:
    """Yield the panels of an array (slice, coil, y, x): two for an image, one for other arrays."""
    if name == "sens":
        magnitude = np.stack([_mosaic(coils) for coils in np.abs(stack)])
        yield Panel("|sensitivities|", magnitude, "gray", 0, _upper(np.abs(stack)))
        return
    magnitude = np.abs(stack[:, 0])
    if name == "std":
        yield Panel("standard deviation", magnitude, "viridis", 0, _upper(magnitude))
        return
    yield Panel("magnitude", magnitude, "gray", 0, _upper(magnitude))
    yield Panel("phase", np.angle(stack[:, 0]), "twilight", -np.pi, np.pi)


def _upper(magnitude: Array) -> float:
    """Return the upper end of a scale: the quantile WINDOW, or the maximum if that is 0, or 1 for an image of zeros."""
    return float(np.quantile(magnitude, WINDOW)) or float(magnitude.max()) or 1.0


def _mosaic(coils: Array) -> Array:
    """Arrange the coils (coil, y, x) row by row in an almost square grid; empty places are 0."""
    number, ny, nx = coils.shape
    columns = int(np.ceil(np.sqrt(number)))
    rows = -(-number // columns)
    tiles = np.zeros((rows * columns, ny, nx), coils.dtype)
    tiles[:number] = coils
    return tiles.reshape(rows, columns, ny, nx).swapaxes(1, 2).reshape(rows * ny, columns * nx)
