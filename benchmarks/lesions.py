"""Lesions in images whose truth is known: pictures for docs/uncertainty.md, and how well mean and std detect them.

usage: lesions.py OUT [--data SHARED_DATA_FOLDER] [--roc CASES]

A lesion is a disc of 2 to 6 pixels across and a contrast of 10 to 30 % of the image's maximum, put into images of
train/validation.h5 at 96 pixels, with 8 simulated coils, noise 0.02 and random lines, R=4.  OUT/lesion.png shows one
of which the maximum lacks a part that the band holds; OUT/invented.png a bright spot of the maximum that the truth has
not, at R=6.  --roc takes as many images, compares the place of the lesion with the same place without it, and prints
the area under the ROC curve of three scores: the contrast of the mean over the standard deviation, that of the mean
alone, and that of smoothed total variation.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.evaluate.charbonnier_tv import CharbonnierTV
from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.plot.panels import png
from bart_pogmdm.train.calibration import low
from bart_pogmdm.train.images import load_series

SIDE, COILS, NOISE_STD = 96, 8, 0.02
TV_WEIGHT = 20.0  # the middle of those that `compare` tries


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
    """
    from matplotlib.figure import Figure
    kspace, mask = scan(image, acceleration, seed)
    best, found = recon(kspace, mask).image, recon(kspace, mask, samples=10)
    factor = metrics.fit_scale(found.image, image)
    mean, half = factor * np.abs(found.image), factor * metrics.NORMAL_90 * found.std
    if inside is None:
        inside = disc(image.shape, invented(metrics.fit_scale(best, image) * np.abs(best), image), 4)
    panels = {"truth": image, "maximum": metrics.fit_scale(best, image) * np.abs(best), "lower end": mean - half,
              "mean": mean, "upper end": mean + half, "std": half / metrics.NORMAL_90}
    rows, columns = (int(np.mean(place)) for place in np.nonzero(inside))
    part = slice(max(0, rows - 16), rows + 16), slice(max(0, columns - 16), columns + 16)
    drawn = Figure((1.6 * len(panels), 2.0), layout="constrained")
    for axes, (name, values) in zip(drawn.subplots(1, len(panels)), panels.items()):
        top = float(image[part].max()) * (0.5 if name == "std" else 1)
        axes.imshow(values[part], cmap="viridis" if name == "std" else "gray", vmin=0, vmax=top)
        axes.contour(inside[part], [0.5], colors="tab:orange", linewidths=0.6)
        axes.set_title(name, fontsize=8)
        axes.set_axis_off()
    drawn.suptitle(title, fontsize=8)
    around = disc(image.shape, (rows, columns), 14) & ~disc(image.shape, (rows, columns), 9)
    numbers = {name: round(contrast(values, inside, around), 3) for name, values in panels.items()}
    print(title, numbers, "std in the lesion", round(float(panels["std"][inside].mean()), 3), flush=True)
    return png(drawn, 120)


def areas(folder, cases):
    """Print the area under the ROC curve of each score."""
    scores = {name: ([], []) for name in ("mean / std", "mean", "total variation")}
    for number in range(cases):
        rng = np.random.default_rng(number)
        image = head(folder, number)
        place, diameter, size = place_of(image, rng), rng.uniform(2, 6), rng.uniform(0.1, 0.3)
        inside = disc(image.shape, place, diameter)
        around = disc(image.shape, place, diameter + 6) & ~disc(image.shape, place, diameter + 2)
        for has in (0, 1):
            kspace, mask = scan(image + has * size * inside, 4, number)
            found, tv = recon(kspace, mask, samples=10), recon(kspace, mask, prior=CharbonnierTV(TV_WEIGHT)).image
            # The true contrast of the place without the lesion is anatomy, which no score should count.
            anatomy = contrast(image, inside, around)
            of_mean = contrast(np.abs(found.image), inside, around) - anatomy
            scores["mean / std"][has].append(of_mean / found.std[inside].mean())
            scores["mean"][has].append(of_mean)
            scores["total variation"][has].append(contrast(np.abs(tv), inside, around) - anatomy)
    print("| score | area under the ROC curve |\n|---|---|")
    for name, (without, with_) in scores.items():
        print(f"| {name} | {np.mean(np.array(with_)[:, None] > np.array(without)):.2f} |")


def main():
    """Draw the pictures, and print the areas if they are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--roc", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    image = head(args.data, 9)
    place = place_of(image, np.random.default_rng(4))
    inside = disc(image.shape, place, 2)
    write_bytes(args.out / "lesion.png", picture(image + 0.2 * inside, inside, 4, 0, "a lesion, R=4"))
    write_bytes(args.out / "invented.png", picture(image, None, 6, 0, "no lesion, R=6"))
    if args.roc:
        areas(args.data, args.roc)


if __name__ == "__main__":
    main()
