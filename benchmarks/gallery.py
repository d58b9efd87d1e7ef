"""Pictures of a dozen conditions: reference, zero-filled, nlinv, ecalib + TV and this package, with std and errors.

The scan is the phantom of `evaluate/simulate.py` with simulated coils, or the scans that `results.py --scans` names:
npz with kspace or images, and others that `bart-pogmdm compare` reads.  The pictures are written to docs/gallery.
"""

import io
import re
from functools import partial

import numpy as np
from records import Cases, Places, Row, alone
from scans import scored

from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.evaluate.cases import Case
from bart_pogmdm.evaluate.comparison import run_comparison
from bart_pogmdm.evaluate.competitors import COMPETITORS
from bart_pogmdm.evaluate.conditions import Condition, Scan
from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.files.references import ReferenceImage, ReferenceScan, read_references
from bart_pogmdm.physics.fourier import resize
from bart_pogmdm.plot.panels import png, upper_end

PHANTOM, SHAPE = "phantom", (160, 128)
CONDITIONS = {  # A mask and what is done to the scan.
    "lines, R=4": ("cartesian4", Condition()), "every third line": ("uniform3", Condition()),
    "2 x 2 CAIPIRINHA": ("caipi4acs16", Condition()), "random points, R=8": ("gaussian8", Condition()),
    "Poisson disc, R=12": ("poisson12", Condition()), "24 spokes": ("radial24", Condition()),
    "spiral, R=4": ("spiral4", Condition()),
    "partial Fourier 5/8, every second line": ("uniform2+partial0.625", Condition()),
    "every second line, noise 0.05": ("uniform2", Condition(noise_std=0.05)),
    "all samples, noise 0.1": ("full", Condition(noise_std=0.1)),
    "2 coils, Poisson disc, R=4": ("poisson4", Condition(coils=2)),
    "one coil, lines, R=2": ("cartesian2", Condition(coils=1))}
METHODS = {"zero-filled": "zero-filled", "nlinv": "nlinv", "pics-tv": "ecalib + TV", "nlinv-tv": "nlinv + TV",
           "pogmdm-mean": "bart_pogmdm"}
ERROR_GAIN = 8  # Errors and standard deviations are shown this many times brighter than the images.
SIDE = 160      # The longer side of an image takes about this many pixels of the figure.
GAP, TITLE, BAR, LABELS, DPI = 4, 18, 8, 30, 100  # Pixels of the figure; a title has two lines.


def drawn(places: Places, found: ReferenceScan | ReferenceImage, name: str) -> Row:
    """Draw a scan in a condition, and return its scores."""
    word, condition = CONDITIONS[name]
    scan: Scan = condition.apply(found)
    mask = resize(masks.named(word, scan.measured, 0), scan.reference.shape)
    case = Case(scan.name, scan.kspace, scan.reference, word + "-0", mask)
    row = scored(places, case, METHODS)
    if "pics-tv" in row["methods"]:  # `nlinv`'s maps take the place of those of `ecalib` where this fails.
        del row["methods"]["nlinv-tv"]
    shown = {}
    for method, (psnr, _, parameter) in row["methods"].items():
        stored, = run_comparison([case], {method: (parameter,)}, places.images, COMPETITORS, compute=False)
        with np.load(stored.file) as images:
            shown[f"{METHODS[method]}\n{psnr:.1f} dB"] = images["image"], images.get("std")
    title = name if found.name == PHANTOM else f"{found.name} {name}"
    path = places.out / "docs" / "gallery" / f"{re.sub('[^A-Za-z0-9]+', '-', title)}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, picture(scan.reference, shown))
    return row | {"scan": found.name, "condition": name, "picture": path.name}


def picture(reference, shown) -> bytes:
    """Draw images {title: (image, std or None)} over their errors on one scale for each row, std below the reference.

    A pixel of an image is a square of whole pixels of the figure, so that the PNG is sharp and small.
    """
    from matplotlib.figure import Figure
    std = next((std for _, std in shown.values() if std is not None), None)
    columns = [("reference", reference, "standard deviation", std), *(
        (title, image, "error", abs(image - reference)) for title, (image, _) in shown.items())]
    zoom = max(1, round(SIDE / max(reference.shape)))
    height, width = (zoom * n for n in reference.shape)
    full = GAP + len(columns) * (width + GAP) + BAR + LABELS, 2 * height + 3 * TITLE + 2 * GAP
    figure = Figure((full[0] / DPI, full[1] / DPI), dpi=DPI)

    def axes_at(left, top, wide):
        return figure.add_axes((left / full[0], 1 - (top + height) / full[1], wide / full[0], height / full[1]))

    top = upper_end([reference])
    for number, column in enumerate(columns):
        for title, image, row in ((*column[:2], 0), (*column[2:], 1)):
            axes = axes_at(GAP + number * (width + GAP), (2 + row) * TITLE + row * height, width)
            axes.set_axis_off()
            if image is not None:
                drawing = axes.imshow(image, interpolation="nearest", aspect="auto", vmin=0,
                                      **({"cmap": "magma", "vmax": top / ERROR_GAIN} if row else
                                         {"cmap": "gray", "vmax": top}))
                axes.set_title(title, fontsize=8, pad=3)
            if number == 1:  # Its colour bar stands at the end of the row.
                bar = axes_at(GAP + len(columns) * (width + GAP), (2 + row) * TITLE + row * height, BAR)
                figure.colorbar(drawing, cax=bar).ax.tick_params(labelsize=6)
    return few_colours(png(figure, DPI))


def few_colours(content: bytes) -> bytes:
    """Return a PNG with a palette of greys and of the colours of errors, which is a third as large."""
    from matplotlib import colormaps
    from PIL import Image
    palette, target = Image.new("P", (1, 1)), io.BytesIO()
    palette.putpalette([int(255 * part) for name in ("gray", "magma") for place in np.linspace(0, 1, 128)
                        for part in colormaps[name](place)[:3]])
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(target, "png", optimize=True)
    return target.getvalue()


def gallery(places: Places) -> Cases:
    """Return every condition of the phantom, or of the scans of the user."""
    image = ReferenceImage(PHANTOM, simulate.phantom(SHAPE).astype(np.complex64), 0)
    found = [scan for path in places.scans for scan in read_references(path)] or [image]
    return {f"{scan.name}: {name}": partial(drawn, places, scan, name) for scan in found
            for name, (_, condition) in CONDITIONS.items()
            if isinstance(scan, ReferenceImage) or (condition.coils or 1) <= len(scan.kspace)}


if __name__ == "__main__":
    alone(gallery)
