"""The methods of this package on real data: PSNR, SSIM, coverage, number of scores, and seconds."""

import warnings
from dataclasses import fields
from functools import partial

import numpy as np
from records import Cases, Places, Row, alone

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


def measured(places: Places, case: str, name: str) -> Row:
    """Return the scores of a method."""
    shipped, (method, samples) = load_prior(), RUNS[name]
    prior = CountingPrior(**{field.name: getattr(shipped, field.name) for field in fields(shipped)})
    dev = places.data / "dev"
    with np.load(dev / "masks.npz") as masks, np.load(dev / f"{case.split('__')[0]}.npz") as data:
        kspace, reference, mask = data["kspace"], data["reference"], masks[case]
    with warnings.catch_warnings():  # This call compiles the kernels; its image is not that of the data.
        warnings.simplefilter("ignore")
        recon(kspace * mask, mask, iterations=1)
    CountingPrior.count = 0
    result = recon(kspace * mask, mask, method=method, samples=samples, prior=prior)
    cover = None if result.std is None else round(metrics.coverage(result.image, result.std, reference), 3)
    return {"method": name, "samples": samples, "psnr": round(metrics.psnr(result.image, reference), 2),
            "ssim": round(metrics.ssim(result.image, reference), 3), "coverage": cover, "scores": CountingPrior.count,
            "time": round(result.info["seconds"], 1)}


def samplers(places: Places) -> Cases:
    """Return each method on each mask."""
    return {f"{case.split('__')[1]}, {name}": partial(measured, places, case, name) for case in CASES for name in RUNS}


if __name__ == "__main__":
    alone(samplers)
