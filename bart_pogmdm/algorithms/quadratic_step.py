"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.fft import fftn, ifftn


def newton_step(model, hessian, phase, descent, variance, iterations):
    """d with (A^H A / v + e H e*) d = descent by CG, H diagonal in Fourier space, e a phase in image space.

    H and the diagonal of A^H A there precondition it: for one coil and e = 1 that is exact.
    """
    def normal(image):
        return model.normal(image) / variance + phase * filter_image(hessian, phase.conj() * image)

    inverse = 1 / (hessian + model.density / variance)
    return conjugate_gradients(normal, descent, iterations=iterations, axes=model.axes,
                               precondition=lambda image: filter_image(inverse, image))


def filter_image(factor, image):
    """The image with its spectrum multiplied by a factor."""
    return ifftn(factor * fftn(image))
