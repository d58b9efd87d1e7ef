"""Conjugate gradients, the one linear solver of the reconstruction."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .array_types import Array
from .modules import array_module

Operator = Callable[[Array], Array]
Scalar = Any  # a float on the CPU; on a GPU an array without dimensions, since reading it would mean to wait


def inner(left: Array, right: Array, axes: tuple[int, ...] | None = None) -> Scalar:
    """Return Re <left, right> over all axes, or over `axes` only, which then stay with size 1."""
    total = (left.conj() * right).real.sum(axes, keepdims=axes is not None)
    return float(total) if array_module(left) is np and axes is None else total


def at_least(number: Scalar, floor: float) -> Scalar:
    """Return max(number, floor) of a float or of each number of an array, without reading it from the device."""
    return max(number, floor) if isinstance(number, float) else array_module(number).maximum(number, floor)


def conjugate_gradients(normal: Operator, rhs: Array, start: Array | None = None, *, iterations: int,
                        precondition: Operator | None = None, axes: tuple[int, ...] | None = None,
                        tolerance: float = 0.0) -> Array:
    """Return an approximate solution of N x = b for a Hermitian positive definite operator N on arrays of any shape.

    `precondition` applies an approximate inverse of N.  With `axes`, N acts along these axes only, and each position
    on the other axes is an independent system.  The iteration stops once the norm <r, r>^(1/2) of the residual has
    fallen to `tolerance` times that at the start, or to eps^(1/2) times it (3e-4 in single precision): with a
    semidefinite N further steps would amplify rounding.  With a preconditioner P the norm is <r, P r>^(1/2).
    """
    xp = array_module(rhs)
    solution = xp.zeros_like(rhs) if start is None else start.astype(xp.result_type(start, rhs))
    residual = rhs if start is None else rhs - normal(start)
    direction: Array | None = None
    energy, enough, tiny = 0.0, 0.0, float(xp.finfo(rhs.dtype).tiny)
    for _ in range(iterations):
        step = residual if precondition is None else precondition(residual)
        previous, energy = energy, inner(residual, step, axes)
        if xp is np and np.all(energy <= enough):  # not for NaN, which must be seen
            break
        if direction is None:
            direction, enough = step, energy * max(tolerance**2, float(xp.finfo(rhs.dtype).eps))
        else:
            direction = step + energy / at_least(previous, tiny) * direction
        del step  # before the operator takes the most memory
        image = normal(direction)
        length = energy / at_least(inner(direction, image, axes), tiny)
        if not isinstance(energy, float):  # systems that have converged stand still, since a break would have to wait
            length = length * (energy > enough)
        solution += length * direction
        residual = residual - length * image
        del image
    return solution
