"""Pictures for docs/uncertainty.md, and how well lesions are found in images whose truth is known.

A lesion is a disc of 2 to 6 pixels across and a contrast of 10 to 30 % of the image's maximum, put into images of
train/validation.h5 at 96 pixels, with 8 simulated coils, noise 0.02 and random lines, R=4.  lesion.png shows one of
which the maximum lacks a part that the band holds; invented.png a bright spot of the maximum that the truth has not, at
R=6; trade_off.png how image and sensitivities share the brightness.  Each other case compares the place of a lesion
with the same place without it by three scores: the contrast of the mean over the standard deviation, that of the mean
alone, and that of smoothed total variation.
"""

from functools import partial

import numpy as np
from records import Cases, Places, Row, alone
from scipy.ndimage import binary_erosion, gaussian_filter

from bart_pogmdm import recon
from bart_pogmdm.algorithms.posterior_statistics import Welford
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.evaluate.charbonnier_tv import CharbonnierTV
from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.plot.panels import png
from bart_pogmdm.prior.calibration import BAND
from bart_pogmdm.train.calibration import low
from bart_pogmdm.train.images import load_series

SIDE, COILS, NOISE_STD = 96, 8, 0.02
PLACES = 16
TV_WEIGHT = 20.0  # the middle of those that `compare` tries
LOCAL = 4.0       # Standard deviation in pixels of the window of local brightness, about as fine as sensitivities are.


