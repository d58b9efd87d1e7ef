"""Volumes, series and simultaneous slices: this package beside itself slice by slice, and beside BART's methods.

usage: volumes_and_series.py [volumes|heads|echoes|sms|cost …] [--size N] [--images validation.h5] [--echoes file.npz]

volumes: BART's 3-D phantom (N x N x N, 8 coils) with Poisson discs in (PHS1, PHS2), R=4, 8, 12, and noise of 0.01 of
    the image's maximum.  `slices` is this package on each plane across the readout.
heads: the same for series of slices in --images, cropped to 64 x 64 in the plane, with 8 simulated coils, noise of
    0.01, and random samples across full readouts.
echoes: the first 4 echoes of each set of images in --echoes with 8 simulated coils, random lines R=4 and 4 % of the
    lines at the centre, another mask for each echo: sensitivities that are shared, and alone.
sms: 2 and 3 slices of BART's phantom that were excited together, lines R=2 and 3.
cost: time and peak memory of a volume of 32 to 96 voxels a side with 8 coils, 12 iterations, each in its own process.
BART's methods have the best of several parameters.  PSNR in dB inside the object.
"""

import argparse
import multiprocessing
import resource
import statistics
import threading
import time
from pathlib import Path

import numpy as np

from bart_pogmdm import Map, bart, recon
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.evaluate.metrics import psnr
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resize
from bart_pogmdm.toolbox.bart_call import BartError

ALL = (-3, -2, -1)
WEIGHTS = (0.001, 0.003, 0.01, 0.03)
COILS = 8


def score(image, reference):
    return psnr(np.abs(image).squeeze(), (reference / reference.max()).astype(np.float32))


def rss(kspace):
    """The root sum of squares of coil images (READ, PHS1, PHS2)."""
    return np.sqrt((abs(ifft2c(np.moveaxis(kspace, -1, 0), ALL)) ** 2).sum(0))


def of_phantom(size):
    """Yield (name, k-space in BART's order, mask, reference) of the phantom."""
    full = bart(1, f"phantom -3 -x {size} -s {COILS} -k")
    reference = rss(full)
    noisy = full + 0.01 * reference.max() * simulate.noise(full.shape, 0)
    for factor in (4, 8, 12):
        step = factor**0.5
        pattern = bart(1, f"poisson -Y {size} -Z {size} -y {step} -z {step} -C {size // 4} -e").real
        pattern = pattern.reshape(1, size, size, 1)
        name = f"phantom, R={pattern.size / pattern.sum():.1f}"
        yield name, (noisy * pattern).astype(np.complex64), pattern, reference


