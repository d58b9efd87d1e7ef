"""The comparison for the eye: a Markdown table, figures, and one HTML page that holds them all."""

import numpy as np

from ..evaluate.competitors import COMPETITORS
from ..evaluate.metrics import object_of

ERROR_GAIN = 4  # errors and stds are shown so much brighter than the image
ZOOM = 3        # the part shown enlarged has this part of each side
CELL_INCHES = 2.2
CAPTIONS = {"image": "image", "error": "error", "part": "enlarged", "std": "standard deviation",
            "unexplained": "unexplained by sens"}


def figure(group):
    """Every method of one case as a matplotlib Figure, all on common scales.

    Rows: image, error, enlarged part, std, and what the sensitivities cannot explain of the full data (RSS over the
    coils; the paper's figure 3); the last two only where a method has them.
    """
    from matplotlib.figure import Figure
    group = [row for row in sorted(group, key=lambda row: list(COMPETITORS).index(row["method"])) if row["psnr"]]
    with np.load(group[0]["file"]) as file:
        reference = file["reference"]
    ny, nx = reference.shape
    inside = object_of(reference)
    y, x = (int(np.median(place)) for place in np.nonzero(inside))
    half = ny // (2 * ZOOM), nx // (2 * ZOOM)
    part = tuple(slice(max(0, c - h), c + h) for c, h in zip((y, x), half))
    columns = {"reference": {"image": reference, "part": reference[part]}}
    for row in group:
        with np.load(row["file"]) as file:
            panels = {name: file[name] for name in ("image", "std", "unexplained") if name in file}
        image = panels["image"]
        columns[f"{row['method']}\n{row['psnr']:.2f} dB"] = panels | {"error": np.abs(image - reference),
                                                                     "part": image[part]}
    rows = [name for name in CAPTIONS if any(name in panels for panels in columns.values())]
    window = {"cmap": "gray", "vmin": 0, "vmax": float(np.quantile(reference[inside], 0.995))}
    small = window | {"cmap": "magma", "vmax": window["vmax"] / ERROR_GAIN}
    canvas = Figure((CELL_INCHES * len(columns), CELL_INCHES * len(rows) * min(1.5, ny / nx)), layout="constrained")
    axes = canvas.subplots(len(rows), len(columns), squeeze=False)
    errors = None
    for column, (title, panels) in zip(axes.T, columns.items()):
        column[0].set_title(title, fontsize=8)
        for axis, name in zip(column, rows):
            axis.set_axis_off()
            if name in panels:
                shown = axis.imshow(panels[name], **(window if name in ("image", "part") else small))
                errors = shown if name == "error" else errors
    for axis, name in zip(axes[:, 0], rows):
        axis.text(-0.05, 0.5, CAPTIONS[name], transform=axis.transAxes, rotation=90, ha="right", va="center",
                  fontsize=7)
    canvas.colorbar(errors, ax=axes[1:, -1], fraction=0.05)
    return canvas
