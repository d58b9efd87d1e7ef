"""The methods that are compared, each with the parameters that are swept and those that hold where nothing is said.

Defaults are middle values of their sweeps, in the units of each program: `--tune` and `--sweep` find better ones.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..arrays.bart_dims import to_bart
from ..files.cfl import write
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..reconstruction.methods import Diffusion
from ..reconstruction.recon import recon
from ..toolbox.bart_call import bart
from . import networks
from .charbonnier_tv import CharbonnierTV

TV_ITERATIONS = 100  # joint, and as many at fixed sensitivities
PICS_ITERATIONS = 100
NUM_SAMPLES = 2  # of Algorithm 1 and its like


@dataclass(frozen=True)
class Competitor:
    """run(kspace (J, ny, nx), mask, parameter) -> (image, std or None, sens or None).

    needs_weights: the parameter is a file of network weights, which the user supplies.
    """

    run: Callable
    sweep: tuple = (None,)
    default: float | None = None
    needs_weights: bool = field(default=False, kw_only=True)
    label: str = field(default="", kw_only=True)


def _ours(**options):
    def run(kspace, mask, parameter):
        result = recon(kspace * mask, mask, **options)
        return result.image, result.std, result.sens
    return run


def _zero_filled(kspace, mask, parameter):
    return rss(ifft2c(kspace * mask)), None, None


def _joint_tv(kspace, mask, weight):
    # The joint problem never quite comes to rest: its scale drifts from image to sensitivities.  The second half has
    # them fixed, which makes it convex.
    options = {"prior": CharbonnierTV(weight), "iterations": TV_ITERATIONS}
    joint = recon(kspace * mask, mask, **options)
    if len(kspace) == 1:
        return joint.image, None, joint.sens
    result = recon(kspace * mask, mask, sens=joint.sens, start=joint.image, **options)
    return result.image, None, result.sens


def _nlinv(kspace, mask, steps):
    image, sens = bart(2, f"nlinv -S -i{steps}", to_bart(kspace * mask))
    return image.reshape(mask.shape), None, _coils_first(sens, kspace.shape)


def _pics(*words):
    def run(kspace, mask, weight):
        data = to_bart(kspace * mask)
        sens = bart(1, "ecalib -m1 -c0", data) if len(kspace) > 1 else np.ones((*mask.shape, 1, 1), np.complex64)
        image = bart(1, ["pics", "-S", f"-i{PICS_ITERATIONS}", *(word.format(weight) for word in words)], data, sens)
        return image.reshape(mask.shape), None, _coils_first(sens, kspace.shape)
    return run


def _bart_sample(kspace, mask, weights):
    # BART 1.0 takes a graph of torch that it was built with, and these options of the posterior as one word.
    data = to_bart(kspace * mask)
    sens = bart(1, "ecalib -m1 -c0", data)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / name) for name in ("kspace", "sens")}
        write({files["kspace"]: data, files["sens"]: sens})
        samples = bart(1, ["sample", "-N100", "-K1", f"-S{NUM_SAMPLES}", "--external-graph", str(weights),
                           "--posterior", f"k={files['kspace']},s={files['sens']}"])
    images = samples.reshape(*mask.shape, -1)
    return images.mean(-1), np.abs(images).std(-1), _coils_first(sens, kspace.shape)


def _network(reconstruct):
    def run(kspace, mask, weights):
        return reconstruct(kspace, mask, weights), None, None
    return run


def _score_network(kspace, mask, weights):
    # A tenth of the paper's levels: networks are slow.
    result = recon(kspace * mask, mask, method=Diffusion(num_levels=100), samples=NUM_SAMPLES,
                   prior=networks.TorchDenoiser(weights))
    return result.image, result.std, result.sens


def _coils_first(sens, shape):
    return np.moveaxis(sens.reshape(shape[1], shape[2], shape[0]), -1, 0)


COMPETITORS = {
    "zero-filled": Competitor(_zero_filled, label="zero-filled RSS"),
    "joint-tv": Competitor(_joint_tv, (5, 10, 20, 40, 80), 20, label="joint TV, weight"),
    "nlinv": Competitor(_nlinv, (8, 9, 10), 9, label="nlinv, -i"),
    "pics-tv": Competitor(_pics("-R", "T:3:0:{}"), (.001, .002, .003, .005, .01, .02, .03), .005,
                      label="ecalib + pics TV, weight"),
    "pics-wavelet": Competitor(_pics("-R", "W:3:0:{}"), (.001, .002, .003, .005, .01), .003,
                           label="ecalib + pics l1-wavelet, weight"),
    "pics-l2": Competitor(_pics("-l2", "-r", "{}"), (.001, .003, .01, .03, .1), .01,
                      label="ecalib + pics l2, weight"),
    "pogmdm": Competitor(_ours(), label="pogmdm, maximum"),
    "pogmdm-mean": Competitor(_ours(method="gibbs"), label="pogmdm, posterior mean"),
    "pogmdm-diffusion": Competitor(_ours(method="diffusion", samples=NUM_SAMPLES), label="pogmdm, Algorithm 1"),
    "score-network": Competitor(_score_network, needs_weights=True, label="score network, Algorithm 1"),
    "bart-sample": Competitor(_bart_sample, needs_weights=True, label="ecalib + bart sample"),
    "fastmri-unet": Competitor(_network(networks.unet), needs_weights=True, label="fastMRI U-Net"),
    "fastmri-varnet": Competitor(_network(networks.varnet), needs_weights=True, label="fastMRI end-to-end VarNet"),
}
