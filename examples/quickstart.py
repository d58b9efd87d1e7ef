"""Undersample 8-coil k-space of a phantom, or of a file, reconstruct it, and draw quickstart.png.

usage: quickstart.py [FILE]    FILE: .npz, .npy, .h5 (fastMRI or ISMRMRD), .cfl or .ra with one slice
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bart_pogmdm import bart, from_bart, recon
from bart_pogmdm.evaluate import simulate
from bart_pogmdm.files.kspace import load
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.reconstruction.layout import slices
from bart_pogmdm.toolbox.find_bart import find

PICTURE = Path(__file__).with_name("quickstart.png")
SIZE, COILS, NOISE = 192, 8, 0.005


def phantom(rng):
    """Return noisy k-space (coil, y, x) of a head phantom of maximum 1, by BART if it is installed."""
    if find():
        kspace = from_bart(bart(1, f"phantom -x{SIZE} -k -s{COILS}"))
    else:
        kspace = simulate.kspace(simulate.phantom((SIZE, SIZE)), COILS, 0, 0)
    kspace = kspace / rss(ifft2c(kspace)).max()
    return kspace + NOISE * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))


def variable_density(shape, acceleration, rng):
    """Return a random mask that is denser towards the centre, and full in a central disc 6 % as wide as k-space."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    radius = np.hypot(y[:, None], x)
    density = np.exp(-(radius / 0.5) ** 2)
    return (rng.random(shape) < density / density.mean() / acceleration) | (radius < 0.06)


def one_slice(name):
    """Return k-space (coil, y, x) of a file with one slice."""
    found = slices(load(name)[0])
    if found[..., 0, 0, 0].size > 1:
        raise ValueError(f"{name}: expected one slice, got {found[..., 0, 0, 0].size}")
    return found.reshape(found.shape[-3:])


def draw(kspace, result, path):
    panels = [("zero-filled", rss(ifft2c(kspace))), ("reconstruction", np.abs(result.image)),
              *((f"|sensitivity {i + 1}|", np.abs(sens)) for i, sens in enumerate(result.sens[:3]))]
    figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.5), layout="constrained")
    window = np.quantile(np.abs(result.image), 0.998)
    for axis, (title, picture) in zip(axes, panels):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1 if "sens" in title else window)
        axis.set_title(title)
        axis.axis("off")
    figure.savefig(path, dpi=100)


def main(arguments):
    rng = np.random.default_rng(0)
    if arguments:
        kspace = one_slice(arguments[0])
        sampled = (kspace != 0).any(0)
        mask = sampled if sampled.mean() < 0.7 else sampled & variable_density(sampled.shape, 8, rng)
    else:
        kspace = phantom(rng)
        mask = variable_density(kspace.shape[1:], 8, rng)
    kspace = np.asarray(kspace * mask, np.complex64)
    result = recon(kspace, mask)
    print(f"{kspace.shape[0]} coils, {mask.mean():.0%} of {mask.shape[0]} x {mask.shape[1]} samples:"
          f" {result.info['seconds']:.1f} s")
    draw(kspace, result, PICTURE)
    print(f"picture: {PICTURE}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError, TypeError, KeyError) as error:
        sys.exit(f"ERROR: {error}")
