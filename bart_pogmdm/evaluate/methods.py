"""The methods that are compared, each with the parameters that are swept and those that hold where nothing is said.

Defaults were chosen by the mean PSNR over shared/data/dev/masks.npz and are in the units of each program.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..bridge import bart
from ..io import to_bart
from ..operators import ifft2c
from ..reconstruction import recon
from .tv import CharbonnierTV

TV_ITERATIONS = 100  # joint, and as many at fixed sensitivities
PICS_ITERATIONS = 100


@dataclass(frozen=True)
class Method:
    """run(kspace (J, ny, nx), mask, parameter) -> (image, std or None, sens or None)."""

    run: Callable
    sweep: tuple = (None,)
    default: float | None = None
    needs_bart: bool = False
    label: str = field(default="", kw_only=True)


def _ours(**options):
    def run(kspace, mask, parameter):
        result = recon(kspace * mask, mask, **options)
        return result.image, result.std, result.sens
    return run


def _zero_filled(kspace, mask, parameter):
    return np.sqrt((np.abs(ifft2c(kspace * mask)) ** 2).sum(0)), None, None


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


def _coils_first(sens, shape):
    return np.moveaxis(sens.reshape(shape[1], shape[2], shape[0]), -1, 0)


METHODS = {
    "zero-filled": Method(_zero_filled, label="zero-filled RSS"),
    "joint-tv": Method(_joint_tv, (5, 10, 20, 40), 20, label="joint TV, weight"),
    "nlinv": Method(_nlinv, (8, 9, 10), 9, True, label="nlinv, -i"),
    "pics-tv": Method(_pics("-R", "T:3:0:{}"), (.001, .002, .003, .005, .01, .02, .03), .005, True,
                      label="ecalib + pics TV, weight"),
    "pics-wavelet": Method(_pics("-R", "W:3:0:{}"), (.001, .002, .003, .005, .01), .003, True,
                           label="ecalib + pics l1-wavelet, weight"),
    "pics-l2": Method(_pics("-l2", "-r", "{}"), (.001, .003, .01, .03, .1), .01, True,
                      label="ecalib + pics l2, weight"),
    "pogmdm": Method(_ours(), label="pogmdm, maximum"),
    "pogmdm-mean": Method(_ours(method="gibbs"), label="pogmdm, posterior mean"),
    "pogmdm-diffusion": Method(_ours(method="diffusion", samples=2), label="pogmdm, Algorithm 1, 2 samples"),
}
