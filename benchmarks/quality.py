"""PSNR inside the object on real data with the shared masks: this package beside BART's own methods, swept.

usage: quality.py [DEV_DATA_FOLDER]    (with brain8ch_espirit.npz, brain16ch_mchiew_96.npz and masks.npz)

One least-squares scale over the object, which is the reference above a tenth of its maximum, holes filled.
BART: nlinv -i 8, 9, 10; ecalib -m1 -c0 with pics TV or l1-wavelet, -i100, the best of all weights listed below.
"""

import sys
import time
from pathlib import Path

import numpy as np

from bart_pogmdm import BartError, bart, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.evaluate.metrics import psnr

NEWTON_STEPS = (8, 9, 10)
PICS = {"TV": ("T:3:0:{}", (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03)),
        "l1-wavelet": ("W:3:0:{}", (0.001, 0.002, 0.003, 0.005, 0.01))}
METHODS = ("nlinv", *PICS, "pogmdm")


def compare(kspace, mask, reference):
    """{method: best PSNR, NaN where the method does not run} and the seconds of ours."""
    data = to_bart(kspace * mask)
    scores = {"nlinv": max(psnr(bart(1, f"nlinv -S -i{i}", data), reference) for i in NEWTON_STEPS)}
    try:
        sens = bart(1, "ecalib -m1 -c0", data)
    except BartError as error:
        if "Calibration region not found" not in error.stderr:
            raise
        scores.update(dict.fromkeys(PICS, np.nan))
    else:
        for name, (term, weights) in PICS.items():
            scores[name] = max(psnr(bart(1, ["pics", "-S", "-R", term.format(w), "-i100"], data, sens), reference)
                               for w in weights)
    began = time.perf_counter()
    scores["pogmdm"] = psnr(recon(kspace, mask).image, reference)
    return scores, time.perf_counter() - began


def main(folder):
    rows = []
    print("|", " | ".join(("data", "mask", *METHODS, "to best of nlinv, TV", "to best of all", "seconds")), "|")
    print("|---" * (len(METHODS) + 5) + "|")
    with np.load(folder / "masks.npz") as masks:
        for key in sorted(masks, key=lambda key: (key.split("__")[0], key.split("__")[2], key)):
            name, mask, seed = key.split("__")
            with np.load(folder / f"{name}.npz") as data:
                scores, seconds = compare(data["kspace"], masks[key], data["reference"])
            ours = scores["pogmdm"]
            gains = [ours - np.nanmax([scores[m] for m in others]) for others in (("nlinv", "TV"), METHODS[:-1])]
            rows.append(gains)
            cells = [f"{scores[m]:.2f}" for m in METHODS] + [f"{gain:+.2f}" for gain in gains] + [f"{seconds:.1f}"]
            print("|", " | ".join([name, f"{mask} {seed}", *cells]), "|", flush=True)
    for label, gains in zip(("nlinv, TV", "nlinv, TV, l1-wavelet"), zip(*rows)):
        print(f"above the best of {label}: mean {np.mean(gains):+.2f} dB, lowest {np.min(gains):+.2f} dB")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
