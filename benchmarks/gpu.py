"""GPU and CPU compared: the score and its bandwidth relative to a copy, the maximum, ten Gibbs samples, Algorithm 1.

usage: gpu.py [JSON_FILE]    It prints a table of median seconds; GPU and CPU are timed in the same run.

On the CPU Algorithm 1 is timed with 20 noise levels instead of 1000, and its time is multiplied by 50.
"""

import json
import sys
import time

import numpy as np

from bart_pogmdm import Diffusion, Gibbs, load_prior, recon
from bart_pogmdm.arrays.devices import choose
from bart_pogmdm.arrays.modules import move
from bart_pogmdm.evaluate import masks, simulate

SIZES = {"640 x 372, 16 coils": ((640, 372), 16), "320 x 320, 8 coils": ((320, 320), 8)}
REPEATS, SCORES = 3, 20
LEVELS, CPU_LEVELS = 1000, 20
TOGETHER = 8


def seconds(work, cupy, repeats=REPEATS):
    """Return the median time of work() without its first call; the device's queue is empty before and after."""
    times = []
    for _ in range(repeats + 1):
        cupy.cuda.Device().synchronize()
        began = time.perf_counter()
        work()
        cupy.cuda.Device().synchronize()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))


def bandwidth(cupy, size=1 << 28):
    """Return the bytes per second of a device-to-device copy; reading and writing are both counted."""
    source = cupy.zeros(size, cupy.uint8)
    target = cupy.empty_like(source)
    return 2 * size / seconds(lambda: cupy.copyto(target, source), cupy, 20)


def times(kspace, mask, image, levels, repeats, cupy):
    """Return the seconds of each method on the device of the arrays."""
    prior = load_prior()

    def diffusion(samples):
        method = Diffusion(num_levels=levels)
        return LEVELS / levels / samples * seconds(lambda: recon(kspace, mask, method=method, samples=samples), cupy, 1)

    return {"score": seconds(lambda: [prior.score(image, 0.05) for _ in range(SCORES)], cupy) / SCORES,
            "map": seconds(lambda: recon(kspace, mask), cupy, repeats),
            "gibbs, 10 samples": seconds(lambda: recon(kspace, mask, method=Gibbs()), cupy, repeats),
            "diffusion, N = 1000, M = 1": diffusion(1),
            f"the same, each of {TOGETHER}": diffusion(TOGETHER)}


def measure(shape, coils, cupy):
    image = np.random.default_rng(0).random(shape)
    image = np.cumsum(np.cumsum(image - image.mean(), 0), 1)
    image = (np.abs(image) / np.abs(image).max()).astype(np.complex64)
    mask = masks.cartesian(shape, 4, 0)
    arrays = simulate.kspace(image, coils, 0.01, 0) * mask, mask, image
    row = {"gpu": times(*(move(array, cupy) for array in arrays), LEVELS, REPEATS, cupy),
           "cpu": times(*arrays, CPU_LEVELS, 1, cupy)}
    # A score moves at least 20 spectra; it reads and writes 20 responses in two FFTs of two passes and an activation.
    row["score GB/s"] = 20 * 11 * image.nbytes / row["gpu"]["score"] / 1e9
    return row


def main(target=None):
    cupy = choose("gpu", None)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    results = {"device": name, "copy GB/s": bandwidth(cupy) / 1e9}
    print(f"{name}: copy {results['copy GB/s']:.0f} GB/s\n")
    print("| size | work | GPU s | CPU s | ratio |\n" + "|---" * 5 + "|")
    for size, (shape, coils) in SIZES.items():
        results[size] = row = measure(shape, coils, cupy)
        for work, value in row["gpu"].items():
            print(f"| {size} | {work} | {value:.4g} | {row['cpu'][work]:.4g} | {row['cpu'][work] / value:.0f} |")
        part = row["score GB/s"] / results["copy GB/s"]
        print(f"| {size} | score: {row['score GB/s']:.0f} GB/s, {part:.0%} of copy | | | |", flush=True)
    if target:
        with open(target, "w", encoding="ascii") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ValueError as error:
        sys.exit(f"ERROR: {error}")
