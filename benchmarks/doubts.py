"""Doubts: false alarms on good data, and faults that go unnoticed.

usage: doubts.py PART DATA_FOLDER
    (PART: good, faults or sparse; a folder with dev/, raw/ and train/; needs finufft and BART)

Good data are all scans with the masks of dev/masks.npz or of several kinds, coils simulated on images of dev/ and
train/, the radial scan of a phantom, a raw file, the package's own phantom at several noise levels, and BART's in 3-D.
Each fault is made of good data: the mask, the trajectory or the order of the axes is wrong.  A fault counts as noticed
if there is a warning or an error.

Sparse data are scans and images with simulated coils, of few samples.  There a fault is an image of less than LOW dB
without a warning, or one of more than HIGH dB with a warning.
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from bart_pogmdm import bart, recon
from bart_pogmdm.evaluate import masks, metrics, simulate
from bart_pogmdm.files.kspace import load
from bart_pogmdm.files.references import read_references
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.nufft import Nufft

KINDS = ("cartesian4", "horizontal4", "gaussian8", "radial24", "spiral4")
SPARSE = ("cartesian6acs4", "cartesian8", "cartesian12acs4", "gaussian8", "gaussian16", "radial24", "radial12",
          "poisson16acs16")
LOW, HIGH = 20, 31  # dB in the object
DELAYS = "-0.614225:-0.651670:-0.000881"
COILS = 12  # at most, to save time
NOISES = (0, 1e-4, 0.005, 0.02, 0.1)


def notices(kspace, mask=None, **options):
    """Return the warnings of a reconstruction, or its error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return recon(kspace, mask, **options).info["warnings"]
        except ValueError as error:
            return [f"error: {error}"]


def scans(folder) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, full k-space (coil, y, x)) of all scans, images with simulated coils, and phantoms."""
    for path in sorted((folder / "dev").glob("*.npz")):
        with np.load(path) as data:
            if "kspace" in data and not path.stem.startswith(("radial", "brain8ch_sigpy")):
                yield path.stem, data["kspace"][:COILS]
            elif "sens" in data:
                yield path.stem, fft2c(data["image"] * data["sens"][:COILS]).astype(np.complex64)
            elif path.stem.startswith("c"):
                for key in data:
                    for number in (0, len(data[key]) // 2, len(data[key]) - 1):
                        image = data[key][number] / abs(data[key][number]).max()
                        for coils in (1, 8):
                            yield f"{path.stem} {key} {number}, {coils} coils", simulate.kspace(image, coils, 0.005, 0)
    with h5py.File(folder / "train" / "validation.h5") as file:
        for group in file.values():
            for key, images in group.items():
                yield f"validation {key}, 6 coils", simulate.kspace(images[len(images) // 2], 6, 0.01, 0)
    for noise_std in NOISES:
        for coils in (1, 6):
            yield f"phantom, noise {noise_std}, {coils} coils", simulate.kspace(
                simulate.phantom((96, 96)), coils, noise_std, 0)


def good_cases(folder):
    """Yield (name, arguments of recon, its options)."""
    with np.load(folder / "dev" / "masks.npz") as data:
        known = dict(data)
    for name, kspace in scans(folder):
        own = [(key, mask) for key, mask in known.items() if key.startswith(name + "__")]
        for kind, mask in own or [(kind, masks.named(kind, kspace.shape[1:], 0)) for kind in KINDS]:
            yield f"{name} {kind.removeprefix(name)}", (kspace * mask, mask), {}
        if "images" not in name:
            yield f"{name} full", (kspace,), {"iterations": 20}
    yield "brain8ch_sigpy_poisson8x", (np.load(folder / "dev" / "brain8ch_sigpy_poisson8x.npz")["kspace"],), {}
    radial = np.load(folder / "dev" / "radial69_phantom_16ch.npz")["kspace"].transpose(2, 1, 0)[None]
    traj = bart(1, f"traj -x 384 -y 69 -t 1 -m 1 -D -q {DELAYS}").real / 2
    for step in (1, 3):
        yield f"radial69, every {step}", (radial[:, :, ::step, :COILS],), {"traj": traj[:, :, ::step]}
    yield "phantom in 3-D", (of_volume(),), {"iterations": 20}
    kspace, mask = load(folder / "raw" / "nih_skyra_14ch_R3_noise_phantom.h5")
    yield "nih_skyra", (kspace, mask), {}


def of_volume():
    """K-space of BART's phantom in 3-D with little noise, (READ, PHS1, PHS2, coil), half of its lines along READ."""
    kspace = bart(1, "phantom -3 -x 32 -s 4 -k")
    kspace = kspace + 0.002 * abs(ifft2c(kspace, (0, 1, 2))).max() * simulate.noise(kspace.shape, 0)
    return (kspace * masks.named("gaussian2", (32, 32), 0)[None, :, :, None]).astype(np.complex64)


