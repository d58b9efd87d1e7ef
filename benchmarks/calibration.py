"""The calibration of the standard deviation, class by class: coverage of the bands, rank correlation with the error.

Each class has at least five scans.  Their images are those of train/validation.h5, of dev/cardiac_multiecho_images.npz,
and the measured coils of dev; all are brought to 96 pixels (low frequencies of k-space), but those of the classes "full
size", "volumes" and "echoes", which are the volumes and series of `volumes_and_series.py`; each echo counts as a scan.
The calibration of the shipped prior was learned on images of train/train.h5, so that no image here had a part in it.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from records import Cases, Places, Row, alone
from volumes_and_series import HEADS, of_echoes, of_images, series_of, sets_of_echoes

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resize
from bart_pogmdm.prior.calibration import BAND
from bart_pogmdm.train.images import load_series

SIDE, COILS, SCANS = 96, 8, 6
BANDS = {50: 0.6745, 90: BAND, 99: 2.5758}  # half widths of the central bands of a normal distribution
MIXED = ("cartesian4", "radial32", "gaussian6")
KINDS = ("cartesian3", "cartesian4", "cartesian6", "uniform3acs16", "radial32", "gaussian6")
SIMULATED = {"lines R=3": (KINDS[:1], COILS, (0.005, 0.02)), "lines R=4": (KINDS[1:2], COILS, (0.005, 0.02)),
             "lines R=6": (KINDS[2:3], COILS, (0.005, 0.02)), "uniform lines R=3": (KINDS[3:4], COILS, (0.005, 0.02)),
             "spokes": (KINDS[4:5], COILS, (0.005, 0.02)), "2-D random R=6": (KINDS[5:], COILS, (0.005, 0.02)),
             "noise 0.005": (MIXED, COILS, (0.005,)), "noise 0.02": (MIXED, COILS, (0.02,)),
             "noise 0.05": (MIXED, COILS, (0.05,)), "2 coils": (MIXED, 2, (0.005, 0.02)),
             "one coil": (MIXED, 1, (0.005, 0.02))}


class Scan(NamedTuple):
    """k-space where the mask samples it, (J, ny, nx) or in BART's order, and the magnitudes behind it.

    These are (ny, nx), or the planes of a volume, or several echoes.
    """

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


def heads(data: Path) -> list[np.ndarray]:
    """Return images of the validation patient."""
    series, _ = load_series([data / "train" / "validation.h5"], 64)
    return [image for one in series for image in one.images[len(one.images) // 4::2]]


def hearts(data: Path) -> list[np.ndarray]:
    """Return echoes of hearts."""
    with np.load(data / "dev" / "cardiac_multiecho_images.npz") as found:
        return [found[name][echo] for name in ("set05", "set09", "set14") for echo in (0, 3)]


def several(of_class: str, dev: Path) -> Iterator[Scan]:
    """Yield scans of several measured coils."""
    yield from measured(of_class, dev / "brain16ch_mchiew_96.npz", ("cartesian4", "horizontal4", "gaussian8"))
    yield from measured(of_class, dev / "brain8ch_espirit.npz", ("cartesian4", "radial32", "gaussian8"))


def single(of_class: str, dev: Path) -> Iterator[Scan]:
    """Yield scans of one measured coil."""
    for name in ("knee_l1_espirit", "brain1ch_T2_loraks", "cardiac1ch_fau"):
        yield from measured(of_class, dev / f"{name}.npz", ("cartesian3", "gaussian6"))


def volumes(places: Places) -> Iterator[Scan]:
    """Yield heads in three dimensions."""
    for name, inside in series_of(places).items():
        for factor in HEADS:
            kspace, mask, reference = of_images(places, inside, factor)
            yield Scan("volumes", f"{name} R={factor}", kspace, mask, np.moveaxis(reference, -1, 0))


def echoes(places: Places) -> Iterator[Scan]:
    """Yield series of echoes, which share their sensitivities."""
    for name, images in sets_of_echoes(places).items():
        yield Scan("echoes", name, *of_echoes(images), np.abs(images))


def planes(array: np.ndarray) -> np.ndarray:
    """Return an image as (ny, nx), or the planes of a volume or the echoes of a series along the first axis."""
    return np.moveaxis(array.squeeze(), -1, 0) if array.ndim > 3 else array


def scores_of(scan: Scan) -> list[list[float]]:
    """Return for each image of a scan, of which there is one but in a series, how the band does.

    These are the parts inside each band, the rank correlation, the gain of the mean in dB, and the ratio of times.
    """
    best, found = recon(scan.kspace, scan.mask), recon(scan.kspace, scan.mask, samples=10)
    ratio, scores = found.info["seconds"] / best.info["seconds"], []
    arrays = [planes(best.image), planes(found.image), planes(found.std), scan.reference]
    for maximum, mean, std, reference in zip(*arrays) if scan.kspace.ndim > 4 else [arrays]:
        errors = metrics.standardised_error(mean, std, reference)
        gain = metrics.psnr(mean, reference) - metrics.psnr(maximum, reference)
        scores.append([*(float(np.mean(errors <= width)) for width in BANDS.values()),
                       metrics.rank_correlation(mean, std, reference), gain, ratio])
    return scores


def row_of(scans: Callable[[], Iterator[Scan]]) -> Row:
    """Return the scores of a class: means, and the least coverage of the 90 % band and the least gain."""
    scores = np.array([score for scan in scans() for score in scores_of(scan)])
    values = dict(zip(("cover50", "cover90", "cover99", "rank", "gain", "time"), scores.mean(0)))
    values |= {"least90": scores[:, 1].min(), "least_gain": scores[:, 4].min()}
    return {"scans": len(scores)} | {name: round(float(value), 3) for name, value in values.items()}


def uncertainty(places: Places) -> Cases:
    """Return every class of scans."""
    dev = places.data / "dev"
    makers = {of_class: lambda of_class=of_class, how=how: simulated(of_class, heads(places.data), *how)
              for of_class, how in SIMULATED.items()}
    makers |= {"hearts": lambda: simulated("cardiac", hearts(places.data), KINDS, COILS, (0.01,)),
               "measured coils": lambda: several("measured coils", dev),
               "one measured coil": lambda: single("one measured coil", dev),
               "full size": lambda: measured("full size", dev / "brain8ch_espirit.npz", (
                   "cartesian3", "cartesian4", "uniform3", "radial40", "gaussian8"), 230),
               "volumes": lambda: volumes(places), "echoes": lambda: echoes(places)}
    return {of_class: partial(row_of, make) for of_class, make in makers.items()}


if __name__ == "__main__":
    alone(uncertainty)
