"""Time and memory: whole commands beside BART's in one run, the score beside its FFTs, and the growth of `recon`.

Nothing else may run on the machine.  The repeats of ours and theirs take turns.  Each command runs as a user runs it,
with files and start-up.  BART's total is that of ecalib and pics, of pics alone for one coil, and of nlinv.  "busy" is
the part of all cores that the command kept working.
"""

import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import scipy
from records import Cases, Places, Row, alone
from volumes_and_series import of_phantom

from bart_pogmdm import Map, bart, load_prior, recon
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
VOLUMES, VOLUME_ITERATIONS, SPEED_VOLUME = (32, 48, 64, 96, 128, 192), 12, 32
REPEATS, SCORE_REPEATS, GROWTH_REPEATS, LONG = 5, 15, 3, 60.0


def seconds(call):
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def score(shape=(640, 372)) -> Row:
    """Time the score of a complex image, and 40 FFTs of its size, out of place."""
    prior, rng = load_prior(), np.random.default_rng(0)
    image = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64) / 10
    batch = np.repeat(image[None], 20, 0)

    def ffts():
        for transform in (scipy.fft.ifft2, scipy.fft.fft2):
            transform(batch, norm="ortho", workers=NUM_THREADS)

    def both():
        return seconds(lambda: prior.score(image, 0.1)), seconds(ffts)

    both()
    return ratios(np.array([both() for _ in range(SCORE_REPEATS)]))


def ratios(taken) -> Row:
    """Return the medians of the seconds of ours and theirs (repeat, 2), and median and ends of their ratio."""
    found = taken[:, 0] / taken[:, 1]
    values = {"ours": np.median(taken[:, 0]), "theirs": np.median(taken[:, 1]), "ratio": np.median(found),
              "least": found.min(), "most": found.max()}
    return {name: round(float(value), 3) for name, value in values.items()} | {"repeats": len(taken)}


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


def beside(arrays, ours, *theirs) -> Row:
    """Time our command beside the sum of theirs, each on the same files."""
    with tempfile.TemporaryDirectory() as folder:
        write({Path(folder, key): array for key, array in arrays.items()})
        taken = np.array([[run(command, folder) for command in (ours, *theirs)] for _ in range(REPEATS)])
        memory = peak_memory(ours, folder)
    found = ratios(np.stack([taken[:, 0, 0], taken[:, 1:, 0].sum(1)], 1))
    return found | {"busy": round(float(np.median(taken[:, 0, 1])), 2), "MiB": memory}


def on_a_grid(coils, shape, pattern) -> Row:
    """Time the command on Cartesian k-space beside ecalib -m1 and pics with TV, for one coil beside pics alone."""
    rng = np.random.default_rng(0)
    full = kspace(shape, coils, rng)
    mask = pattern(shape, rng)
    arrays = {"ksp": to_bart(full * mask)} | ({"ones": np.ones((*shape, 1), complex)} if coils == 1 else {})
    found = beside(arrays, [*OURS, "ksp", "pogmdm"], *([ONES] if coils == 1 else [ECALIB, PICS]))
    return {"acceleration": round(1 / mask.mean(), 1)} | found


def along_spokes(peer) -> Row:
    """Time the command along 48 spokes, beside nlinv, or beside ecalib and pics with TV."""
    traj = bart(1, "traj -x 384 -y 48 -D -r -G") / 2
    phantom = bart(1, "phantom -k -s 8 -t", traj)
    rng = np.random.default_rng(0)
    scale = NOISE * abs(phantom).max() / 40
    noisy = phantom + scale * (rng.standard_normal(phantom.shape) + 1j * rng.standard_normal(phantom.shape))
    low = bart(1, "fft -u 3", bart(1, "nufft -i -d 32:32:1", traj, noisy.astype(np.complex64)))
    sens = bart(1, "resize -c 0 192 1 192", bart(1, "ecalib -m1 -r 24", low))
    arrays = {"ksp": noisy.astype(np.complex64), "traj": traj, "low": low, "maps": sens}
    theirs = {"nlinv": [["bart", "nlinv", "-S", "-i9", "-t", "traj", "ksp", "nlinv"]],
              "pics": [["bart", "nufft", "-i", "-d", "32:32:1", "traj", "ksp", "grid"],
                       ["bart", "ecalib", "-m1", "low", "sens"],
                       ["bart", "pics", "-S", "-R", "T:3:0:.001", "-i100", "-t", "traj", "ksp", "maps", "pics"]]}
    return beside(arrays, [*OURS, "-t", "traj", "ksp", "pogmdm"], *theirs[peer])


