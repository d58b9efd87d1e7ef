"""Non-Cartesian data: this package, `bart nlinv -t` and `bart pics -t`; PSNR in simulations, time on real data.

usage: noncartesian.py [DEV_DATA_FOLDER]    (with complex_t2_images.npz and radial69_phantom_16ch.npz; needs finufft)

The simulations have 8 coils, noise 0.005, and 40 spokes or a spiral of 12 arms.  nlinv takes the best of 8, 9 and 10
steps.  pics with TV takes the best of the weights below, 100 iterations, and the true sensitivities, which are unknown
in practice.  The real data are a radial scan of a phantom with all 69 spokes or every third.  The times are those of
whole reconstructions from the scan to an image; there pics with TV has the weight 0.001, and sensitivities by ecalib
from the low frequencies.
"""

import sys
import time
from pathlib import Path

import numpy as np

from bart_pogmdm import bart, recon
from bart_pogmdm.evaluate import metrics, simulate
from bart_pogmdm.physics.nufft import Nufft

NEWTON_STEPS = (8, 9, 10)
WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DELAYS = "-0.614225:-0.651670:-0.000881"


def radial(size, spokes):
    """Return a trajectory (3, samples, spokes) with twice as many samples on a spoke as the image has pixels."""
    return bart(1, f"traj -x {2 * size} -y {spokes} -D -r -G").real / 2


def spiral(size, arms):
    """Return a trajectory (3, samples, arms) of evenly rotated Archimedean spirals."""
    place = np.linspace(0, 1, 6 * size) ** 0.7
    turns = np.pi * size / 2 / arms
    angle = turns * place[:, None] + 2 * np.pi * np.arange(arms) / arms
    radius = (size / 2 - 0.5) * place[:, None]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle])


def timed(function):
    began = time.perf_counter()
    return function(), time.perf_counter() - began


def nlinv(traj, kspace, steps):
    """Return the image by nlinv."""
    return bart(1, f"nlinv -S -i{steps}", kspace, t=traj)


def total_variation(traj, kspace, shape):
    """Return the image by pics with TV and with sensitivities by ecalib from the gridded low frequencies."""
    low = bart(1, "fft -u 3", bart(1, "nufft -i -d 32:32:1", traj, kspace))
    sens = bart(1, "ecalib -m1 -r 24", bart(1, f"resize -c 0 {shape[0]} 1 {shape[1]}", low))
    return bart(1, "pics -S -R T:3:0:.001 -i100", kspace, sens, t=traj)


def compare(image, traj):
    """Return {method: PSNR} on a simulated scan."""
    sens = simulate.sensitivities(image.shape, 8).astype(np.complex64)
    coil_images = (sens * image).astype(np.complex64)
    sampling = Nufft(traj[:2].reshape(2, -1), image.shape, np.complex64)
    samples, rng = sampling.forward(coil_images), np.random.default_rng(0)
    samples = samples + 0.005 * (rng.standard_normal(samples.shape) + 1j * rng.standard_normal(samples.shape))
    kspace = np.moveaxis(samples.reshape(-1, *traj.shape[1:]), 0, -1)[None].astype(np.complex64)
    reference, traj = np.abs(image), traj.astype(np.complex64)
    result = recon(kspace, traj=traj, dims=image.shape)
    maps = np.moveaxis(sens, 0, -1)[:, :, None]
    inverted = [nlinv(traj, kspace, steps) for steps in NEWTON_STEPS]
    regularised = [bart(1, ["pics", "-S", "-R", f"T:3:0:{weight}", "-i100"], kspace, maps, t=traj)
                   for weight in WEIGHTS]
    candidates = {"pogmdm": [result.image], "nlinv": inverted, "pics TV, true coils": regularised}
    return {name: max(metrics.psnr(cropped(image, reference.shape), reference) for image in images)
            for name, images in candidates.items()}


def cropped(image, shape):
    """Return an image in BART's order as (ny, nx), cropped to a shape."""
    image = image.reshape(image.shape[:2])
    if image.shape != shape:
        image = bart(1, f"resize -c 0 {shape[0]} 1 {shape[1]}", image).reshape(shape)
    return image


def main(folder):
    print("| data | pogmdm | nlinv | pics TV, true coils |", "|---|---|---|---|", sep="\n")
    with np.load(folder / "complex_t2_images.npz") as file:
        image = file["images"][0]
    image = image / np.abs(image).max()
    for name, traj in (("40 spokes", radial(256, 40)), ("spiral, 12 arms", spiral(256, 12))):
        scores = compare(image, traj)
        print(f"| complex_t2, {name} |", " | ".join(f"{score:.2f}" for score in scores.values()), "|", flush=True)
    with np.load(folder / "radial69_phantom_16ch.npz") as file:
        samples = file["kspace"]
    traj = bart(1, f"traj -x 384 -y 69 -t 1 -m 1 -D -q {DELAYS}") / 2
    traj, kspace = traj.reshape(3, 384, 69), np.moveaxis(samples, 0, -1).swapaxes(0, 1)[None]
    print("| spokes | pogmdm, s | nlinv -i9, s | ratio | ecalib + pics TV, s | ratio |", "|---" * 6 + "|", sep="\n")
    for step in (1, 3):
        part = kspace[:, :, ::step].astype(np.complex64), traj[:, :, ::step].astype(np.complex64)
        result, ours = timed(lambda part=part: recon(part[0], traj=part[1]))
        shape = result.image.shape[:2]
        theirs = [timed(lambda part=part: nlinv(part[1], part[0], 9))[1],
                  timed(lambda part=part, shape=shape: total_variation(part[1], part[0], shape))[1]]
        cells = " | ".join(f"{seconds:.1f} | {ours / seconds:.2f}" for seconds in theirs)
        print(f"| {part[1].shape[2]} | {ours:.1f} | {cells} |", flush=True)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
