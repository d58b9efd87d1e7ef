"""The validation of a prior: the quality with which it denoises images that it was not trained on."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..arrays.array_types import Array
from ..prior.pogmdm import PoGMDM
from .images import Series
from .recipe import DEFAULT_RECIPE, ValidationRules


def validation_images(series: Sequence[Series], rules: ValidationRules = DEFAULT_RECIPE.validation) -> list[Array]:
    """Choose some images of each series, or the first image of a series that is too short."""
    chosen = [image for one in series for image in one.images[rules.first::rules.stride] or one.images[:1]]
    return chosen[:rules.images]


def validate(prior: PoGMDM, images: Sequence[Array],
             levels: Sequence[float] = DEFAULT_RECIPE.validation.levels) -> dict[float, float]:
    """Return {noise level: mean PSNR in dB of the denoised images, relative to 1}."""
    rng, scores = np.random.default_rng(0), {}
    for sigma in levels:
        errors = []
        for image in images:
            noisy = image + sigma * rng.standard_normal(image.shape)
            errors.append(np.mean((prior.denoise(noisy, sigma) - image) ** 2))
        scores[sigma] = float(np.mean(-10 * np.log10(errors)))
    return scores


def sentence(psnr: Mapping[float, float]) -> str:
    """Return the result of `validate` as text."""
    return "PSNR " + ", ".join(f"{value:.2f} dB at {level}" for level, value in psnr.items())
