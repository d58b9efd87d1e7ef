"""The methods of this package on real data: PSNR, SSIM, coverage, number of scores, and seconds.

usage: samplers.py [DEV_DATA_FOLDER]    (with brain16ch_mchiew_96.npz, brain8ch_espirit.npz and masks.npz)
"""

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np

from bart_pogmdm import Diffusion, Gibbs, Map, PoGMDM, load_prior, recon
from bart_pogmdm.evaluate import metrics

DIFFUSION_SAMPLES = 3  # The paper has ten, but one sample takes as long as all other methods together.
RUNS = {"map": (Map(), None), "gibbs": (Gibbs(), 10),
        "diffusion, come closer": (Diffusion(come_closer=0.5), DIFFUSION_SAMPLES),
        "diffusion, come closer, sobolev": (Diffusion(come_closer=0.5, sens_update="sobolev"), DIFFUSION_SAMPLES),
        "diffusion, N = 1000": (Diffusion(), DIFFUSION_SAMPLES)}
CASES = [f"brain16ch_mchiew_96__{mask}__0" for mask in ("cartesian4", "gaussian8")]


class CountingPrior(PoGMDM):
    """A prior that counts the images whose score it computes."""

    count = 0

    def score(self, *arguments, **keywords):
        return self._counted(super().score(*arguments, **keywords))

    def drawn_score(self, *arguments, **keywords):
        return self._counted(super().drawn_score(*arguments, **keywords))

    def _counted(self, scores):
        CountingPrior.count += 1 if scores.ndim == 2 else len(scores)  # Several chains share a call.
        return scores


def main(folder):
    shipped = load_prior()
    prior = CountingPrior(**{field.name: getattr(shipped, field.name) for field in fields(shipped)})
    print("| data | method | samples | PSNR | SSIM | coverage | scores | seconds |\n" + "|---" * 8 + "|")
    with np.load(folder / "masks.npz") as masks:
        for case in CASES:
            with np.load(folder / f"{case.split('__')[0]}.npz") as data:
                kspace, reference, mask = data["kspace"], data["reference"], masks[case]
            recon(kspace * mask, mask, iterations=1)  # This call compiles the kernels.
            for name, (method, samples) in RUNS.items():
                CountingPrior.count = 0
                result = recon(kspace * mask, mask, method=method, samples=samples, prior=prior)
                cover = "-" if result.std is None else f"{metrics.coverage(result.image, result.std, reference):.2f}"
                print("|", " | ".join([case, name, str(samples or "-"), f"{metrics.psnr(result.image, reference):.2f}",
                                       f"{metrics.ssim(result.image, reference):.3f}", cover, str(CountingPrior.count),
                                       f"{result.info['seconds']:.1f}"]), "|", flush=True)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
