"""Training images: the usable magnitude images of files, scaled to maximum 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..files.images import ImageStack, find_image_files, read_images

SHOWN_REASONS = 3  # If no image is usable, the error gives so many of the reasons.


@dataclass(frozen=True)
class Series:
    """Magnitude images (ny, nx) that belong together, each of maximum 1, with their source and licence."""

    images: tuple[Array, ...]
    source: str
    licence: str


def load_series(paths: Sequence[str | Path], patch: int,
         acquisition: str | None = None) -> tuple[list[Series], dict[str, str]]:
    """Read (series, skipped): all usable images, and {file or image: reason} for those left out.

    paths are files or folders: HDF5 (nested or not; of fastMRI volumes the central slices of `reconstruction_rss`,
    and only those of the given acquisition), npy, npz, cfl, ra.  The last two axes are the image (in BART's files the
    first two).  Images smaller than `patch`, constant images and images with NaN or infinite values are left out.
    Raises FileNotFoundError, or ValueError if no image is usable.
    """
    series: list[Series] = []
    skipped: dict[str, str] = {}
    for path in find_image_files(paths):
        try:
            stacks = list(read_images(path, acquisition))
        except (ValueError, OSError, KeyError, EOFError) as error:
            skipped[str(path)] = str(error) or type(error).__name__
            continue
        for stack in stacks:
            if images := _usable(stack, patch, skipped):
                series.append(Series(images, stack.source, stack.licence))
    if not series:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:SHOWN_REASONS])
        raise ValueError(f"images: no usable image in {', '.join(map(str, paths))}"
                         + (f" ({len(skipped)} left out: {reasons})" if skipped else " (no file of a known kind)"))
    return series, skipped


def _usable(stack: ImageStack, patch: int, skipped: dict[str, str]) -> tuple[Array, ...]:
    """Return the magnitudes of the usable images of a stack, and note the others in `skipped`."""
    images = []
    for i, image in enumerate(stack.images):
        if fault := _fault(image, patch):
            skipped[f"{stack.name}[{i}]"] = fault
        else:
            magnitude = np.abs(image).astype(np.float32)
            images.append(magnitude / magnitude.max())
    return tuple(images)


def _fault(image: Array, patch: int) -> str | None:
    """Return the reason why an image is left out, or None."""
    if min(image.shape) < patch:
        return f"{image.shape[0]} x {image.shape[1]} is smaller than the patch of {patch}"
    if not np.isfinite(image).all():
        return "NaN or infinite values"
    return "constant" if np.ptp(np.abs(image)) == 0 else None
