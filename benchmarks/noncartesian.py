"""Trajectories: this package, `bart nlinv -t` and `bart pics -t` on simulated coils; PSNR.  `speed.py` has the time.

The images are those of complex_t2_images, with 8 coils, noise 0.005, and 40 spokes or a spiral of 12 arms.  nlinv takes
the best of 8, 9 and 10 steps.  pics with TV takes the best of the weights below, 100 iterations, and the true
sensitivities, which are unknown in practice.  Needs finufft.
"""

from functools import partial

import numpy as np
from records import Cases, Places, Row, alone

from bart_pogmdm import recon
from bart_pogmdm.evaluate import metrics, simulate
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.toolbox.bart_call import quiet_bart as bart

NEWTON_STEPS = (8, 9, 10)
WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
IMAGES = 2


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
    inverted = [bart(1, f"nlinv -S -i{steps}", kspace, t=traj) for steps in NEWTON_STEPS]
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


def measured(places: Places, number: int, make) -> Row:
    """Return the scores on an image."""
    with np.load(places.data / "dev" / "complex_t2_images.npz") as file:
        image = file["images"][number]
    return {name: round(score, 2) for name, score in compare(image / np.abs(image).max(), make(len(image))).items()}


def trajectories(places: Places) -> Cases:
    """Return images along spokes and spirals."""
    makers = {"40 spokes": lambda size: radial(size, 40), "spiral, 12 arms": lambda size: spiral(size, 12)}
    return {f"{name}, image {number}": partial(measured, places, number, make)
            for name, make in makers.items() for number in range(IMAGES)}


if __name__ == "__main__":
    alone(trajectories)
