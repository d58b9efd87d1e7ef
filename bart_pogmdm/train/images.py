"""Training images: the usable magnitude images of files, of one scale, and those held out for validation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..files.training_images import ImageStack, find_image_files, read_images
from ..prior.image_scale import ImageScale

# Interpolation makes some values of a magnitude image negative, up to this part of the maximum; they are taken as 0.
MOST_NEGATIVE = 0.05
# Scale (`ImageScale.of`) of the images.  With 0.87, the median of images of maximum 1, or 1 the prior is worse.
SCALE = 0.7
LEAST_MEAN = 0.001  # Of a usable image, relative to its maximum: few patches of a darker one hold anything.
SHOWN_REASONS = 3  # If no image is usable, the error message gives at most this many of the reasons.


@dataclass(frozen=True)
class Series:
    """Magnitude images (ny, nx) that belong together, each of scale SCALE, with their source and licence."""

    images: tuple[Array, ...]
    source: str
    licence: str


def load_series(paths: Sequence[str | Path], patch: int,
                acquisition: str | None = None) -> tuple[list[Series], dict[str, str]]:
    """Read all usable images, and return their series and {file or image: reason} for those left out.

    paths: files or folders with HDF5 (nested or not; of fastMRI volumes the central slices of `reconstruction_rss`, and
        only those of the given acquisition), npy, npz, cfl or ra.  The last two axes are the image (in BART's files the
        first two).
    patch: images smaller than this, constant or dark images, real images with negative values, and images with NaN or
        infinite values are left out.
    Raises FileNotFoundError, or ValueError if no image is usable.
    """
    series: list[Series] = []
    skipped: dict[str, str] = {}
    for path in find_image_files(paths):
        try:
            stacks = list(read_images(path, acquisition))
        except (ValueError, OSError) as error:
            skipped[str(path)] = str(error).removeprefix(f"{path}: ")
            continue
        for stack in stacks:
            if images := _usable(stack, patch, skipped):
                series.append(Series(images, stack.source, stack.licence))
    if not series:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:SHOWN_REASONS])
        raise ValueError(f"images: no usable image in {', '.join(map(str, paths))}"
                         + (f" ({len(skipped)} left out: {reasons})" if skipped else " (no file of a known kind)"))
    return series, skipped


def hold_out(series: Sequence[Series], part: int) -> tuple[list[Series], list[Series]]:
    """Split the images into (training, validation): every `part`-th image, from the first on, is for validation.

    Raises ValueError if no image is left for training.
    """
    training: list[Series] = []
    validation: list[Series] = []
    position = 0
    for one in series:
        numbered = list(enumerate(one.images, position))
        position += len(one.images)
        for target, is_validation in ((training, False), (validation, True)):
            if chosen := tuple(image for i, image in numbered if (i % part == 0) == is_validation):
                target.append(replace(one, images=chosen))
    if not training:
        raise ValueError("images: only one image is left, and that is needed for validation; give --validation")
    return training, validation


def _usable(stack: ImageStack, patch: int, skipped: dict[str, str]) -> tuple[Array, ...]:
    """Return the magnitudes of the usable images of a stack, and note the other images in `skipped`."""
    images = []
    for i, image in enumerate(stack.images):
        try:
            images.append(_magnitude(image, patch))
        except ValueError as error:
            skipped[f"{stack.name}[{i}]"] = str(error)
    return tuple(images)


def _magnitude(image: Array, patch: int) -> Array:
    """Return the magnitude of an image, float32 of scale SCALE.  Raises ValueError with the reason if it is not usable.

    It is computed in double precision, in which the magnitude of the least integer of a type is no overflow.
    """
    if min(image.shape) < patch:
        raise ValueError(f"{image.shape[0]} x {image.shape[1]} is smaller than the patch of {patch}")
    is_complex = image.dtype.kind == "c"
    with np.errstate(over="ignore", invalid="ignore"):
        image = image.astype(complex if is_complex else float)
        magnitude = np.abs(image)
    largest = magnitude.max()
    if not np.isfinite(largest):
        raise ValueError("NaN or infinite values")
    if np.ptp(magnitude) == 0:
        raise ValueError("constant")
    if not is_complex:
        if image.min() < -MOST_NEGATIVE * image.max():
            raise ValueError(f"values down to {image.min():g}, but a magnitude is not negative (set padding to 0)")
        magnitude = np.maximum(image, 0)
    magnitude /= largest  # It may be so large that a sum overflows.
    if magnitude.mean() < LEAST_MEAN:
        raise ValueError(f"its mean is {magnitude.mean():.2g} of its maximum: dark except for a spike")
    return (SCALE / ImageScale().of(magnitude) * magnitude).astype(np.float32)
