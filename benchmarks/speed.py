"""Time and memory: the score compared with its FFTs, and the command compared with BART's ecalib + pics.

usage: speed.py [REPEATS]    Nothing else may run on the machine.  It prints medians; the repeats are interleaved.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.fft

from bart_pogmdm import bart, load_prior
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.files.cfl import write
from bart_pogmdm.physics.fourier import fft2c

SHAPE, COILS, NOISE = (640, 372), 16, 0.02
PICS = ["pics", "-S", "-R", "T:3:0:.01", "-i100"]


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def score(repeats):
    """Time the score of a complex image, and 40 FFTs of its size out of place and in place."""
    prior, rng = load_prior(), np.random.default_rng(0)
    image = (rng.standard_normal(SHAPE) + 1j * rng.standard_normal(SHAPE)).astype(np.complex64) / 10
    batch, workers = np.repeat(image[None], 20, 0), os.cpu_count()

    def ffts(array, overwrite):
        for transform in (scipy.fft.ifft2, scipy.fft.fft2):
            array = transform(array, norm="ortho", workers=workers, overwrite_x=overwrite)

    calls = {"score": lambda: prior.score(image, 0.1), "40 FFTs": lambda: ffts(batch, False),
             "40 FFTs in place": lambda: ffts(batch, True)}
    times = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            times[name].append(seconds(call))
    medians = {name: np.median(taken[1:]) for name, taken in times.items()}
    print(f"\nscore at {SHAPE[0]} x {SHAPE[1]} complex64")
    for name, median in medians.items():
        print(f"  {name:18} {1e3 * median:6.1f} ms   score / this {medians['score'] / median:.2f}")


def kspace(rng):
    """Return noisy k-space of 16 simulated coils, and the magnitude of the piecewise constant image."""
    y, x = np.mgrid[-1:1:SHAPE[0] * 1j, -1:1:SHAPE[1] * 1j]
    image = sum(a * ((((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) < 1) for a, cx, cy, rx, ry in
                zip(rng.uniform(0.1, 0.4, 40), *rng.uniform(-0.6, 0.6, (2, 40)), *rng.uniform(0.02, 0.4, (2, 40))))
    image = image / image.max() * np.exp(1j * (x + y**2))
    angles = 2 * np.pi * np.arange(COILS) / COILS
    sens = [np.exp(-((x - np.cos(a)) ** 2 + (y - np.sin(a)) ** 2) / 2 + 1j * a) for a in angles]
    clean = fft2c(image * np.array(sens))
    return (clean + NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))), np.abs(image)


def masks(rng):
    lines = rng.random(SHAPE[1]) < (SHAPE[1] / 4 - 30) / (SHAPE[1] - 30)
    lines[SHAPE[1] // 2 - 15:SHAPE[1] // 2 + 15] = True
    poisson = bart(1, f"poisson -Y{SHAPE[0]} -Z{SHAPE[1]} -y2.5 -z2.5 -C24 -v -e").reshape(SHAPE) != 0
    return {"lines, 30 in the centre": np.broadcast_to(lines, SHAPE), "Poisson disc": poisson}


def peak_memory(command, folder):
    """Return the peak memory of a command in MiB, measured in a process of its own."""
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    run = subprocess.run([sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True, check=True)
    return int(run.stdout.split()[-1])


def commands(repeats):
    """Time the whole reconstruction as a user runs it, with files and start-up."""
    rng = np.random.default_rng(0)
    full, _ = kspace(rng)
    ours = [sys.executable, "-m", "bart_pogmdm", "-d0", "ksp", "pogmdm"]
    theirs = [["bart", "ecalib", "-m1", "ksp", "sens"], ["bart", *PICS, "ksp", "sens", "pics"]]
    for name, mask in masks(rng).items():
        with tempfile.TemporaryDirectory() as folder:
            write({Path(folder, "ksp"): to_bart(full * mask)})
            times = {"pogmdm": [], "ecalib": [], "pics": []}
            for _ in range(repeats):
                for method, command in zip(times, [ours, *theirs]):
                    times[method].append(seconds(lambda: subprocess.run(
                        command, cwd=folder, check=True, stdout=subprocess.DEVNULL)))  # noqa: B023
            medians = {method: np.median(taken) for method, taken in times.items()}
            memory = peak_memory(ours, folder)
        bart_total = medians["ecalib"] + medians["pics"]
        print(f"\n{COILS} x {SHAPE[0]} x {SHAPE[1]}, {name}, R = {1 / mask.mean():.1f}")
        print(f"  bart-pogmdm {medians['pogmdm']:.1f} s, {memory} MiB;  ecalib -m1 {medians['ecalib']:.1f} s"
              f" + pics TV {medians['pics']:.1f} s;  pogmdm / (ecalib + pics) {medians['pogmdm'] / bart_total:.2f}")


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    print(f"{len(os.sched_getaffinity(0))} cores, {resource.getpagesize()} byte pages, median of {count}")
    score(max(count, 7))
    commands(count)
