"""`bart-pogmdm view`: reconstructions as a picture.  `Result.plot` draws the same one."""

import functools
import io as memory
from pathlib import Path

import numpy as np

from .. import io, layout
from ..backend import move
from ..parser import Parser

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


def roles(arrays):
    """{"image" | "sens" | "std": array} of {name: array in BART's dimensions}, told apart by COIL.

    More than one coil: the sensitivities.  Of the others the first is the image, the last the standard deviation;
    three of them are image, sensitivities and standard deviation of one coil.  ValueError for anything else.
    """
    found = {}
    single = [name for name, array in arrays.items() if array.shape[io.COIL] == 1]
    several = [name for name in arrays if name not in single]
    words = {1: ("image",), 2: ("image", "std"), 3: ("image", "sens", "std")}.get(len(single), ())
    if len(several) > 1:
        raise ValueError(f"expected one file with several coils (the sensitivities), got {', '.join(several)}")
    if len(words) != len(single) or ("sens" in words and several):
        raise ValueError(f"expected an image and at most one standard deviation, got {', '.join(single)}")
    for word, name in zip(("sens", *words), several + single) if several else zip(words, single):
        shape = arrays[name].shape
        if sum(n > 1 for n in shape[:io.COIL]) != 2:
            sizes = " x ".join(map(str, shape[:io.COIL]))
            raise ValueError(f"{name}: expected two of READ, PHS1, PHS2 longer than 1 (a 2-D slice), got {sizes}")
        found[word] = arrays[name]
    return found


def _parser():
    parser = Parser(prog="bart-pogmdm view", description=(
        "Draw what `bart pogmdm` wrote as PNG: magnitude and phase of the image, the magnitude of each coil's "
        "sensitivity, and the standard deviation, one row for each slice, turned as in `bart toimg`. The file with "
        "several coils holds the sensitivities; of the others the first is the image, the last the standard deviation. "
        "Each scale ends at the 99.5 % quantile."))
    add = parser.add_argument
    add("results", nargs="+", metavar="RESULT", help="BART files: image, sensitivities, standard deviation, or some")
    add("-o", "--out", type=Path, metavar="FILE.png", help="default: the name of the first RESULT with .png, here")
    return parser


def view(argv):
    """Draw the files that the arguments name.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    out = args.out or Path(f"{io.files(args.results[0])[0].stem}.png")
    if out.suffix != ".png":
        raise ValueError(f"--out: expected a name that ends in .png, got {out}")
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {out.parent} does not exist")
    inputs = {path.resolve() for name in args.results for path in io.files(name)}
    if out.resolve() in inputs:
        raise ValueError(f"--out: {out} would overwrite an input")
    content = png(figure(**roles({name: io.read(name) for name in args.results})))
    io.replace(out, lambda file: file.write(content))
    print(f"picture: {out}")
    return 0
