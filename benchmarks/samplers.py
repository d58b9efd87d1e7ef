"""The methods side by side on real data with the shared masks: PSNR, SSIM, coverage, scores and seconds.

usage: samplers.py [DEV_DATA_FOLDER]    (with brain16ch_mchiew_96.npz, brain8ch_espirit.npz and masks.npz)
"""

import sys
from pathlib import Path

import numpy as np

from bart_pogmdm import PoGMDM, recon
from bart_pogmdm.evaluate import metrics
from bart_pogmdm.reconstruction.methods import Diffusion, Gibbs, Map

DIFFUSION_SAMPLES = 3  # of the paper's ten: one takes as long as everything else together
METHODS = {"map": (Map(), None), "gibbs": (Gibbs(), 10),
           "diffusion, come closer": (Diffusion(come_closer=0.5), DIFFUSION_SAMPLES),
           "diffusion, come closer, sobolev": (Diffusion(come_closer=0.5, sens_update="sobolev"), DIFFUSION_SAMPLES),
           "diffusion, N = 1000": (Diffusion(), DIFFUSION_SAMPLES)}
CASES = [f"brain16ch_mchiew_96__{mask}__0" for mask in ("cartesian4", "gaussian8")]


def main(folder):
    calls = 0

    def counted(function):
        def call(*arguments, **keywords):
            nonlocal calls
            result = function(*arguments, **keywords)
            calls += 1 if result.ndim == 2 else len(result)  # those of chains come together
            return result
        return call

    PoGMDM.score, PoGMDM.drawn_score = counted(PoGMDM.score), counted(PoGMDM.drawn_score)
    print("| data | method | samples | PSNR | SSIM | coverage | scores | seconds |\n" + "|---" * 8 + "|")
    with np.load(folder / "masks.npz") as masks:
        for case in CASES:
            with np.load(folder / f"{case.split('__')[0]}.npz") as data:
                kspace, reference, mask = data["kspace"], data["reference"], masks[case]
            recon(kspace * mask, mask, iterations=1)  # compiled
            for name, (method, samples) in METHODS.items():
                calls = 0
                result = recon(kspace * mask, mask, method=method, samples=samples)
                cover = "-" if result.std is None else f"{metrics.coverage(result.image, result.std, reference):.2f}"
                print("|", " | ".join([case, name, str(samples or "-"), f"{metrics.psnr(result.image, reference):.2f}",
                                       f"{metrics.ssim(result.image, reference):.3f}", cover, str(calls),
                                       f"{result.info['seconds']:.1f}"]), "|", flush=True)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
