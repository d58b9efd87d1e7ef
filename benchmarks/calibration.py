"""The calibration of the standard deviation, class by class: coverage of the bands, rank correlation with the error.

usage: calibration.py OUT.csv [--only WORD …] [--data SHARED_DATA_FOLDER] [--prior PRIOR.npz]

Each class has six scans.  Their images are those of train/validation.h5, of dev/cardiac_multiecho_images.npz, and the
measured coils of dev; all are brought to 96 pixels (low frequencies of k-space), but those of the class "full size".
The calibration of the shipped prior was learned on images of train/train.h5, so that no image here had a part in it.
A row of OUT.csv holds one scan: an interrupted run goes on, and the table shows all rows.  --only takes classes whose
names contain one of the words.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bart_pogmdm import load_prior, recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resize
from bart_pogmdm.train.images import load_series

SIDE, COILS, SCANS = 96, 8, 6
BANDS = {50: 0.6745, 90: metrics.NORMAL_90, 99: 2.5758}  # half widths of the central bands of a normal distribution
MIXED = ("cartesian4", "radial32", "gaussian6")
KINDS = ("cartesian3", "cartesian4", "cartesian6", "uniform3acs16", "radial32", "gaussian6")
SIMULATED = {"lines R=3": (KINDS[:1], COILS, (0.005, 0.02)), "lines R=4": (KINDS[1:2], COILS, (0.005, 0.02)),
             "lines R=6": (KINDS[2:3], COILS, (0.005, 0.02)), "uniform lines R=3": (KINDS[3:4], COILS, (0.005, 0.02)),
             "spokes": (KINDS[4:5], COILS, (0.005, 0.02)), "2-D random R=6": (KINDS[5:], COILS, (0.005, 0.02)),
             "noise 0.005": (MIXED, COILS, (0.005,)), "noise 0.02": (MIXED, COILS, (0.02,)),
             "noise 0.05": (MIXED, COILS, (0.05,)), "2 coils": (MIXED, 2, (0.005, 0.02)),
             "one coil": (MIXED, 1, (0.005, 0.02))}


class Scan(NamedTuple):
    """k-space (J, ny, nx) where the mask (ny, nx) samples it, and the magnitude behind it."""

    of_class: str
    name: str
    kspace: np.ndarray
    mask: np.ndarray
    reference: np.ndarray


def low(kspace, side=SIDE):
    """Return the centre of k-space (…, ny, nx) whose longer side has `side` samples."""
    sizes = kspace.shape[-2:]
    return resize(kspace, tuple(2 * round(side * n / max(sizes) / 2) for n in sizes))


def simulated(of_class: str, images, kinds, coils, noise_stds) -> Iterator[Scan]:
    """Yield the scans of a class: another image, mask and phase for each."""
    for number in range(SCANS):
        image = ifft2c(low(fft2c(images[(5 * number + 3 * len(of_class)) % len(images)].astype(complex))))
        (y, x), turn = simulate.coordinates(image.shape), np.random.default_rng(number).uniform(-1, 1, 3)
        image = image / np.abs(image).max() * np.exp(1j * (turn[0] * x + turn[1] * y * x + turn[2] * y**2))
        kind, noise_std = kinds[number % len(kinds)], noise_stds[number // len(kinds) % len(noise_stds)]
        mask = masks.named(kind, image.shape, number)
        yield Scan(of_class, f"{number} {kind} {noise_std}", simulate.kspace(image, coils, noise_std, number) * mask,
                   mask, np.abs(image))


def measured(of_class: str, path: Path, kinds, side=SIDE, noise_std=0.0) -> Iterator[Scan]:
    """Yield scans of measured coils with each kind of masks."""
    with np.load(path) as data:
        kspace = low(data["kspace"], side)
    reference = rss(ifft2c(kspace))
    kspace, reference = kspace / reference.max(), reference / reference.max()
    for number, kind in enumerate(kinds):
        mask = masks.named(kind, reference.shape, number)
        noisy = kspace + noise_std * simulate.noise(kspace.shape, number)
        yield Scan(of_class, f"{path.stem} {kind}", (noisy * mask).astype(np.complex64), mask, reference)


def scans(folder: Path) -> Iterator[Scan]:
    """Yield all scans, class by class."""
    series, _ = load_series([folder / "train" / "validation.h5"], 64)
    images = [image for one in series for image in one.images[len(one.images) // 4::2]]
    with np.load(folder / "dev" / "cardiac_multiecho_images.npz") as data:
        hearts = [data[name][echo] for name in ("set05", "set09", "set14") for echo in (0, 3)]
    for of_class, how in SIMULATED.items():
        yield from simulated(of_class, images, *how)
    yield from simulated("cardiac", hearts, KINDS, COILS, (0.01,))
    dev = folder / "dev"
    yield from measured("measured coils", dev / "brain16ch_mchiew_96.npz", ("cartesian4", "horizontal4", "gaussian8"))
    yield from measured("measured coils", dev / "brain8ch_espirit.npz", ("cartesian4", "radial32", "gaussian8"))
    for name in ("knee_l1_espirit", "brain1ch_T2_loraks", "cardiac1ch_fau"):
        yield from measured("one measured coil", dev / f"{name}.npz", ("cartesian3", "gaussian6"))
    yield from measured("full size", dev / "brain8ch_espirit.npz", ("cartesian3", "cartesian4", "uniform3", "radial40",
                                                                    "gaussian8"), 230)


def row_of(scan: Scan, prior) -> dict[str, object]:
    """Return the scores of a scan."""
    best = recon(scan.kspace, scan.mask, prior=prior)
    found = recon(scan.kspace, scan.mask, samples=10, prior=prior)
    errors = metrics.standardised_error(found.image, found.std, scan.reference)
    row: dict[str, object] = {"class": scan.of_class, "scan": scan.name}
    row |= {f"cover{band}": float(np.mean(errors <= width)) for band, width in BANDS.items()}
    row |= {"factor": np.quantile(errors, 0.9) / metrics.NORMAL_90,
            "rank": metrics.rank_correlation(found.image, found.std, scan.reference),
            "maximum": metrics.psnr(best.image, scan.reference), "mean": metrics.psnr(found.image, scan.reference),
            "time": found.info["seconds"] / best.info["seconds"], "rhat": found.info["rhat"],
            "ess": found.info["ess"]}
    return {key: value if isinstance(value, str) else round(float(value), 4) for key, value in row.items()}


def table(rows: list[dict[str, str]]) -> str:
    """Return the table of the classes, in Markdown."""
    lines = ["| class | scans | 50 % | 90 % | least | 99 % | rank correlation | mean - maximum, dB | least | time |",
             "|---" * 10 + "|"]
    classes = list(dict.fromkeys(row["class"] for row in rows))
    for of_class in [*classes, "all"]:
        found = [row for row in rows if of_class in ("all", row["class"])]
        values = {key: np.array([float(row[key]) for row in found]) for key in found[0] if key not in ("class", "scan")}
        gain = values["mean"] - values["maximum"]
        cells = [of_class, str(len(found)), *(f"{100 * number:.0f}" for number in (
            values["cover50"].mean(), values["cover90"].mean(), values["cover90"].min(), values["cover99"].mean())),
            f"{values['rank'].mean():.2f}", f"{gain.mean():.2f}", f"{gain.min():.2f}", f"{values['time'].mean():.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the scans that OUT.csv lacks, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", default=[""])
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--prior", default=None)
    args = parser.parse_args()
    rows = list(csv.DictReader(args.out.open())) if args.out.exists() else []
    done, prior = {(row["class"], row["scan"]) for row in rows}, load_prior(args.prior)
    for scan in scans(args.data):
        if (scan.of_class, scan.name) in done or not any(word in scan.of_class for word in args.only):
            continue
        rows.append({key: str(value) for key, value in row_of(scan, prior).items()})
        print(" ".join(rows[-1].values()), flush=True)
        with args.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
