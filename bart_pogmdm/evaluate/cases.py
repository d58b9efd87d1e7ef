"""`bart-pogmdm compare`: methods side by side on the same data, as CSV, Markdown table, figures and one HTML page."""

from collections import namedtuple
from pathlib import Path

import numpy as np

from ..arrays.bart_dims import from_bart
from ..files.cfl import read
from ..files.fastmri import central_slices
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from . import masks, simulate

FASTMRI_WIDTHS = (368, 372)  # only volumes of one of these, as in the paper
Case = namedtuple("Case", "name kspace reference mask_name mask")


def load(paths, coils=8, noise_std=0.005):
    """(name, kspace (J, ny, nx), reference (ny, nx)) of files: npz with kspace or images, fastMRI h5, cfl, ra.

    The reference is the array of that name, or the RSS of the k-space, which must then be fully sampled; `images`
    are seen through simulated coils in noise.  Raises ValueError for a file without data or without reference.
    """
    for path in map(Path, paths):
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            if "images" in arrays:
                for number, image in enumerate(arrays["images"]):
                    image = image / np.abs(image).max()
                    yield f"{path.stem}-{number}", simulate.kspace(image, coils, noise_std, number), np.abs(image)
            elif "kspace" in arrays:
                yield path.stem, arrays["kspace"], _reference(path, arrays["kspace"], arrays.get("reference"))
            else:
                raise ValueError(f"{path}: expected an array kspace or images, got {', '.join(arrays) or 'none'}")
        elif path.suffix == ".h5":
            yield from _fastmri(path)
        else:
            kspace = from_bart(read(path))
            yield path.stem, kspace, _reference(path, kspace, None)


def _fastmri(path):
    import h5py
    with h5py.File(path) as file:
        if "kspace" not in file:
            raise ValueError(f"{path}: expected a fastMRI file with kspace")
        volume = file["kspace"]
        if volume.shape[-1] not in FASTMRI_WIDTHS:
            widths = " or ".join(map(str, FASTMRI_WIDTHS))
            raise ValueError(f"{path}: expected a width of {widths}, got {volume.shape[-1]}")
        for number in central_slices(volume):
            kspace = volume[number].astype(np.complex64)
            kspace = kspace[None] if kspace.ndim == 2 else kspace
            yield f"{path.stem}-{number}", kspace / np.abs(kspace).max(), _reference(path, kspace, None)


def _reference(path, kspace, reference):
    """The reference of the data, of maximum 1."""
    if reference is None:
        if (kspace == 0).all(0).mean() > 0.05:
            raise ValueError(f"{path}: expected a reference or fully sampled k-space, got neither")
        reference = rss(ifft2c(kspace))
    return (reference / reference.max()).astype(np.float32)


def cases(data, words, seeds):
    """Every data set with every mask: words of `masks.named`, or npz files with masks named <data>__<mask>__<seed>."""
    for name, kspace, reference in data:
        for word in words:
            if word.endswith(".npz"):
                with np.load(word) as file:
                    for key in sorted(key for key in file if key.split("__")[0] == name):
                        yield Case(name, kspace, reference, "-".join(key.split("__")[1:]), file[key])
            else:
                for seed in range(seeds):
                    yield Case(name, kspace, reference, f"{word}-{seed}", masks.named(word, reference.shape, seed))
