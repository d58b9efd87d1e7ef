"""The compared methods, each with the parameters of a sweep and a default.

A default is a middle value of its sweep, in the unit of its program; `compare --tune` and `--sweep` find better ones.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..algorithms.diffusion import Diffusion
from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import to_bart
from ..files.cfl import write
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..prior.smooth_phase import SmoothPhase
from ..reconstruction.recon import recon
from ..reconstruction.result import Result
from ..toolbox.bart_call import quiet_bart as bart
from . import networks
from .charbonnier_tv import CharbonnierTV
from .rows import Parameter


@dataclass(frozen=True)
class Effort:
    """The numbers of iterations, noise levels and samples of the compared methods."""

    tv_iterations: int = 100
    """Iterations of joint TV, once with free sensitivities and once with fixed ones."""

    pics_iterations: int = 100
    """Iterations of `pics`; its default of 30 would limit total variation."""

    num_levels: int = 100
    """Noise levels of the score network: a tenth of the paper's, because networks are slow."""

    num_samples: int = 2
    """Samples of Algorithm 1 and of `bart sample`: the fewest with a standard deviation, because samples are slow."""


@dataclass(frozen=True)
class Estimate:
    """A reconstruction: image (ny, nx), and std (ny, nx) and sens (J, ny, nx) if the method has them.

    warnings: sentences of this package's own methods about doubts.
    """

    image: Array
    std: Array | None = None
    sens: Array | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Competitor:
    """A compared method: run(kspace (J, ny, nx), mask (ny, nx), parameter) returns its estimate.

    label: its description in messages and tables.  sweep: the parameters to try.  needs_weights: the parameter is a
    file of network weights, which the user supplies.
    """

    name: str
    label: str
    run: Callable[[Array, Array, Any], Estimate]
    sweep: tuple[Parameter, ...] = (None,)
    default: Parameter = None
    needs_weights: bool = False


def competitors(effort: Effort) -> dict[str, Competitor]:
    """Return {name: method} of all compared methods, in the order of the tables."""
    samples, pics = effort.num_samples, partial(_pics, effort.pics_iterations)
    methods = (
        Competitor("zero-filled", "zero-filled RSS", _zero_filled),
        Competitor("joint-tv", "joint TV, weight", partial(_joint_tv, effort.tv_iterations), (5, 10, 20, 40, 80), 20),
        Competitor("nlinv", "nlinv, -i", _nlinv, (8, 9, 10), 9),
        Competitor("pics-tv", "ecalib + pics TV, weight", partial(pics, ("-R", "T:3:0:{}")),
                   (.001, .002, .003, .005, .01, .02, .03), .005),
        Competitor("pics-wavelet", "ecalib + pics l1-wavelet, weight", partial(pics, ("-R", "W:3:0:{}")),
                   (.001, .002, .003, .005, .01), .003),
        Competitor("pics-l2", "ecalib + pics l2, weight", partial(pics, ("-l2", "-r", "{}")),
                   (.001, .003, .01, .03, .1), .01),
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


def _nlinv(kspace: Array, mask: Array, steps: int) -> Estimate:
    image, sens = bart(2, f"nlinv -S -i{steps}", to_bart(kspace * mask))
    return Estimate(image.reshape(mask.shape), sens=_coils_first(sens, kspace.shape))


def _pics(iterations: int, options: tuple[str, ...], kspace: Array, mask: Array, weight: float) -> Estimate:
    """Run `pics` with sensitivities of `ecalib` and with options in which {} stands for the weight."""
    sens = _ecalib(kspace * mask)
    command = ["pics", "-S", f"-i{iterations}", *(word.format(weight) for word in options)]
    return Estimate(bart(1, command, to_bart(kspace * mask), to_bart(sens)).reshape(mask.shape), sens=sens)


def _ecalib(kspace: Array) -> Array:
    """Return the sensitivities (J, ny, nx) of `ecalib`; 1 for one coil."""
    if len(kspace) == 1:
        return np.ones(kspace.shape, np.complex64)
    return _coils_first(bart(1, "ecalib -m1 -c0", to_bart(kspace)), kspace.shape)


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
    maps = _ecalib(kspace * mask)
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


def _coils_first(sens: Array, shape: Shape) -> Array:
    """Return sensitivities in BART's order as (J, ny, nx), the shape of the k-space."""
    return np.moveaxis(sens.reshape(shape[1], shape[2], shape[0]), -1, 0)


COMPETITORS = competitors(Effort())
