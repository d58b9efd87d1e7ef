"""Stacks of images times a matrix along one axis."""

from .array_types import Array
from .modules import array_module, kernels_for, real_dtype
from .threads import share


def multiplied(matrix: Array, stack: Array, axis: int) -> Array:
    """Return the complex stack (…, n, …) multiplied by a real matrix (m, n) along an axis, counted from the last."""
    if axis != -2:
        return multiplied(matrix, stack.swapaxes(axis, -2), -2).swapaxes(axis, -2)
    xp, leading = array_module(stack), stack.shape[:-2]
    stack = xp.ascontiguousarray(stack).reshape(-1, *stack.shape[-2:])
    matrix = xp.ascontiguousarray(matrix, real_dtype(stack.dtype))
    out = xp.empty((len(stack), len(matrix), stack.shape[2]), stack.dtype)

    def work(pieces: list[slice]) -> None:
        for part in pieces:
            kernels_for(stack).multiply(matrix, stack[part].view(matrix.dtype), out[part].view(matrix.dtype))

    share(work, len(stack), out[0])
    return out.reshape(*leading, *out.shape[1:])
