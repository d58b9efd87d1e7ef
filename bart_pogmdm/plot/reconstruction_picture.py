"""`bart-pogmdm view`: reconstructions as a picture.  `Result.plot` draws the same one."""

import functools
import io as memory

import numpy as np

from ..arrays.modules import move
from ..reconstruction import layout

WINDOW = 0.995  # quantile of the values that is the upper end of the scale
SIDE = 256      # about how many pixels of the screen the longer side of a panel takes
MOST_ROWS = 32
DPI = 100
TITLE, BAR, LABELS, GAP = 24, 10, 62, 8  # pixels: above a panel, of the colour bar, right of it, between


def figure(image=None, sens=None, std=None):
    """Magnitude and phase of the image, the magnitude of each coil's sensitivity, and std, as a matplotlib Figure.

    image, sens, std: as in `Result`; None is left out.  One row for each slice.  The first axis of the plane runs
    down and the second to the right, as in `bart toimg`.  Each panel's scale goes from 0 to the 99.5 % quantile over
    all slices (the phase from -π to π), and a pixel of the image is a square of whole pixels of the figure.
    Raises ValueError where the arrays do not fit together or are not finite, ImportError without matplotlib.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install 'bart_pogmdm[plot]'") from None
    stacks = _stacks(image, sens, std)
    panels = [panel for name, stack in stacks.items() for panel in _panels(name, stack)]
    ny, nx = next(iter(stacks.values())).shape[-2:]
    rows = len(panels[0][1])
    zoom = max(1, round(SIDE / max(ny, nx)))
    height, widths = zoom * ny, [zoom * round(ny * stack.shape[2] / stack.shape[1]) for _, stack, *_ in panels]
    full_width = GAP + sum(widths) + len(panels) * (BAR + LABELS + 2 * GAP)
    full_height = GAP + rows * (TITLE + height + GAP)
    picture = Figure(figsize=(full_width / DPI, full_height / DPI), dpi=DPI)
    for row in range(rows):
        left, bottom = GAP, full_height - (row + 1) * (TITLE + height + GAP)
        for (title, stack, colours, low, high), width in zip(panels, widths):
            def add_axes(x, wide, y=bottom):
                return picture.add_axes((x / full_width, y / full_height, wide / full_width, height / full_height))

            axes = add_axes(left, width)
            shown = axes.imshow(stack[row], cmap=colours, vmin=low, vmax=high, origin="upper", aspect="auto",
                                interpolation="nearest" if width == zoom * nx else "auto")
            axes.set_axis_off()  # a frame would cover the outermost pixels
            axes.set_title(f"{title}, slice {row}" if rows > 1 else title, fontsize=9)
            bar = picture.colorbar(shown, cax=add_axes(left + width + GAP, BAR))
            bar.ax.tick_params(labelsize=7)
            if low < 0:
                bar.set_ticks([low, 0, high], labels=["-π", "0", "π"])
            left += width + BAR + LABELS + 2 * GAP
    picture._repr_png_ = functools.partial(png, picture)  # so that notebooks show it
    return picture


def _stacks(image, sens, std):
    """{name: (slice, coil, y, x)} of what is given.  ValueError where that does not fit together."""
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


def _panels(name, stack):
    """(title, (slice, y, x), colours, lower end, upper end) of each panel that an array gives."""
    if name == "sens":
        magnitude = np.stack([_mosaic(coils) for coils in np.abs(stack)])
        yield "|sensitivities|", magnitude, "gray", 0, _upper(np.abs(stack))
        return
    magnitude = np.abs(stack[:, 0])
    if name == "std":
        yield "standard deviation", magnitude, "viridis", 0, _upper(magnitude)
        return
    yield "magnitude", magnitude, "gray", 0, _upper(magnitude)
    yield "phase", np.angle(stack[:, 0]), "twilight", -np.pi, np.pi


def _upper(magnitude):
    return float(np.quantile(magnitude, WINDOW)) or float(magnitude.max()) or 1.0


def _mosaic(coils):
    """The coils (coil, y, x) side by side in a grid that is about square, row by row; empty places are 0."""
    number, ny, nx = coils.shape
    columns = int(np.ceil(np.sqrt(number)))
    rows = -(-number // columns)
    tiles = np.zeros((rows * columns, ny, nx), coils.dtype)
    tiles[:number] = coils
    return tiles.reshape(rows, columns, ny, nx).swapaxes(1, 2).reshape(rows * ny, columns * nx)


def png(picture):
    """The bytes of a Figure as PNG, without a date or a version: the same data give the same bytes."""
    buffer = memory.BytesIO()
    picture.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
