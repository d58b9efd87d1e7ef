"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from ..arrays.generators import for_each
from ..arrays.modules import array_module
from ..physics.coil_model import CoilModel
from ..prior.smooth_phase import Phase
from . import schedules
from .diffusion import white_noise
from .joint_map import SENS_CG
from .quadratic_step import filter_image, newton_step
from .state import State

DRAW_CG = 6        # of a drawn image: more, because what is missing to the solution is missing in the variance


def gibbs(prior, data, start, rngs, *, sigma, sweeps):
    """Draws of image and sensitivities from the posterior at temperature alpha; yields the State of all chains.

    (p_sigma(e* x) N(z; A x, v))^(1/alpha) with the phase e of the start and alpha = prior.exponent(sigma):
    p_sigma^(1/alpha) is a product of mixtures.  Drawing the component of every filter response makes the rest
    Gaussian, and a draw from that is a majorise-minimise step for perturbed data, by CG; with one coil about so, where
    the phase is trusted in part.
    Kuric et al., The Gaussian latent machine, arXiv 2505.12836.
    """
    hessian, temperature = prior.curvature(start.image.shape, sigma, array_module(start.image)), prior.exponent(sigma)
    root, phase = hessian**0.5, Phase.of(start.image, trusted=not data.one_coil)
    start_power = CoilModel(data.sampling, start.sens).gradient(start.image, data.samples)[1]
    variance, residual_var = data.variances(start_power)
    weighted = data.weighted(start_power) if data.fit else data
    start, samples = start.repeated(len(rngs)), data.samples[:, None]

    def white():
        return filter_image(root, white_noise(rngs, start.image))

    image, coefficients, model = start.image, start.coefficients, CoilModel(weighted.sampling, start.sens)
    for _ in range(sweeps):
        gradient, power = model.gradient(image, samples)
        noise = for_each(rngs, lambda rng: weighted.sampling.noise(rng, data.samples), 1)
        perturbation = model.adjoint(noise) / variance**0.5 + phase.noise(white)
        drawn = phase.ascent(lambda image: prior.drawn_score(image, sigma, rngs), image)
        descent = drawn - gradient / variance + temperature**0.5 * perturbation
        image = image + newton_step(model, hessian, phase.turn, descent, variance, DRAW_CG)
        if data.fit:
            coefficients = weighted.fit.draw(image, coefficients, variance + residual_var, schedules.LAST_SENS_WEIGHT,
                                             SENS_CG, temperature, rngs)
            model = CoilModel(weighted.sampling, data.fit.maps.forward(coefficients))
        yield State(image, model.sens, coefficients, sigma, data.variances(power)[1] ** 0.5)
