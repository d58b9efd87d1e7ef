"""The reconstruction loops."""

from dataclasses import dataclass

import numpy as np

from . import schedule
from .backend import array_module, fftn, ifftn
from .operators import CoilModel, Sampling
from .sens import SensFit
from .solvers import conjugate_gradients

TEMPERATURE = 0.5  # the likelihood is sharpened: its variance is (TEMPERATURE noise_std)^2
CONTINUATION = 0.5  # ... and at least this part of the current residual's
LEAST_VARIANCE = 1e-9  # ... and at least this, for data without noise; the image has maximum 1
IMAGE_CG = 3
SENS_CG = 4


@dataclass(frozen=True)
class Step:
    """What a callback sees after each iteration; image and sens in the scale of the solver."""

    iteration: int
    iterations: int
    sigma: float
    residual_std: float
    image: np.ndarray
    sens: np.ndarray


@dataclass(frozen=True, eq=False)
class Data:
    """One slice, ready for a solver: scaled to an image of maximum about 1.

    samples (J, ny, nx) in the form of `sampling`; noise_std per real and imaginary part.
    """

    sampling: Sampling
    samples: np.ndarray
    noise_std: float
    fit: SensFit | None  # None: the sensitivities are known


def graduated_map(prior, data, image, sens, coefficients, *, iterations, callback=None):
    """Joint maximum of the posterior by majorise-minimise steps at a falling noise level.

    Each step minimises the quadratic majoriser of -log p_sigma(x) + ||A x - z||^2 / (2 v), which is
    diagonal in Fourier space, then the sensitivities follow.  image (ny, nx), sens (J, ny, nx) are the
    start values; `coefficients` those of sens, None where they are known.  Returns image, sens.
    """
    count = float(data.sampling.mask.sum()) * len(sens)
    previous = image
    levels = zip(schedule.graduated(iterations), schedule.momentum(iterations), schedule.sens_weights(iterations))
    for i, (sigma, momentum, weight) in enumerate(levels):
        model = CoilModel(data.sampling, sens)
        extrapolated = image + momentum * (image - previous)
        gradient, power = model.gradient(extrapolated, data.samples)
        residual_var = power / count / 2
        variance = max((TEMPERATURE * data.noise_std) ** 2, CONTINUATION * residual_var, LEAST_VARIANCE)
        descent = prior.score(extrapolated, sigma) - gradient / variance
        previous, image = image, extrapolated + newton_step(prior, model, descent, sigma, variance)
        if data.fit:
            coefficients = data.fit.update(image, coefficients, variance + residual_var, weight, SENS_CG)
            sens = data.fit.maps.forward(coefficients)
        if callback:
            callback(Step(i + 1, iterations, sigma, residual_var**0.5, image, sens))
    return image, sens


def newton_step(prior, model, descent, sigma, variance):
    """d with (A^H A / v + H_sigma) d = descent: exact for one coil, by preconditioned CG for several."""
    hessian = prior.curvature(descent.shape, sigma, array_module(descent))
    mask = model.sampling.mask

    def filtered(factor, image):
        return ifftn(factor * fftn(image))

    if len(model.sens) == 1 and bool((model.sens == 1).all()):
        return filtered(1 / (hessian + mask / variance), descent)
    inverse = 1 / (hessian + (0.15 + 0.85 * mask) / variance)
    return conjugate_gradients(lambda image: model.normal(image) / variance + filtered(hessian, image), descent,
                               iterations=IMAGE_CG, precondition=lambda image: filtered(inverse, image))
