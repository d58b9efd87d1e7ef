"""Peak memory of whole commands for volumes of 16 coils, beside k-space itself and the estimate.

What the same command takes for a tiny volume (Python, libraries and compiled loops) is subtracted.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from records import Cases, Places, Row, alone
from speed import OURS, peak_memory

from bart_pogmdm.algorithms.chains import solver_memory
from bart_pogmdm.files.cfl import write
from bart_pogmdm.physics.fourier import fft2c

SIZES, TINY, COILS, ACCELERATION, ITERATIONS = ((128, 128, 128), (256, 256, 192)), (16, 16, 16), 16, 4, 12
NOISE = 2e-3


def volume(shape):
    """Return k-space (z, y, x, coil) of boxes in boxes, random lines along z that are denser in the centre."""
    rng = np.random.default_rng(0)
    z, y, x = axes = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in shape), indexing="ij")
    image = np.zeros(shape, np.complex64)
    for _ in range(20):
        ends = rng.uniform(0.05, 0.7, 3)
        image += rng.uniform(0.1, 0.4) * np.all([abs(axis) < end for axis, end in zip(axes, ends)], 0)
    image *= np.exp(1j * (x + y**2))
    radius = np.hypot(y[0], x[0])
    density = np.exp(-2 * radius**2)
    mask = (rng.random(shape[1:]) < density / density.mean() / ACCELERATION) | (radius < 0.1)
    kspace = np.empty((*shape, COILS), np.complex64, order="F")
    for coil, angle in enumerate(2 * np.pi * np.arange(COILS) / COILS):
        away = (x - np.cos(angle)) ** 2 + (y - np.sin(angle)) ** 2 + (z - 0.5 * (-1) ** coil) ** 2
        sens = np.exp(1j * angle - away / 2)
        noise = rng.standard_normal((2, *shape), np.float32)
        kspace[..., coil] = (fft2c(image * sens, (-3, -2, -1)) + NOISE * (noise[0] + 1j * noise[1])) * mask
    return kspace


def peak(kspace) -> int:
    """Return the peak memory of the command, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        write({Path(folder, "ksp"): kspace})
        return peak_memory([*OURS, f"-i{ITERATIONS}", "ksp", "image", "sens"], folder)


def measured(shape) -> Row:
    """Return the peak memory beside k-space and a tiny volume, and the estimate, in MiB."""
    kspace = volume(shape)
    itself = kspace.nbytes >> 20
    estimate = solver_memory((COILS, *shape), np.complex64, 1) >> 20
    more = peak(kspace) - itself - peak(volume(TINY))
    return {"acceleration": round(float(1 / (kspace[0, ..., 0] != 0).mean()), 1), "kspace": itself,
            "more": more, "estimate": estimate}


def memory(places: Places) -> Cases:
    """Return the volumes."""
    return {f"{COILS} x {' x '.join(map(str, shape))}": partial(measured, shape) for shape in SIZES}


if __name__ == "__main__":
    alone(memory)
