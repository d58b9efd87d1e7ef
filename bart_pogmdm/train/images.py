"""Training images: magnitude images from files of many kinds, and random patches of them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files.cfl import read
from ..files.fastmri import central_slices

KNEE_ACQUISITIONS = {"CORPD": "CORPD_FBK", "CORPDFS": "CORPDFS_FBK"}
READABLE = (".h5", ".hdf5", ".npy", ".npz", ".cfl", ".hdr", ".ra")
LEAST_MEAN = 0.02             # a patch of less is air
PHASE_CYCLES = 1.0            # of the random phase, over a patch


@dataclass(frozen=True)
class Series:
    """Images (n, ny, nx) or a list of (ny, nx) that belong together, each of maximum 1, with where they come from."""

    images: tuple
    source: str
    licence: str


def load(paths, patch, acquisition=None):
    """(series, skipped): every readable image at least `patch` wide and high, and {file or image: why it was left out}.

    paths: files or folders; HDF5 (any nesting; of fastMRI volumes the central slices of `reconstruction_rss`, only
    those of an acquisition if one is given), npy, npz, cfl, ra.  The last two axes are the image (the first two
    in BART's files).  Raises FileNotFoundError, or ValueError when nothing is left.
    """
    series, skipped = [], {}
    for path in _files(paths):
        try:
            arrays = list(_read(path, acquisition))
        except (ValueError, OSError, KeyError, EOFError) as error:
            skipped[str(path)] = str(error) or type(error).__name__
            continue
        for name, array, source, licence in arrays:
            images = []
            for i, image in enumerate(array):
                if fault := _fault(image, patch):
                    skipped[f"{name}[{i}]"] = fault
                else:
                    magnitude = np.abs(image).astype(np.float32)
                    images.append(magnitude / magnitude.max())
            if images:
                series.append(Series(tuple(images), source, licence))
    if not series:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:3])
        raise ValueError(f"images: no usable image in {', '.join(map(str, paths))}"
                         + (f" ({len(skipped)} left out: {reasons})" if skipped else " (no file of a known kind)"))
    return series, skipped


def _files(paths):
    found = []
    for path in map(Path, paths):
        header = path.with_name(path.name + ".hdr")
        if path.is_dir():
            found += [Path(folder, name) for folder, _, names in sorted(os.walk(path)) for name in sorted(names)
                      if name.endswith(READABLE) and not name.endswith(".cfl")]
        elif path.exists() or header.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"images: {path}: no such file or folder")
    return found


def _fault(image, patch):
    """Why an image is of no use, or None."""
    if min(image.shape) < patch:
        return f"{image.shape[0]} x {image.shape[1]} is smaller than the patch of {patch}"
    if not np.isfinite(image).all():
        return "NaN or infinite values"
    return "constant" if np.ptp(np.abs(image)) == 0 else None


def _read(path, acquisition):
    """(name, images (n, ny, nx), source, licence) of each array in a file."""
    if path.suffix in (".h5", ".hdf5"):
        yield from _read_hdf5(path, acquisition)
    elif path.suffix == ".npy":
        yield from _stack(str(path), np.load(path, allow_pickle=False))
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            for key in file.files:
                yield from _stack(f"{path}:{key}", file[key])
    else:
        array = read(path)
        yield from _stack(str(path), np.moveaxis(array, (0, 1), (-2, -1)))


def _stack(name, array, source="", licence="not stated"):
    if array.dtype.kind in "fciu" and array.ndim >= 2:
        yield name, array.reshape(-1, *array.shape[-2:]), source or name, licence


def _read_hdf5(path, acquisition):
    import h5py
    with h5py.File(path) as file:
        if "reconstruction_rss" in file:
            found = file.attrs.get("acquisition", "")
            if acquisition and found != KNEE_ACQUISITIONS.get(acquisition, acquisition):
                raise ValueError(f"acquisition {found}")
            volume = file["reconstruction_rss"]
            used = central_slices(volume)
            yield from _stack(str(path), volume[used.start:used.stop], f"fastMRI {path.name}", "fastMRI")
            return
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        for name in sorted(names):
            item = file[name]
            yield from _stack(f"{path}:{name}", item[()], str(item.attrs.get("source", "")),
                              str(item.attrs.get("licence", "not stated")))


def patch(series, rng, size, phase):
    """A random patch (size, size): every series as likely as every other, turned, mirrored, its sign drawn.

    With probability `phase` it is the real part of the patch times a smooth random phase.
    """
    while True:
        images = series[rng.integers(len(series))].images
        image = images[rng.integers(len(images))]
        row, column = (rng.integers(n - size + 1) for n in image.shape)
        part = image[row:row + size, column:column + size]
        if part.mean() > LEAST_MEAN * rng.random():
            break
    part = np.rot90(part, rng.integers(4))
    part = part[::-1] if rng.integers(2) else part
    factor = rng.choice((-1, 1))
    if rng.random() < phase:
        y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
        slopes = np.pi * PHASE_CYCLES * rng.standard_normal(5) / 2
        factor = np.cos(rng.uniform(0, 2 * np.pi) + slopes @ np.stack(
            [y, x, y * y / 2, x * x / 2, x * y]).reshape(5, -1)).reshape(size, size)
    return factor * part