def faults(folder):
    """Yield (name, arguments of recon, its options) of data that are wrong."""
    head = simulate.kspace(simulate.phantom((96, 96)), 6, 0.005, 0)
    brain = np.load(folder / "dev" / "brain16ch_mchiew_96.npz")["kspace"][:COILS]
    rng = np.random.default_rng(0)
    yield "slices along READ of a volume", (ifft2c(of_volume(), (0,)).astype(np.complex64),), {"iterations": 2}
    for name, kspace in (("phantom", head), ("brain16ch_mchiew_96", brain)):
        kspace = kspace / abs(ifft2c(kspace)).max()
        lines = masks.named("cartesian4", (96, 96), 0)
        yield f"{name}, mask transposed", (kspace * lines, lines.T), {}
        yield f"{name}, mask of all samples", (kspace * lines, np.ones((96, 96), bool)), {}
        for kind in ("cartesian4", "cartesian8", "gaussian8"):
            for noise_std in (1e-4, 0.005):
                noise = noise_std * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
                filled = np.where(masks.named(kind, (96, 96), 0), kspace, noise).astype(np.complex64)
                yield f"{name} {kind}, noise of {noise_std} in the gaps", (filled,), {}
        yield f"{name}, image instead of k-space", (ifft2c(kspace).astype(np.complex64),), {}
        yield f"{name}, rows in another order", (kspace[:, rng.permutation(96)],), {}
        for step in (2, 3, 4):
            lattice = np.broadcast_to(np.arange(96) % step == 48 % step, (96, 96))
            yield f"{name}, every line number {step}", (kspace * lattice, lattice), {}
            yield f"{name}, every line number {step}, one coil", (kspace[:1] * lattice, lattice), {}
        yield f"{name}, (y, x, coil)", (np.moveaxis(kspace, 0, -1),), {"iterations": 2}
        yield f"{name}, (1, coil, y, x)", (kspace[None],), {"iterations": 2}
        yield f"{name}, sensitivities of other coils", (kspace * lines, lines), {
            "sens": simulate.sensitivities((96, 96), len(kspace)).astype(np.complex64)[::-1]}
        radius, angle = np.linspace(-48, 48, 192, endpoint=False), np.arange(48) * np.pi * (3 - 5**0.5)
        traj = np.stack([np.outer(np.sin(angle), radius), np.outer(np.cos(angle), radius)], -1)
        samples = Nufft(traj.reshape(-1, 2).T.copy(), (96, 96), np.complex64).forward(ifft2c(kspace))
        samples = samples + 0.003 * (rng.standard_normal(samples.shape) + 1j * rng.standard_normal(samples.shape))
        samples = samples.reshape(-1, 48, 192).astype(np.complex64)
        for factor in (0.5, 0.8, 2, 4, 24.5):
            yield f"{name}, trajectory times {factor}", (samples,), {"traj": factor * traj, "dims": (96, 96)}
        yield f"{name}, trajectory of other angles", (samples,), {"dims": (96, 96), "traj": np.stack(
            [np.outer(part(np.arange(48) * np.pi / 48), radius) for part in (np.sin, np.cos)], -1)}
        yield f"{name}, spokes without a trajectory", (samples,), {}
        yield f"{name}, right trajectory", (samples,), {"traj": traj, "dims": (96, 96)}


def sparse_scans(folder) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield (name, full k-space (coil, y, x), reference) of measured coils, and of heads with simulated ones."""
    for name in ("brain8ch_espirit", "brain16ch_mchiew_96", "knee_l1_espirit", "brain1ch_T2_loraks", "cardiac1ch_fau"):
        for scan in read_references(folder / "dev" / f"{name}.npz"):
            yield scan.name, scan.kspace, scan.reference
    with h5py.File(folder / "train" / "validation.h5") as file:
        series = [(key, images[len(images) // 2]) for group in file.values() for key, images in group.items()]
    for key, image in series:
        for coils in (1, 2, 8):
            yield f"{key}, {coils} coils", simulate.kspace(image, coils, 0.005, 0), image


def count_sparse(folder) -> tuple[int, int]:
    """Return how many sparse scans were tried, and how many faults there were."""
    tried = wrong = 0
    for number, (name, kspace, reference) in enumerate(sparse_scans(folder)):
        for kind in SPARSE:
            mask = masks.named(kind, reference.shape, number)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = recon(kspace * mask, mask)
            psnr, doubted = metrics.psnr(result.image, reference), bool(result.info["warnings"])
            tried, wrong = tried + 1, wrong + (psnr > HIGH if doubted else psnr < LOW)
            print(f"{'doubted' if doubted else 'not doubted'}: {name} {kind}: {psnr:.1f} dB", flush=True)
    return tried, wrong


def main(part, folder):
    """Count good cases with a doubt, or faults without one, or sparse scans."""
    if part == "sparse":
        print("{} tried, {} faults".format(*count_sparse(folder)))
        return
    tried = wrong = 0
    for name, arguments, options in {"good": good_cases, "faults": faults}[part](folder):
        found = notices(*arguments, **options)
        is_good = part == "good" or name.endswith("right trajectory")
        tried += 1
        wrong += bool(found) == is_good
        print(f"{'doubted' if found else 'not doubted'}: {name}: {'; '.join(text[:60] for text in found)}", flush=True)
    print(f"{tried} tried, {wrong} faults")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
