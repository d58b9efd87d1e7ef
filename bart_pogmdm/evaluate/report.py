"""The comparison for the eye: a Markdown table, figures, and one HTML page that holds them all."""

import base64
import html
import io
from itertools import groupby

import numpy as np

from ..io import replace
from .methods import METHODS
from .metrics import object_of

ERROR_GAIN = 4  # errors and stds are shown so much brighter than the image
ZOOM = 3        # the part shown enlarged has this part of each side
CELL_INCHES = 2.2


def _cases(rows):
    """The rows of each case, data set by data set, mask by mask."""
    def key(row):
        return row["data"], row["mask"]
    return [(key, list(group)) for key, group in groupby(sorted(rows, key=key), key)]


def _methods(rows):
    return [name for name in METHODS if any(row["method"] == name for row in rows)]


def markdown(rows):
    """PSNR and SSIM of every case (rows) and method (columns), the best in bold, and the means of each data set.

    A method that did not run has its reason below the table.
    """
    names = _methods(rows)
    lines = ["| data | mask | " + " | ".join(METHODS[name].label.split(",")[0] if name.startswith("pics") else name
                                              for name in names) + " |", "|---" * (len(names) + 2) + "|"]
    notes = {}
    for (data, mask), group in _cases(rows):
        found = {row["method"]: row for row in group}
        best = max((row["psnr"] for row in group if row["psnr"]), default=None)
        cells = []
        for name in names:
            row = found.get(name)
            if row and row["psnr"]:
                cell = f"{row['psnr']:.2f} / {row['ssim']:.3f}"
                cells.append(f"**{cell}**" if row["psnr"] == best else cell)
            else:
                cells.append("-")
                if row:
                    notes.setdefault((name, row["note"]), []).append(f"{data} {mask}")
        lines.append(f"| {data} | {mask} | " + " | ".join(cells) + " |")
    lines += ["", "PSNR in dB and SSIM inside the object, after one least-squares scale."]
    lines += [f"- {name} did not run: {note} ({', '.join(places)})" for (name, note), places in notes.items()]
    return "\n".join(lines) + "\n"


def figure(group):
    """Image, error, enlarged part and std of every method of one case, as a matplotlib Figure; all on common scales."""
    from matplotlib.figure import Figure
    group = [row for row in sorted(group, key=lambda row: list(METHODS).index(row["method"])) if row["psnr"]]
    with np.load(group[0]["file"]) as file:
        reference = file["reference"]
    ny, nx = reference.shape
    inside = object_of(reference)
    y, x = (int(np.median(place)) for place in np.nonzero(inside))
    half = ny // (2 * ZOOM), nx // (2 * ZOOM)
    part = tuple(slice(max(0, c - h), c + h) for c, h in zip((y, x), half))
    canvas = Figure((CELL_INCHES * (len(group) + 1), CELL_INCHES * 4 * min(1.5, ny / nx)), layout="constrained")
    axes = canvas.subplots(4, len(group) + 1)
    window = {"cmap": "gray", "vmin": 0, "vmax": float(np.quantile(reference[inside], 0.995))}
    small = window | {"cmap": "magma", "vmax": window["vmax"] / ERROR_GAIN}
    for axis in axes.flat:
        axis.set_axis_off()
    for column, row in zip(axes.T, [None, *group]):
        if row is None:
            image, std, title = reference, None, "reference"
        else:
            with np.load(row["file"]) as file:
                image, std = file["image"], file.get("std")
            title = f"{row['method']}\n{row['psnr']:.2f} dB"
            column[1].imshow(np.abs(image - reference), **small)
        column[0].set_title(title, fontsize=8)
        column[0].imshow(image, **window)
        column[2].imshow(image[part], **window)
        if std is not None:
            shown = column[3].imshow(std, **small)
            canvas.colorbar(shown, ax=column[3], fraction=0.05)
            column[3].set_title("std, on the scale of the errors", fontsize=7)
    return canvas


def write(rows, folder):
    """A PNG for each case that has images, and index.html with the table, the CSV's numbers and all pictures inside."""
    parts = [f"<h1>Comparison</h1><pre>{html.escape(markdown(rows))}</pre>"]
    (folder / "figures").mkdir(exist_ok=True)
    for (data, mask), group in _cases(rows):
        if not any(row["psnr"] for row in group):
            continue
        buffer = io.BytesIO()
        figure(group).savefig(buffer, format="png", dpi=110)
        replace(folder / "figures" / f"{data}__{mask}.png", lambda file, buffer=buffer: file.write(buffer.getvalue()))
        picture = base64.b64encode(buffer.getvalue()).decode()
        parts.append(f"<h2>{html.escape(f'{data}, {mask}')}</h2><p>Image, error x {ERROR_GAIN}, enlarged part, standard"
                     f" deviation x {ERROR_GAIN}.</p><img alt='{html.escape(f'{data} {mask}')}'"
                     f" src='data:image/png;base64,{picture}'>")
    page = ("<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Comparison</title><style>"
            "body{font-family:sans-serif;margin:2em} img{max-width:100%}</style></head><body>" + "".join(parts)
            + "</body></html>\n")
    replace(folder / "index.html", lambda file: file.write(page.encode()))
