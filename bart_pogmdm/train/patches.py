"""Random patches of the training images, and batches of them with noise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ..arrays.array_types import Array
from .images import Series
from .recipe import DEFAULT_RECIPE, Config, PatchRules


def random_patch(series: Sequence[Series], rng: np.random.Generator, size: int, phase: float,
                 rules: PatchRules = DEFAULT_RECIPE.patches) -> Array:
    """Return a random patch (size, size), rotated and mirrored at random, with a random sign.

    All series are equally likely, and so are all images of a series.  With probability `phase` the patch is multiplied
    by the cosine of a smooth random phase; it is then the real part of a complex image.
    """
    while True:
        images = series[int(rng.integers(len(series)))].images
        image = images[int(rng.integers(len(images)))]
        row, column = (rng.integers(n - size + 1) for n in image.shape)
        part = image[row:row + size, column:column + size]
        if part.mean() > rules.least_mean * rng.random():
            break
    part = np.rot90(part, int(rng.integers(4)))
    part = part[::-1] if rng.integers(2) else part
    factor = rng.choice((-1, 1))
    if rng.random() < phase:
        factor = _cosine_of_random_phase(rng, size, rules.phase_cycles)
    return factor * part


def _cosine_of_random_phase(rng: np.random.Generator, size: int, cycles: float) -> Array:
    """Return the cosine of a random polynomial of degree 2 in y and x from -1 to 1, (size, size)."""
    y, x = np.mgrid[-1:1:size * 1j, -1:1:size * 1j]
    slopes = np.pi * cycles * rng.standard_normal(5) / 2
    terms = np.stack([y, x, y * y / 2, x * x / 2, x * y]).reshape(5, -1)
    return np.cos(rng.uniform(0, 2 * np.pi) + slopes @ terms).reshape(size, size)


class Batch(NamedTuple):
    """Clean images x and noise n (B, ny, nx) complex64 of unit variance in each part, and noise levels sigma (B,)."""

    images: torch.Tensor
    noise: torch.Tensor
    sigmas: torch.Tensor

    def to(self, device: str) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(part.to(device) for part in self))


def draw_batch(series: Sequence[Series], config: Config, step: int, rank: int = 0, processes: int = 1,
               rules: PatchRules = DEFAULT_RECIPE.patches) -> Batch:
    """Draw the images of the batch of a step that belong to the process `rank` of `processes`.

    Each image is drawn from a generator with the seed (seed, step, index), so that neither resuming nor the number of
    processes matters.  The noise levels are stratified: their range is divided into as many parts as there are images,
    and each image gets a level from a different part.
    """
    count, shape = config.batch // 2, (2, config.patch, config.patch)
    rng = np.random.default_rng((config.seed, step))
    fractions = (rng.permutation(count) + rng.random(count)) / count
    levels = config.sigma_min * (config.sigma_max / config.sigma_min) ** fractions
    mine = range(rank, count, processes)
    clean, noise = np.empty((2, len(mine), *shape), np.float32)
    for place, index in enumerate(mine):
        rng = np.random.default_rng((config.seed, step, index))
        clean[place] = [random_patch(series, rng, config.patch, config.phase, rules) for _ in range(2)]
        noise[place] = rng.standard_normal(shape, np.float32)
    images, noises = (torch.from_numpy(parts[:, 0] + 1j * parts[:, 1]) for parts in (clean, noise))
    return Batch(images, noises, torch.from_numpy(levels[list(mine)].astype(np.float32)))