def of_a_volume(peer) -> Row:
    """Time the command on BART's phantom in 3-D, beside nlinv, or beside ecalib and pics with TV."""
    data, mask, _ = of_phantom(4, SPEED_VOLUME)
    theirs = {"nlinv": [["bart", "nlinv", "-S", "-i10", "ksp", "nlinv"]],
              "pics": [ECALIB, ["bart", "pics", "-S", "-R", "T:7:0:.01", "-i100", "ksp", "sens", "pics"]]}
    found = beside({"ksp": data}, [*OURS, "ksp", "pogmdm"], *theirs[peer])
    return {"acceleration": round(1 / float(mask.mean()), 1)} | found


def speed(places: Places) -> Cases:
    """Return commands beside BART's, and the score beside its FFTs."""
    found = {f"{coils} x {shape[0]} x {shape[1]}, {name}": partial(on_a_grid, coils, shape, pattern)
             for coils, shape in ((16, (640, 372)), (8, (256, 256)), (32, (320, 320)))
             for name, pattern in (("lines", lines), ("Poisson disc", poisson))}
    return found | {"1 x 256 x 256, lines": partial(on_a_grid, 1, (256, 256), lines),
                    "48 spokes, 8 x 192 x 192, nlinv": partial(along_spokes, "nlinv"),
                    "48 spokes, 8 x 192 x 192, pics": partial(along_spokes, "pics"),
                    "volume, 8 x 32 x 32 x 32, nlinv": partial(of_a_volume, "nlinv"),
                    "volume, 8 x 32 x 32 x 32, pics": partial(of_a_volume, "pics"),
                    "score beside 40 FFTs of scipy.fft": score}


def grown(shape, coils, slices) -> Row:
    """Time `recon` of slices that are the same."""
    rng = np.random.default_rng(0)
    full = kspace(shape, coils, rng) * lines(shape, rng)
    data = np.repeat(to_bart(full.astype(np.complex64)).reshape(*shape, 1, coils, 1), slices, 4)
    return repeated(lambda: recon(data))


def volume(size) -> Row:
    """Time a volume of 8 coils, BART's phantom with a Poisson disc."""
    data, mask, _ = of_phantom(4, size)
    return repeated(lambda: recon(data, mask, method=Map(iterations=VOLUME_ITERATIONS)))


def repeated(call) -> Row:
    """Return median, least and most of the seconds of a call, which ran once before; of that run if it was long."""
    first = seconds(call)
    taken = [first] if first > LONG else [seconds(call) for _ in range(GROWTH_REPEATS)]
    return {name: round(float(of(taken)), 2) for name, of in (("time", np.median), ("least", min), ("most", max))}


def growth(places: Places) -> Cases:
    """Return `recon` at every size, number of coils and slices, and volumes."""
    of = {"n, 8 x n x n": (SIZES, lambda n: grown((n, n), 8, 1)),
          "coils, 256 x 256": (COILS, lambda n: grown((256, 256), n, 1)),
          "slices, 4 x 128 x 128": (SLICES, lambda n: grown((128, 128), 4, n)), "n, 8 x n x n x n": (VOLUMES, volume)}
    return {f"{name}: {value}": lambda call=call, value=value, name=name: {"along": name, "value": value} | call(value)
            for name, (values, call) in of.items() for value in values}


if __name__ == "__main__":
    alone(speed, growth)