def coils_of(shape):
    """Sensitivities (coil, z, y, x) of coils in two rings about the z axis, with RSS 1."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    sens = []
    for number in range(COILS):
        angle, height = 2 * np.pi * number / COILS, 0.8 * (-1) ** number
        away = (x - 1.3 * np.cos(angle)) ** 2 + (y - 1.3 * np.sin(angle)) ** 2 + (z - height) ** 2 / 2
        sens.append(np.exp(-away / 2 + 1j * (angle + x * np.sin(angle) + y * np.cos(angle))))
    return np.stack(sens) / np.sqrt((abs(np.stack(sens)) ** 2).sum(0))


def of_images(path, size=64):
    """Yield the same for series of slices, with readouts along y and random samples in (x, z), denser at the centre."""
    import h5py
    with h5py.File(path) as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
        series = {name: file[name][:].astype(float) for name in found}
    for name, stack in series.items():
        volume = ifft2c(resize(fft2c(stack), (size, size))).real.clip(0)
        volume /= np.quantile(volume, 0.9995)
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in volume.shape), indexing="ij")
        full = fft2c(coils_of(volume.shape) * volume * np.exp(1j * (0.5 * x + 0.3 * y**2 + 0.4 * z)), ALL)
        noisy = full + 0.01 * simulate.noise(full.shape, 0)
        for factor in (4, 8):
            mask = masks.named(f"gaussian{factor}", (size, len(volume)), 0)
            kspace = noisy.transpose(2, 3, 1, 0) * mask[None, :, :, None]
            yield (f"{name.split('/')[-1]}, R={factor}", kspace.astype(np.complex64), mask.reshape(1, *mask.shape, 1),
                   volume.transpose(1, 2, 0))


def by_slices(kspace, mask):
    """This package on each plane across READ."""
    hybrid = ifft2c(np.moveaxis(kspace, -1, 0), (1,))
    planes = []
    for number in range(hybrid.shape[1]):
        plane = np.ascontiguousarray(hybrid[:, number])
        planes.append(recon(plane, mask.squeeze()).image)
    return np.stack(planes)


def best(images, reference):
    """(best score, its parameter) of images {parameter: image}."""
    return max((round(score(image, reference), 2), parameter) for parameter, image in images.items())


def maps_of(kspace):
    """Sensitivities of ecalib, or of nlinv where k-space has no calibration region that is large enough."""
    try:
        return bart(1, "ecalib -m1 -c0", kspace)
    except BartError:
        return bart(2, "nlinv -i10", kspace)[1]


def volumes(args):
    beside_bart(of_phantom(args.size))


def heads(args):
    beside_bart(of_images(args.images))


def beside_bart(cases):
    print("| data | volume | slices | maps + TV | maps + wavelets | nlinv |\n|---|---|---|---|---|---|")
    for name, kspace, mask, reference in cases:
        sens = maps_of(kspace)
        cells = [f"{score(image, reference):.2f}" for image in (recon(kspace, mask).image, by_slices(kspace, mask))]
        for term in ("T:7:0", "W:7:0"):
            images = {weight: bart(1, f"pics -S -R {term}:{weight} -i100", kspace, sens) for weight in WEIGHTS}
            cells.append("{} ({})".format(*best(images, reference)))
        images = {steps: bart(1, f"nlinv -i{steps}", kspace) for steps in (8, 10, 12)}
        cells.append("{} ({})".format(*best(images, reference)))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def echoes(args):
    print("| images | echo | shared | alone |\n|---|---|---|---|")
    for name, images in np.load(args.echoes).items():
        images = images[:4]
        sens = simulate.sensitivities(images.shape[1:], COILS)
        full = fft2c(sens[:, None] * images)
        mask = np.stack([masks.named("cartesian4acs4", images.shape[1:], number) for number in range(len(images))])
        kspace = ((full + 0.005 * simulate.noise(full.shape, 0)) * mask).astype(np.complex64)
        kspace = kspace.transpose(2, 3, 0, 1)[:, :, None, :, None, :]
        pattern = mask.transpose(1, 2, 0)[:, :, None, None, None, :]
        found = [recon(kspace, pattern, shared_sens=bits).image for bits in (1 << 5, 0)]
        for echo, reference in enumerate(images):
            scores = " | ".join(f"{score(image[..., echo], abs(reference)):.2f}" for image in found)
            print(f"| {name} | {echo + 1} | {scores} |", flush=True)


def sms(args):
    print("| slices | lines | sms | nlinv |\n|---|---|---|---|")
    size = 96
    images = ifft2c(np.moveaxis(bart(1, f"phantom -3 -x {size} -s {COILS} -k"), -1, 0), ALL)
    for count in (2, 3):
        slices = np.stack([images[:, :, :, place] for place in (36, 60, 48)[:count]], 1)
        reference = np.sqrt((abs(slices) ** 2).sum(0))
        full = fft2c(fft2c(slices), (1,))
        full = full + 0.01 * reference.max() * simulate.noise(full.shape, 0)
        for factor in (2, 3):
            mask = np.stack([masks.named(f"cartesian{factor}acs8", (size, size), shot) for shot in range(count)])
            kspace = (full * mask).astype(np.complex64).transpose(2, 3, 0, 1)
            kspace = kspace.reshape(size, size, 1, COILS, *(1,) * 9, count)

            def scores(image, reference=reference, count=count):
                image = abs(image).reshape(size, size, count)
                return min(score(image[..., number], reference[number]) for number in range(count))

            nlinv = max((round(scores(bart(1, f"nlinv -i{steps} -S", kspace)), 2), steps) for steps in (6, 7, 8, 9, 10))
            ours = scores(recon(kspace, sms=True).image)
            print(f"| {count} | R={factor}, 8 % | {ours:.2f} | {nlinv[0]} ({nlinv[1]}) |", flush=True)


def _cost_of(size):
    volume = np.random.default_rng(0).random((size, size, size)) > 0.5
    kspace = fft2c(coils_of(volume.shape) * volume, ALL).astype(np.complex64)
    mask = masks.named("gaussian4", (size, size), 0)
    kspace = np.moveaxis(kspace * mask, 0, -1)
    recon(kspace[:8], mask, method=Map(iterations=1))  # compiles
    sizes, done = [_memory()], threading.Event()

    def watch():
        while not done.wait(0.02):
            sizes.append(_memory())

    watcher, began = threading.Thread(target=watch), time.perf_counter()
    watcher.start()
    recon(kspace, mask, method=Map(iterations=12))
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    return seconds, (max(sizes) - sizes[0]) / kspace.nbytes


def _memory():
    """The resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def cost(args):
    print("| voxels a side | seconds | µs for each voxel and coil | memory beyond k-space, in its sizes |")
    print("|---|---|---|---|")
    context = multiprocessing.get_context("spawn")
    for size in (32, 48, 64, 96):
        with context.Pool(1, maxtasksperchild=1) as pool:
            runs = pool.map(_cost_of, [size] * (3 if size < 64 else 1), chunksize=1)
        seconds, extra = (statistics.median(values) for values in zip(*runs))
        print(f"| {size} | {seconds:.1f} | {1e6 * seconds / (COILS * size**3):.1f} | {extra:.1f} |", flush=True)


def main():
    tables = {"volumes": volumes, "heads": heads, "echoes": echoes, "sms": sms, "cost": cost}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", choices=[*tables, []], default=[])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--images")
    parser.add_argument("--echoes")
    args = parser.parse_args()
    for name in args.tables or tables:
        print(f"\n{name}")
        tables[name](args)


if __name__ == "__main__":
    main()
