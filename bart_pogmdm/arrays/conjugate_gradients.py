"""The array module behind an array (NumPy or CuPy), its FFT, its hot loops, and the threads of the CPU."""

import numpy as np

from .modules import array_module


def inner(left, right, axes=None):
    """Re <left, right>: a Python number; on a GPU an array of no dimensions, for to read it is to wait.

    With `axes` over these only, and they stay: an array that goes with left and right.
    """
    total = (left.conj() * right).real.sum(axes, keepdims=axes is not None)
    return float(total) if array_module(left) is np and axes is None else total


def at_least(number, floor):
    """max(number, floor) of a result of `inner`, without reading it."""
    return max(number, floor) if isinstance(number, float) else array_module(number).maximum(number, floor)


def conjugate_gradients(normal, rhs, start=None, *, iterations, precondition=None, axes=None):
    """Approximate solution of N x = b for a Hermitian positive definite operator N on any array shape.

    `precondition` applies an approximate inverse of N.  With `axes`, N acts along these only, and every place on the
    others is a system of its own.  Stops early where the energy <r, r> has fallen to the rounding of the numbers:
    beyond, a semidefinite N would only feed on it.
    """
    xp = array_module(rhs)
    solution = xp.zeros_like(rhs) if start is None else start
    residual = rhs if start is None else rhs - normal(start)
    direction, energy, enough, tiny = None, 0.0, 0.0, float(xp.finfo(rhs.dtype).tiny)
    for _ in range(iterations):
        step = residual if precondition is None else precondition(residual)
        previous, energy = energy, inner(residual, step, axes)
        if isinstance(energy, float) and energy <= enough:
            break
        if direction is None:
            direction, enough = step, energy * float(xp.finfo(rhs.dtype).eps)
        else:
            direction = step + energy / at_least(previous, tiny) * direction
        image = normal(direction)
        length = energy / at_least(inner(direction, image, axes), tiny)
        if not isinstance(energy, float):  # to break would mean to wait for the numbers: stand still instead
            length = length * (energy > enough)
        solution = solution + length * direction
        residual = residual - length * image
    return solution
