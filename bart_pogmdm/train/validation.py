"""The validation of a prior: how well it denoises images that it was not trained on."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..arrays.array_types import Array
from ..prior.pogmdm import PoGMDM
from .images import Series
from .recipe import DEFAULT_RECIPE, ValidationRules


def validation_images(series: Sequence[Series], rules: ValidationRules = DEFAULT_RECIPE.validation) -> list[Array]:
    """Some images of each series; of a series that is too short its first image."""
    chosen = [image for one in series for image in one.images[rules.first::rules.stride] or one.images[:1]]
    return chosen[:rules.images]


def validate(prior: PoGMDM, images: Sequence[Array],
             levels: Sequence[float] = DEFAULT_RECIPE.validation.levels) -> dict[float, float]:
    """{noise level: mean PSNR in dB of denoised images, with respect to a maximum of 1}."""
    rng, scores = np.random.default_rng(0), {}
    for sigma in levels:
        errors = []
        for image in images:
            noisy = image + sigma * rng.standard_normal(image.shape)
            errors.append(np.mean((prior.denoise(noisy, sigma) - image) ** 2))
        scores[sigma] = float(np.mean(-10 * np.log10(errors)))
    return scores


def sentence(psnr: Mapping[float, float]) -> str:
    """The result of `validate` in words."""
    return "PSNR " + ", ".join(f"{value:.2f} dB at {level}" for level, value in psnr.items())
