"""The calibration of the standard deviation: coverage of the nominal 90 % band, rank correlation with the error, PSNR.

usage: calibration.py [SHARED_DATA_FOLDER]

The calibration factor of the shipped prior was fitted on the part "learning": six validation images of maximum 1 times
a smooth phase, with 8 simulated coils and noise 0.005 and 0.02.  The part "test" has other data: complex_t2_images,
simulated in the same way, and brain8ch_espirit with its own masks.  A factor of 1 for 90 % means that the prior is
calibrated; `bart-pogmdm train` fits that of another prior in the same way, on fewer scans and samples.
"""

import sys
from pathlib import Path

import numpy as np

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.train.images import load_series
from bart_pogmdm.train.validation import validation_images

COILS, NOISE = 8, (0.005, 0.02)


def learning(folder):
    """Yield (name, kspace, mask, reference) from the validation images."""
    series, _ = load_series([folder / "train" / "validation.h5"], 64)
    for number, image in enumerate(validation_images(series)):
        y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
        image = image / image.max() * np.exp(1j * (0.6 * x - 0.8 * y * x))
        yield from _masked(f"validation {number}", image, NOISE[number % 2], number)


def test(folder):
    """Yield (name, kspace, mask, reference) from data that the factor was not fitted on."""
    with np.load(folder / "dev" / "brain8ch_espirit.npz") as data, np.load(folder / "dev" / "masks.npz") as patterns:
        for name in ("cartesian4__0", "cartesian4__1", "radial24__0", "gaussian8__0", "gaussian8__1"):
            yield f"brain8ch {name}", data["kspace"], patterns[f"brain8ch_espirit__{name}"], data["reference"]
    with np.load(folder / "dev" / "complex_t2_images.npz") as data:
        images = data["images"]
    for number, image in enumerate(images[::2]):
        yield from _masked(f"complex_t2 {2 * number}", image / np.abs(image).max(), NOISE[number % 2], number)


def _masked(name, image, noise_std, seed):
    kspace = simulate.kspace(image, COILS, noise_std, seed)
    patterns = {"cartesian4": masks.cartesian(image.shape, 4, seed), "radial40": masks.radial(image.shape, 40),
                "gaussian8": masks.gaussian(image.shape, 8, seed)}
    for pattern, mask in patterns.items():
        yield f"{name} {noise_std} {pattern}", kspace, mask, np.abs(image)


def main(folder):
    for part in (learning, test):
        rows, errors = [], {}
        print(f"\n{part.__name__}\n")
        print("| data | MAP dB | mean dB | coverage | rank correlation | R-hat | ESS | time / MAP |")
        print("|---" * 8 + "|")
        for name, kspace, mask, reference in part(folder):
            best, result = recon(kspace * mask, mask), recon(kspace * mask, mask, samples=10)
            row = [metrics.psnr(best.image, reference), metrics.psnr(result.image, reference),
                   metrics.coverage(result.image, result.std, reference),
                   metrics.rank_correlation(result.image, result.std, reference),
                   result.info["rhat"], result.info["ess"], result.info["seconds"] / best.info["seconds"]]
            rows.append(row)
            errors.setdefault(name.split()[-1].split("__")[0].rstrip("0248"), []).append(
                np.quantile(metrics.standardised_error(result.image, result.std, reference), 0.9) / metrics.NORMAL_90)
            print("|", " | ".join([name, *(f"{value:.2f}" for value in row)]), "|", flush=True)
        print("| mean |", " | ".join(f"{value:.2f}" for value in np.mean(rows, 0)), "|")
        print("factor for 90 %:", {pattern: round(float(np.mean(values)), 2) for pattern, values in errors.items()})


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