def head(folder, number):
    """Return an image of maximum 1 at 96 pixels."""
    series, _ = load_series([folder / "train" / "validation.h5"], 64)
    images = [image for one in series for image in one.images[len(one.images) // 4::2]]
    image = low(images[number % len(images)], SIDE)
    return image / image.max()


def place_of(image, rng):
    """Return the centre of a lesion inside the object."""
    rows, columns = np.nonzero((image > 0.2) & (image < 0.6))
    chosen = rng.integers(len(rows))
    return rows[chosen], columns[chosen]


def disc(shape, place, diameter):
    """Return the mask of a disc."""
    y, x = np.ogrid[:shape[0], :shape[1]]
    return (y - place[0]) ** 2 + (x - place[1]) ** 2 <= (diameter / 2) ** 2


def scan(image, acceleration, seed):
    """Return k-space and mask of an image with simulated coils."""
    y, x = simulate.coordinates(image.shape)
    mask = masks.cartesian(image.shape, acceleration, seed)
    return simulate.kspace(image * np.exp(1j * (0.4 * x - 0.5 * y * x)), COILS, NOISE_STD, seed) * mask, mask


def contrast(values, inside, around):
    """Return the mean over the lesion minus that over its surroundings."""
    return float(values[inside].mean() - values[around].mean())


def invented(best, image):
    """Return the place where the maximum has a bright spot of about 4 pixels, and the truth none."""
    spot, true = (gaussian_filter(values, 1) - gaussian_filter(values, 3) for values in (best, image))
    inside = binary_erosion(metrics.object_of(image), iterations=10)
    return np.unravel_index(np.where(inside, spot - 2 * abs(true), -1).argmax(), image.shape)


def picture(image, inside, acceleration, seed, title):
    """Draw truth, maximum, mean, and lower and upper end of the band around a lesion; for None around an invented one.

    Return the PNG, the contrast in each image, and the mean standard deviation of the lesion.
    """
    from matplotlib.figure import Figure
    kspace, mask = scan(image, acceleration, seed)
    best, found = recon(kspace, mask).image, recon(kspace, mask, samples=10)
    factor = metrics.fit_scale(found.image, image)
    mean, half = factor * np.abs(found.image), factor * BAND * found.std
    if inside is None:
        inside = disc(image.shape, invented(metrics.fit_scale(best, image) * np.abs(best), image), 4)
    panels = {"truth": image, "maximum": metrics.fit_scale(best, image) * np.abs(best), "lower end": mean - half,
              "mean": mean, "upper end": mean + half, "std": half / BAND}
    rows, columns = (int(np.mean(place)) for place in np.nonzero(inside))
    part = slice(max(0, rows - 12), rows + 12), slice(max(0, columns - 12), columns + 12)
    near = disc(image.shape, (rows, columns), 9)
    drawn = Figure((1.6 * len(panels) + 1, 2.0), layout="constrained")
    all_axes, bars = drawn.subplots(1, len(panels)), (len(panels) - 2, len(panels) - 1)
    for number, (axes, (name, values)) in enumerate(zip(all_axes, panels.items())):
        top = float((values if name == "std" else image)[part].max())
        shown = axes.imshow(values[part], cmap="viridis" if name == "std" else "gray", vmin=0, vmax=top)
        axes.contour(near[part], [0.5], colors="tab:orange", linewidths=0.6)
        axes.set_title(name, fontsize=8)
        axes.set_axis_off()
        if number in bars:
            drawn.colorbar(shown, ax=axes).ax.tick_params(labelsize=6)
    drawn.suptitle(title, fontsize=8)
    around = disc(image.shape, (rows, columns), 14) & ~disc(image.shape, (rows, columns), 9)
    numbers = {name: round(contrast(values, inside, around), 3) for name, values in panels.items()}
    return png(drawn, 120), {"contrast": numbers, "std": round(float(panels["std"][inside].mean()), 3)}


def trade_off(places: Places) -> Row:
    """Draw docs/uncertainty/trade_off.png: how certain the local brightness of image, sensitivities and product is.

    Return the medians over the object of their standard deviations, in parts of the brightness.
    """
    from matplotlib.figure import Figure
    image = head(places.data, 9)
    statistics = {"image alone": Welford(), "sensitivities": Welford(), "product": Welford()}

    def add(state):
        if state.info.is_draw:
            magnitude = np.abs(state.image)
            own, both = (gaussian_filter(values, LOCAL) for values in (magnitude, magnitude * rss(state.sens)))
            for one, values in zip(statistics.values(), (own, both / own, both)):
                one.add(np.log(values))

    found = recon(*scan(image, 4, 0), samples=10, callback=add)
    inside = metrics.object_of(image)
    stds = {name: np.where(inside, (one.squares / (one.count - 1)) ** 0.5, np.nan) for name, one in statistics.items()}
    drawn = Figure((7.0, 2.0), layout="constrained")
    panels = drawn.subplots(1, 1 + len(stds))
    panels[0].imshow(np.abs(found.image), cmap="gray")
    panels[0].set_title("image", fontsize=8)
    top = max(float(np.nanmax(std)) for std in stds.values())
    for axes, (name, std) in zip(panels[1:], stds.items()):
        shown = axes.imshow(100 * std, vmin=0, vmax=100 * top)
        axes.set_title(name, fontsize=8)
    for axes in panels:
        axes.set_axis_off()
    drawn.colorbar(shown, ax=panels[1:], label="std, %").ax.tick_params(labelsize=6)
    write_bytes(places.out / "docs" / "uncertainty" / "trade_off.png", png(drawn, 120))
    return {"picture": "trade_off.png", "std": {name: round(float(np.nanmedian(std)), 5) for name, std in stds.items()}}


def detected(places: Places, number: int) -> Row:
    """Return the scores of a place, without and with a lesion."""
    rng, image, row = np.random.default_rng(number), head(places.data, number), {}
    place, diameter, size = place_of(image, rng), rng.uniform(2, 6), rng.uniform(0.1, 0.3)
    inside = disc(image.shape, place, diameter)
    around = disc(image.shape, place, diameter + 6) & ~disc(image.shape, place, diameter + 2)
    for name, has in (("without", 0), ("with", 1)):
        kspace, mask = scan(image + has * size * inside, 4, number)
        found, tv = recon(kspace, mask, samples=10), recon(kspace, mask, prior=CharbonnierTV(TV_WEIGHT)).image
        # The true contrast of the place without the lesion is anatomy, which no score should count.
        anatomy = contrast(image, inside, around)
        of_mean = contrast(np.abs(found.image), inside, around) - anatomy
        scores = {"mean / std": of_mean / found.std[inside].mean(), "mean": of_mean,
                  "total variation": contrast(np.abs(tv), inside, around) - anatomy}
        row[name] = {score: round(float(value), 4) for score, value in scores.items()}
    return row


def drawn(places: Places, name: str, has: bool) -> Row:
    """Draw docs/uncertainty/NAME.png."""
    image = head(places.data, 9)
    inside = disc(image.shape, place_of(image, np.random.default_rng(4)), 2)
    path = places.out / "docs" / "uncertainty" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    content, numbers = (picture(image + 0.2 * inside, inside, 4, 0, "a lesion, R=4") if has
                        else picture(image, None, 6, 0, "no lesion, R=6"))
    write_bytes(path, content)
    return {"picture": path.name} | numbers


def lesions(places: Places) -> Cases:
    """Return the places that are compared, and the three pictures."""
    return {f"place {number}": partial(detected, places, number) for number in range(PLACES)} | {
        "picture lesion": partial(drawn, places, "lesion", True),
        "picture invented": partial(drawn, places, "invented", False),
        "picture trade-off": partial(trade_off, places)}


if __name__ == "__main__":
    alone(lesions)
