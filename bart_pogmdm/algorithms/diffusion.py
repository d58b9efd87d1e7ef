"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from itertools import pairwise

from ..arrays.conjugate_gradients import at_least, inner
from ..arrays.generators import complex_normal, for_each
from ..arrays.modules import array_module
from ..physics.coil_model import CoilModel
from ..physics.fourier import PLANE
from . import schedules
from .state import State


def diffusion(prior, data, start, rngs, *, sigmas, num_corrector, likelihood_step, snr, update_sens):
    """Algorithm 1 of the paper: predictor-corrector steps down the noise levels; yields the State of all chains.

    `sigmas` fall; the start is noised to the first.  update_sens(image, sens, coefficients, power) returns the
    sensitivities and their coefficients; None where they are known.
    """
    start, samples = start.repeated(len(rngs)), data.samples[:, None]
    image, sens, coefficients = start.image, start.sens, start.coefficients
    image = image + sigmas[0] * white_noise(rngs, image)                                           # line 1
    for sigma, sigma_next in pairwise(sigmas):                                                # 2
        model = CoilModel(data.sampling, sens)
        image = _predict(prior, image, sigma, sigma_next, rngs)                               # 3-5
        gradient, power = model.gradient(image, samples)
        image = image - likelihood_step * data.sampling.equalize(gradient)                    # 6
        for _ in range(num_corrector):                                                        # 7
            image = _correct(prior, image, sigma_next, snr, rngs)                             # 8-10
            gradient, power = model.gradient(image, samples)
            image = image - likelihood_step * data.sampling.equalize(gradient)                # 11
        if update_sens:
            sens, coefficients = update_sens(image, sens, coefficients, power)                # 12
        yield State(image, sens, coefficients, sigma_next, data.variances(power)[1] ** 0.5)


def white_noise(rngs, images):
    """Noise of standard deviation 1 like the images (S, ny, nx) of chains."""
    return for_each(rngs, lambda rng: complex_normal(rng, images[0]))


def _predict(prior, image, sigma, sigma_next, rngs):
    """One step of the reverse diffusion: x + (sigma^2 - sigma_next^2) score(x, sigma) + noise of that variance."""
    variance = sigma**2 - sigma_next**2
    return image + variance * prior.score(image, sigma) + variance**0.5 * white_noise(rngs, image)


def _correct(prior, image, sigma, snr, rngs):
    """One Langevin step at a noise level, of size 2 (snr ||n|| / ||score||)^2.

    Y. Song et al., Score-based generative modeling through stochastic differential equations, arXiv 2011.13456.
    """
    score, noise = prior.score(image, sigma), white_noise(rngs, image)
    step = 2 * snr**2 * inner(noise, noise, PLANE) / at_least(inner(score, score, PLANE), 1e-30)
    return image + step * score + (2 * step) ** 0.5 * noise


def ascend(prior, data, start, *, sigma, steps):
    """Maximum of the posterior at fixed sensitivities by accelerated gradient steps; yields the State of all chains.

    Of size 1 / L, L a Lipschitz constant of the gradient of -log p_sigma(x) + ||A x - z||^2 / (2 v).
    """
    image, sens, samples = start.image, start.sens, data.samples[:, None]
    previous, model, xp = image, CoilModel(data.sampling, sens), array_module(image)
    variance, _ = data.variances(model.gradient(image, samples)[1])
    brightest = data.sampling.norm * (xp.abs(sens) ** 2).sum(0).max(PLANE, keepdims=True)
    steepest = prior.curvature(image.shape[-2:], sigma, xp).max() + brightest / variance
    for momentum in schedules.momentum(steps):
        extrapolated = image + momentum * (image - previous)
        gradient, power = model.gradient(extrapolated, samples)
        descent = prior.score(extrapolated, sigma) - gradient / variance
        previous, image = image, extrapolated + descent / steepest
        yield State(image, sens, start.coefficients, sigma, data.variances(power)[1] ** 0.5)
