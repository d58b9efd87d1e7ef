"""The hot loops on the CPU, compiled by numba; `generic` says what each computes."""

import math

import numpy as np
from numba import njit


def jit(function):
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder to cache in: compiled anew in each process
        return njit(nogil=True)(function)


@jit
def expand(maps, image, out):
    count, rows, columns = maps.shape
    for row in range(rows):
        for j in range(count):
            for i in range(columns):
                out[j, row, i] = maps[j, row, i] * image[row, i]


@jit
def combine(maps, images, out):
    count, rows, columns = maps.shape
    for row in range(rows):
        for j in range(count):
            for i in range(columns):
                out[row, i] += maps[j, row, i].conjugate() * images[j, row, i]


@jit
def scale(images, factor):
    count, rows, columns = images.shape
    for row in range(rows):
        for j in range(count):
            for i in range(columns):
                images[j, row, i] *= factor[row, i]


@jit
def multiply(matrix, stack, out):
    # Not by BLAS: on a busy machine the active waiting of its threads takes ten times as long as the products.
    count, inner, columns = stack.shape
    for j in range(count):
        for row in range(matrix.shape[0]):
            out[j, row] = 0
            for i in range(inner):
                factor = matrix[row, i]
                for column in range(columns):
                    out[j, row, column] += factor * stack[j, i, column]


@jit
def interpolate(values, table, radius, inverse_variance):
    count, size = values.shape
    last = table.shape[1] - 1
    real = values.dtype.type
    per_step = real(last) / (radius + radius)
    for k in range(count):
        for i in range(size):
            u = values[k, i]
            position = (u + radius) * per_step
            position = position if position > 0 else real(0)  # also where u is NaN
            position = min(position, real(last))
            node = min(np.int64(position), last - 1)
            left = table[k, node]
            values[k, i] = (left + (position - real(node)) * (table[k, node + 1] - left) - u) * inverse_variance


@jit
def mixture(values, log_weights, means, std, log_density, mean):
    count, size = values.shape
    terms = np.empty(means.size)
    constant = math.log(math.sqrt(2 * math.pi) * std)
    scaling = 0.5 / std**2
    for k in range(count):
        for i in range(size):
            u = values[k, i]
            top = -math.inf
            for j in range(means.size):
                terms[j] = log_weights[k, j] - scaling * (u - means[j]) ** 2
                top = max(top, terms[j])
            total = 0.0
            moment = 0.0
            for j in range(means.size):
                if terms[j] > top - 45:  # the others are below the last bit of float64
                    term = math.exp(terms[j] - top)
                    total += term
                    moment += means[j] * term
            log_density[k, i] = top + math.log(total) - constant
            mean[k, i] = moment / total
