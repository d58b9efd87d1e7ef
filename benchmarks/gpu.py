"""GPU and CPU compared: the score and its bandwidth relative to a copy, the maximum, ten Gibbs samples, Algorithm 1.

Median seconds; GPU and CPU are timed in the same run.  On the CPU Algorithm 1 is timed with 20 noise levels instead of
1000, and its time is multiplied by 50.
"""

import time
from functools import partial

import numpy as np
from records import Cases, Places, Row, alone

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


def measured(shape, coils) -> Row:
    """Return the seconds of each kind of work on both devices, and the bandwidth of the score and of a copy in GB/s."""
    cupy = choose("gpu", None)
    image = np.random.default_rng(0).random(shape)
    image = np.cumsum(np.cumsum(image - image.mean(), 0), 1)
    image = (np.abs(image) / np.abs(image).max()).astype(np.complex64)
    mask = masks.cartesian(shape, 4, 0)
    arrays = simulate.kspace(image, coils, 0.01, 0) * mask, mask, image
    row = {"device": cupy.cuda.runtime.getDeviceProperties(0)["name"].decode(), "copy": bandwidth(cupy) / 1e9,
           "gpu": times(*(move(array, cupy) for array in arrays), LEVELS, REPEATS, cupy),
           "cpu": times(*arrays, CPU_LEVELS, 1, cupy)}
    # A score moves at least 20 spectra; it reads and writes 20 responses in two FFTs of two passes and an activation.
    return row | {"bandwidth": 20 * 11 * image.nbytes / row["gpu"]["score"] / 1e9}


def gpu(places: Places) -> Cases:
    """Return the sizes."""
    return {size: partial(measured, *of) for size, of in SIZES.items()}


if __name__ == "__main__":
    alone(gpu)
