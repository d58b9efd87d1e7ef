"""Time and memory: the score beside its FFTs, and whole commands beside BART's, in one run.

usage: speed.py [REPEATS] [PART ...]    parts: score, commands, trajectories, growth; all of them if none is named

Nothing else may run on the machine.  It prints medians; the repeats of ours and theirs take turns.  Each command runs
as a user runs it, with files and start-up.  BART's total is that of ecalib and pics, of pics alone for one coil, and of
nlinv.  "busy" is the part of all cores that the command kept working.
"""

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy

from bart_pogmdm import __version__, bart, load_prior, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.arrays.threads import NUM_THREADS
from bart_pogmdm.files.cfl import write
from bart_pogmdm.physics.fourier import fft2c

NOISE = 0.02
OURS = [sys.executable, "-m", "bart_pogmdm", "-d0"]
ECALIB = ["bart", "ecalib", "-m1", "ksp", "sens"]
PICS = ["bart", "pics", "-S", "-R", "T:3:0:.01", "-i100", "ksp", "sens", "pics"]
ONES = ["bart", "pics", "-S", "-R", "T:3:0:.005", "-i100", "ksp", "ones", "pics"]
SIZES, COILS, SLICES = (64, 128, 256, 512, 1024), (1, 2, 4, 8, 16, 32, 64), (1, 4, 16, 64)


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def score(repeats, shape=(640, 372)):
    """Time the score of a complex image, and 40 FFTs of its size out of place and in place."""
    prior, rng = load_prior(), np.random.default_rng(0)
    image = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64) / 10
    batch = np.repeat(image[None], 20, 0)

    def ffts(array, overwrite):
        for transform in (scipy.fft.ifft2, scipy.fft.fft2):
            array = transform(array, norm="ortho", workers=NUM_THREADS, overwrite_x=overwrite)

    calls = {"score": lambda: prior.score(image, 0.1), "40 FFTs": lambda: ffts(batch, False),
             "40 FFTs in place": lambda: ffts(batch, True)}
    times = {name: [] for name in calls}
    for _ in range(max(repeats, 7) + 1):
        for name, call in calls.items():
            times[name].append(seconds(call))
    medians = {name: np.median(taken[1:]) for name, taken in times.items()}
    print(f"\nscore at {shape[0]} x {shape[1]} complex64")
    for name, median in medians.items():
        print(f"  {name:18} {1e3 * median:6.1f} ms   score / this {medians['score'] / median:.2f}")


