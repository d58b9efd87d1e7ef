"""Pictures of a dozen conditions: reference, zero-filled, nlinv, ecalib + TV and this package, with std and errors.

The scan is the phantom of `evaluate/simulate.py` with simulated coils, or the scans that `results.py --scans` names:
npz with kspace or images, and others that `bart-pogmdm compare` reads.  The pictures are written to docs/gallery.
"""

import io
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

SHAPE = (160, 128)
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
ERROR_GAIN = 4  # Errors and standard deviations are shown this many times brighter than the images.
INCHES, DPI = 1.35, 110


def drawn(places: Places, found: ReferenceScan | ReferenceImage, name: str) -> Row:
    """Draw a scan in a condition, and return its scores."""
    word, condition = CONDITIONS[name]
    scan: Scan = condition.apply(found)
    mask = resize(masks.named(word, scan.measured, 0), scan.reference.shape)
    case = Case(scan.name, scan.kspace, scan.reference, word + "-0", mask)
    row = scored(places, case, METHODS, 2)
    if "pics-tv" in row["methods"]:  # `nlinv`'s maps take the place of those of `ecalib` where this fails.
        del row["methods"]["nlinv-tv"]
    shown = {}
    for method, (psnr, _, parameter) in row["methods"].items():
        stored, = run_comparison([case], {method: (parameter,)}, places.images, COMPETITORS, compute=False)
        with np.load(stored.file) as images:
            shown[f"{METHODS[method]}\n{psnr:.1f} dB"] = images["image"], images.get("std")
    path = places.out / "docs" / "gallery" / f"{'-'.join(''.join(c if c.isalnum() else ' ' for c in name).split())}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, picture(scan.reference, shown))
    return row | {"scan": found.name, "condition": name, "picture": path.name}


def picture(reference, shown) -> bytes:
    """Draw images (image, std or None) over their errors, all on one scale each, std below the reference."""
    from matplotlib.figure import Figure
    ny, nx = reference.shape
    height = INCHES * ny / nx
    figure = Figure(((INCHES + 0.06) * (len(shown) + 1) + 0.5, 2 * height + 0.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    axes = figure.subplots(2, len(shown) + 1)
    std = next((std for _, std in shown.values() if std is not None), None)
    columns = [("reference", reference, std), *((title, image, abs(image - reference))
                                                for title, (image, _) in shown.items())]
    top = upper_end([reference])
    for column, (title, image, below) in zip(axes.T, columns):
        above = column[0].imshow(image, cmap="gray", vmin=0, vmax=top)
        column[0].set_title(title, fontsize=8)
        if below is not None:
            error = column[1].imshow(below, cmap="magma", vmin=0, vmax=top / ERROR_GAIN)
        for axis in column:
            axis.set_axis_off()
    axes[1, 0].set_title("std of bart_pogmdm", fontsize=7)
    for axis in axes[1, 1:]:
        axis.set_title("error", fontsize=7)
    for row, drawing in zip(axes, (above, error)):
        figure.colorbar(drawing, ax=row, fraction=0.02, pad=0.01).ax.tick_params(labelsize=6)
    return few_colours(png(figure, DPI))


def few_colours(content: bytes) -> bytes:
    """Return a PNG with a palette of 256 colours, which is a third as large."""
    from PIL import Image
    target = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, "png",
                                                                                                 optimize=True)
    return target.getvalue()


def gallery(places: Places) -> Cases:
    """Return every condition of the phantom, or of the scans of the user."""
    image = ReferenceImage("phantom", simulate.phantom(SHAPE).astype(np.complex64), 0)
    found = [scan for path in places.scans for scan in read_references(path)] or [image]
    return {f"{scan.name}: {name}": partial(drawn, places, scan, name) for scan in found for name in CONDITIONS}


if __name__ == "__main__":
    alone(gallery)
