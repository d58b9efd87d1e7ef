"""The compared methods, each with the parameters of a sweep and a default.

A default is a middle value of its sweep, in the unit of its program; `compare --tune` and `--sweep` find better ones.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..algorithms.diffusion import Diffusion
from ..arrays.array_types import Array
from ..arrays.bart_dims import to_bart
from ..files.cfl import write
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..prior.smooth_phase import SmoothPhase
from ..reconstruction.recon import recon
from ..reconstruction.result import Result
from ..toolbox.bart_call import quiet_bart as bart
from . import bart_methods, networks
from .charbonnier_tv import CharbonnierTV
from .estimate import Estimate
from .plug_and_play import pnp_bm3d
from .rows import Parameter
from .sigpy_methods import jsense

BART = ("bart",)
PENALTY = "0.01"  # Of ADMM, for total variation: with the usual 0.5 it is far from converged after 100 iterations.
TV_WEIGHTS = (.0003, .0005, .001, .002, .003, .005, .01, .02, .03, .05, .1, .2, .3, .5)


@dataclass(frozen=True)
class Effort:
    """The numbers of iterations, noise levels and samples of the compared methods."""

    tv_iterations: int = 100
    """Iterations of joint TV, once with free sensitivities and once with fixed ones."""

    pics_iterations: int = 100
    """Iterations of `pics`; its default of 30 would limit it."""

    num_levels: int = 100
    """Noise levels of the score network: a tenth of the paper's, because networks are slow."""

    num_samples: int = 2
    """Samples of Algorithm 1 and of `bart sample`: the fewest with a standard deviation, because samples are slow."""


@dataclass(frozen=True)
class Competitor:
    """A compared method: run(kspace (J, ny, nx), mask (ny, nx), parameter) returns its estimate.

    label: its description in messages and tables.  sweep: the parameters to try.  needs_weights: the parameter is a
    file of network weights, which the user supplies.  programs: the programs of others that do all its work; then its
    results depend on them and on the module of `run`, and not on the rest of this package.
    """

    name: str
    label: str
    run: Callable[[Array, Array, Any], Estimate]
    sweep: tuple[Parameter, ...] = (None,)
    default: Parameter = None
    needs_weights: bool = False
    programs: tuple[str, ...] = ()


def competitors(effort: Effort) -> dict[str, Competitor]:
    """Return {name: method} of all compared methods, in the order of the tables."""
    samples = effort.num_samples

    def pics(name: str, label: str, run: Callable[..., Estimate], *maps: Any) -> tuple[Competitor, Competitor]:
        """Return a method with TV and with l1-wavelets."""
        first = *maps, effort.pics_iterations
        total_variation = "-u", PENALTY, "-R", "T:3:0:{}"
        return (Competitor(f"{name}-tv", f"{label} TV, weight", partial(run, *first, total_variation),
                           TV_WEIGHTS, .005, programs=BART),
                Competitor(f"{name}-wavelet", f"{label} l1-wavelet, weight", partial(run, *first, ("-R", "W:3:0:{}")),
                           (.0001, .0002, .0003, .0005, .001, .002, .003, .005, .01, .02, .03, .05, .1), .003,
                           programs=BART))

    methods = (
        Competitor("zero-filled", "zero-filled RSS", _zero_filled),
        Competitor("joint-tv", "joint TV, weight", partial(_joint_tv, effort.tv_iterations), (5, 10, 20, 40, 80), 20),
        Competitor("nlinv", "nlinv, -i", bart_methods.nlinv, (7, 8, 9, 10, 11, 12, 13, 14), 9, programs=BART),
        Competitor("homodyne", "homodyne, -r", bart_methods.homodyne, (0, .25, .5, .75, 1), .75, programs=BART),
        *pics("pics", "ecalib + pics", bart_methods.pics_with, bart_methods.ecalib),
        Competitor("pics-tv-early", "ecalib + pics TV, usual penalty, weight",
                   partial(bart_methods.pics_with, bart_methods.ecalib, effort.pics_iterations, ("-R", "T:3:0:{}")),
                   TV_WEIGHTS, .005, programs=BART),
        Competitor("pics-l2", "ecalib + pics l2, weight",
                   partial(bart_methods.pics_with, bart_methods.ecalib, effort.pics_iterations, ("-l2", "-r", "{}")),
                   (.001, .003, .01, .03, .1), .01, programs=BART),
        *pics("auto", "ecalib -a + pics", bart_methods.pics_with, bart_methods.ecalib_auto),
        *pics("ecalib2", "ecalib -m2 + pics", bart_methods.pics_with, bart_methods.ecalib_two_sets),
        *pics("nlinv", "nlinv + pics", bart_methods.pics_with, bart_methods.nlinv_maps),
        *pics("enlive", "nlinv -m2 + pics", bart_methods.pics_with, bart_methods.enlive_maps),
        *pics("sake", "sake + ecalib + pics", bart_methods.pics_with, bart_methods.sake_maps),
        *pics("real", "ecalib + pics -c", bart_methods.real_pics),
        Competitor("jsense", "SigPy's JsenseRecon + l1-wavelet, weight", jsense, (.001, .002, .003, .005, .01), .003,
                   programs=("sigpy",)),
        Competitor("pnp-bm3d", "ecalib + plug-and-play BM3D, noise", pnp_bm3d, (.005, .01, .02, .03, .05, .08), .02,
                   programs=("bart", "bm3d")),
        Competitor("pogmdm", "pogmdm, maximum", partial(_pogmdm, {})),
        Competitor("pogmdm-mean", "pogmdm, posterior mean", partial(_pogmdm, {"method": "gibbs"})),
        Competitor("pogmdm-diffusion", "pogmdm, Algorithm 1",
                   partial(_pogmdm, {"method": "diffusion", "samples": samples})),
        Competitor("score-network", "score network, Algorithm 1",
                   partial(_score_network, effort.num_levels, samples), needs_weights=True),
        Competitor("bart-sample", "ecalib + bart sample", partial(_bart_sample, samples), needs_weights=True),
        Competitor("fastmri-unet", "fastMRI U-Net", partial(_network, networks.unet), needs_weights=True),
        Competitor("fastmri-varnet", "fastMRI end-to-end VarNet", partial(_network, networks.varnet),
                   needs_weights=True))
    return {method.name: method for method in methods}