def kspace(shape, coils, rng):
    """Return noisy k-space of simulated coils on a ring, of a piecewise constant image."""
    y, x = np.mgrid[-1:1:shape[0] * 1j, -1:1:shape[1] * 1j]
    image = sum(a * ((((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) < 1) for a, cx, cy, rx, ry in
                zip(rng.uniform(0.1, 0.4, 40), *rng.uniform(-0.6, 0.6, (2, 40)), *rng.uniform(0.02, 0.4, (2, 40))))
    image = image / image.max() * np.exp(1j * (x + y**2))
    angles = 2 * np.pi * np.arange(coils) / coils
    sens = [np.exp(-((x - np.cos(a)) ** 2 + (y - np.sin(a)) ** 2) / 2 + 1j * a) for a in angles]
    clean = fft2c(image * np.array(sens))
    return clean + NOISE * (rng.standard_normal(clean.shape) + 1j * rng.standard_normal(clean.shape))


def lines(shape, rng):
    """Return random lines, about a fourth, with 30 in the centre."""
    n = shape[1]
    mask = rng.random(n) < max(n / 4 - 30, 0) / (n - 30)
    mask[n // 2 - 15:n // 2 + 15] = True
    return np.broadcast_to(mask, shape)


def poisson(shape, rng):
    """Return a Poisson disc of variable density with 24 x 24 samples in the centre."""
    return bart(1, f"poisson -Y{shape[0]} -Z{shape[1]} -y2.5 -z2.5 -C24 -v -e").reshape(shape) != 0


def run(command, folder):
    """Run a command, and return its seconds, and the part of the cores that it kept busy."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken, work / (taken * NUM_THREADS)


def peak_memory(command, folder):
    """Return the peak memory of a command in MiB, measured in a process of its own."""
    code = ("import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)")
    ran = subprocess.run([sys.executable, "-c", code, *command], cwd=folder, capture_output=True, text=True, check=True)
    return int(ran.stdout.split()[-1])


def beside(name, arrays, ours, theirs, repeats):
    """Print one row: our command beside the sum of theirs, each on the same files."""
    with tempfile.TemporaryDirectory() as folder:
        write({Path(folder, key): array for key, array in arrays.items()})
        commands = [ours, *theirs]
        taken = np.array([[run(command, folder) for command in commands] for _ in range(repeats)])
        memory = peak_memory(ours, folder)
    medians, busy = np.median(taken[..., 0], 0), np.median(taken[:, 0, 1])
    total = medians[1:].sum()
    print(f"| {name} | {medians[0]:.2f} | {total:.2f} | {medians[0] / total:.2f} | {100 * busy:.0f} % | {memory} |",
          flush=True)


def commands(repeats):
    """Time the command on Cartesian k-space beside ecalib -m1 and pics with TV."""
    print("\n| k-space | ours, s | BART, s | ratio | busy | MiB |", "|---" * 6 + "|", sep="\n")
    for coils, shape in ((16, (640, 372)), (8, (256, 256)), (32, (320, 320))):
        for pattern in (lines, poisson):
            rng = np.random.default_rng(0)
            full = kspace(shape, coils, rng)
            mask = pattern(shape, rng)
            name = f"{coils} x {shape[0]} x {shape[1]}, {pattern.__name__} (R = {1 / mask.mean():.1f})"
            beside(name, {"ksp": to_bart(full * mask)}, [*OURS, "ksp", "pogmdm"], [ECALIB, PICS], repeats)
    rng = np.random.default_rng(0)
    shape = (256, 256)
    full = kspace(shape, 1, rng)
    beside("1 x 256 x 256, lines", {"ksp": to_bart(full * lines(shape, rng)), "ones": np.ones((*shape, 1), complex)},
           [*OURS, "ksp", "pogmdm"], [ONES], repeats)


def trajectories(repeats):
    """Time the command along 48 spokes, beside nlinv, and beside ecalib and pics with TV."""
    traj = bart(1, "traj -x 384 -y 48 -D -r -G") / 2
    phantom = bart(1, "phantom -k -s 8 -t", traj)
    rng = np.random.default_rng(0)
    scale = NOISE * abs(phantom).max() / 40
    noisy = phantom + scale * (rng.standard_normal(phantom.shape) + 1j * rng.standard_normal(phantom.shape))
    low = bart(1, "fft -u 3", bart(1, "nufft -i -d 32:32:1", traj, noisy.astype(np.complex64)))
    sens = bart(1, "resize -c 0 192 1 192", bart(1, "ecalib -m1 -r 24", low))
    arrays = {"ksp": noisy.astype(np.complex64), "traj": traj, "low": low, "maps": sens}
    ours = [*OURS, "-t", "traj", "ksp", "pogmdm"]
    print("\n| along 48 spokes, 8 x 192 x 192 | ours, s | BART, s | ratio | busy | MiB |", "|---" * 6 + "|", sep="\n")
    beside("nlinv -t -i9", arrays, ours, [["bart", "nlinv", "-S", "-i9", "-t", "traj", "ksp", "nlinv"]], repeats)
    beside("nufft -i, ecalib, pics -t with TV", arrays, ours,
           [["bart", "nufft", "-i", "-d", "32:32:1", "traj", "ksp", "grid"], ["bart", "ecalib", "-m1", "low", "sens"],
            ["bart", "pics", "-S", "-R", "T:3:0:.001", "-i100", "-t", "traj", "ksp", "maps", "pics"]], repeats)


def growth(repeats):
    """Time `recon` against size, coils and slices, and print the exponent that fits each."""
    def timed(shape, coils, slices):
        rng = np.random.default_rng(0)
        full = kspace(shape, coils, rng) * lines(shape, rng)
        data = np.repeat(to_bart(full.astype(np.complex64)).reshape(*shape, 1, coils, 1), slices, 4)
        return float(np.median([seconds(lambda: recon(data)) for _ in range(repeats)]))

    timed((64, 64), 2, 1)
    for name, values, of in (("n, 8 x n x n", SIZES, lambda n: ((n, n), 8, 1)),
                             ("coils, 256 x 256", COILS, lambda n: ((256, 256), n, 1)),
                             ("slices, 4 x 128 x 128", SLICES, lambda n: ((128, 128), 4, n))):
        taken = [timed(*of(n)) for n in values]
        print(f"\n| {name} | " + " | ".join(map(str, values)) + " |", "|---" * (len(values) + 1) + "|",
              "| s | " + " | ".join(f"{one:.2f}" for one in taken) + " |", sep="\n")
        print(f"seconds grow as the power {np.polyfit(np.log(values), np.log(taken), 1)[0]:.2f}", flush=True)


PARTS = {part.__name__: part for part in (score, commands, trajectories, growth)}

if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words.pop(0)) if words and words[0].isdecimal() else 5
    version = subprocess.run(["bart", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"bart_pogmdm {__version__}, BART {version}, Python {platform.python_version()}, NumPy {np.__version__},"
          f" SciPy {scipy.__version__}; {NUM_THREADS} of {os.cpu_count()} cores; medians of {count}", flush=True)
    for word in words or PARTS:
        PARTS[word](count)
