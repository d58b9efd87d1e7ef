"""The minimum of the quadratic majoriser: one step of the maximum, and of Gibbs sampling for perturbed samples."""

from typing import Any

from ..arrays.array_types import Array
from ..arrays.conjugate_gradients import conjugate_gradients
from ..physics.coil_model import CoilModel, SetsModel
from ..physics.fourier import axes_of, divide, filtered


def newton_step(model: CoilModel | SetsModel, hessian: Array, phase: Array, descent: Array, variance: Any,
                iterations: int, tolerance: float = 0.0) -> Array:
    """Return d with (A^H A / v + e H e*) d = descent, by CG; H is diagonal in Fourier space and e a phase.

    H and the diagonal of A^H A in Fourier space are the preconditioner.  For one coil and e = 1 that is exact.
    """
    def normal(image: Array) -> Array:
        return model.normal(image) / variance + phase * filtered(hessian, phase.conj() * image, axes)

    # A frequency that neither samples nor prior know, as the mean of total variation, stays as it is.
    axes, inverse = axes_of(model.sampling.shape), divide(1.0, hessian + model.density / variance)
    return conjugate_gradients(normal, descent, iterations=iterations, tolerance=tolerance, axes=model.axes,
                               precondition=lambda image: filtered(inverse, image, axes))