def _zero_filled(kspace: Array, mask: Array, parameter: None) -> Estimate:
    return Estimate(rss(ifft2c(kspace * mask)))


def _joint_tv(iterations: int, kspace: Array, mask: Array, weight: float) -> Estimate:
    """Reconstruct by joint inversion with total variation, then by as many iterations with fixed sensitivities.

    The joint problem does not converge, because its scale drifts from the image to the sensitivities.  With fixed
    sensitivities it is convex.
    """
    prior = CharbonnierTV(weight)
    joint = recon(kspace * mask, mask, prior=prior, iterations=iterations)
    if len(kspace) == 1:
        return Estimate(joint.image, sens=joint.sens)
    result = recon(kspace * mask, mask, prior=prior, iterations=iterations, sens=joint.sens, start=joint.image)
    return Estimate(result.image, sens=result.sens)


def _pogmdm(options: dict[str, Any], kspace: Array, mask: Array, parameter: None) -> Estimate:
    return _estimate(recon(kspace * mask, mask, **options))


def _score_network(num_levels: int, samples: int, kspace: Array, mask: Array, weights: str) -> Estimate:
    return _estimate(recon(kspace * mask, mask, method=Diffusion(num_levels=num_levels), samples=samples,
                           prior=networks.TorchDenoiser(weights)))


def _estimate(result: Result) -> Estimate:
    return Estimate(result.image, result.std, result.sens, result.info["warnings"])


def _bart_sample(samples: int, kspace: Array, mask: Array, weights: str) -> Estimate:
    """Run `bart sample` of BART 1.0 with a denoiser of torch, such as `bart-pogmdm export` writes.

    It expects noise n with E |n|^2 = 1 and an image of the scale that its denoiser knows, that of this package's prior.
    Both scales are those of a reconstruction with the same sensitivities.  They go into the sensitivities, together
    with the smooth phase of the image, because denoisers learn from real images.
    """
    maps = bart_methods.ecalib(kspace * mask)[0]
    known = recon(kspace * mask, mask, sens=maps)
    noise = 2**0.5 * max(known.info["noise_std"], known.info["residual_std"])  # Maps that do not fit are noise, too.
    unit = known.info["scale"] * SmoothPhase().turn(known.image)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / name) for name in ("k", "s", "p")}
        arrays = (kspace * mask / noise, maps * unit / noise, mask)
        write({file: to_bart(array) for file, array in zip(files.values(), arrays)})
        drawn = bart(1, ["sample", "-N100", "-K1", "--sigma", "max=1,min=0.01", f"-S{samples}", "--external-graph",
                         str(weights), "--posterior", ",".join(f"{name}={file}" for name, file in files.items())])
    images = drawn.reshape(*mask.shape, -1)
    return Estimate(unit * images.mean(-1), abs(unit) * np.abs(images).std(-1), maps)


def _network(reconstruct: Callable[[Array, Array, str], Array], kspace: Array, mask: Array, weights: str) -> Estimate:
    return Estimate(reconstruct(kspace, mask, weights))


COMPETITORS = competitors(Effort())
