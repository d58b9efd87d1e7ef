"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from ..arrays.modules import array_module
from ..physics.coil_model import coil_model
from ..prior.image_scale import following
from ..prior.smooth_phase import Phase
from . import schedules
from .quadratic_step import newton_step
from .state import State

IMAGE_CG = 3
SENS_CG = 4


def joint_map(prior, data, start, *, sigma, iterations):
    """Joint maximum of the posterior by majorise-minimise steps; yields the State of each.

    Each step takes the smooth phase e of the image, and minimises the quadratic majoriser of -log p_sigma(e* x) +
    ||A x - z||^2 / (2 v), which is diagonal in Fourier space but for e; then the sensitivities follow.  With one
    coil nothing takes what phase is not smooth, nor the brightness that the start lacks: there the phase is trusted as
    far as the image has it (the majoriser stays as it is), and the unit follows the image.
    """
    image, coefficients, unit = start.image, start.coefficients, 1.0
    previous, model = image, coil_model(data.sampling, start.sens)
    hessian = prior.curvature(image.shape[-2:], sigma, array_module(image))
    for momentum, weight in zip(schedules.momentum(iterations), schedules.sens_weights(iterations)):
        extrapolated = image + momentum * (image - previous)
        gradient, power = model.gradient(extrapolated, data.samples)
        variance, residual_var = data.variances(power)
        phase = Phase.of(extrapolated, trusted=not data.one_coil)
        descent = phase.ascent(lambda image: prior.score(image, sigma), extrapolated) - gradient / variance
        previous = image
        image = extrapolated + newton_step(model, hessian, phase.turn, descent, variance, IMAGE_CG)
        if data.fit:
            weighted = data.weighted(power)
            coefficients = weighted.fit.update(image, coefficients, variance + residual_var, weight, SENS_CG)
            model = coil_model(weighted.sampling, data.fit.maps.forward(coefficients))
        elif data.one_coil:
            step = following(model.sens[0] * image, unit)
            image, previous, data, unit = image / step, previous / step, data.in_units(step), unit * step
            residual_var = residual_var / step**2
        yield State(image, model.sens, coefficients, sigma, residual_var**0.5, unit)
