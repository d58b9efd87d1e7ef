"""The hot loops on the CPU, compiled by numba; `generic` documents each of them."""

import math
from typing import Any

import numpy as np

from ..array_types import Array
from .compiled import jit


@jit
def expand(maps: Array, image: Array, out: Array) -> None:
    count, columns = len(maps), image.shape[-1]
    factors, rows = maps.reshape(count, -1, columns), image.reshape(-1, columns)
    products, period = out.reshape(count, -1, columns), factors.shape[1]
    for row in range(len(rows)):
        for j in range(count):
            for i in range(columns):
                products[j, row, i] = factors[j, row % period, i] * rows[row, i]


@jit
def combine(maps: Array, images: Array, out: Array) -> None:
    count, columns = len(maps), out.shape[-1]
    factors, rows = maps.reshape(count, -1, columns), images.reshape(count, -1, columns)
    sums, period = out.reshape(-1, columns), factors.shape[1]
    for row in range(len(sums)):
        for j in range(count):
            for i in range(columns):
                sums[row, i] += factors[j, row % period, i].conjugate() * rows[j, row, i]


@jit
def scale(images: Array, factor: Array) -> None:
    columns = factor.shape[-1]
    factors = factor.reshape(-1, columns)
    planes = images.reshape(-1, len(factors), images.shape[-1])
    for row in range(len(factors)):
        for j in range(len(planes)):
            if columns == 1:
                for i in range(images.shape[-1]):
                    planes[j, row, i] *= factors[row, 0]
            else:
                for i in range(columns):
                    planes[j, row, i] *= factors[row, i]


@jit
def scatter(columns: Array, numbers: Array, out: Array) -> None:
    lines, rows = columns.reshape(-1, len(numbers)), out.reshape(-1, out.shape[-1])
    for row in range(len(rows)):
        rows[row] = 0
        for i in range(len(numbers)):
            rows[row, numbers[i]] = lines[row, i]


@jit
def multiply(matrix: Array, stack: Array, out: Array) -> None:
    # Not by BLAS: on a busy machine its threads spend ten times as long in active waiting as in the products.
    count, inner, columns = stack.shape
    rows = len(matrix)
    for j in range(count):
        out[j] = 0
        for row in range(0, rows - 3, 4):  # four rows by four, since reading and writing takes longer than adding
            for i in range(0, inner - 3, 4):
                block = matrix[row:row + 4, i:i + 4]
                a0, b0, c0, d0 = block[0, 0], block[0, 1], block[0, 2], block[0, 3]
                a1, b1, c1, d1 = block[1, 0], block[1, 1], block[1, 2], block[1, 3]
                a2, b2, c2, d2 = block[2, 0], block[2, 1], block[2, 2], block[2, 3]
                a3, b3, c3, d3 = block[3, 0], block[3, 1], block[3, 2], block[3, 3]
                for k in range(columns):
                    a, b, c, d = stack[j, i, k], stack[j, i + 1, k], stack[j, i + 2, k], stack[j, i + 3, k]
                    out[j, row, k] += a0 * a + b0 * b + c0 * c + d0 * d
                    out[j, row + 1, k] += a1 * a + b1 * b + c1 * c + d1 * d
                    out[j, row + 2, k] += a2 * a + b2 * b + c2 * c + d2 * d
                    out[j, row + 3, k] += a3 * a + b3 * b + c3 * c + d3 * d
        for row in range(rows):  # what is left beyond the blocks
            for i in range(inner - inner % 4 if row < rows - rows % 4 else 0, inner):
                factor = matrix[row, i]
                for k in range(columns):
                    out[j, row, k] += factor * stack[j, i, k]


@jit
def interpolate(values: Array, table: Array, radius: float, inverse_variance: float) -> None:
    # Vectorised by the compiler only where all numbers have the same size: 32 bits.
    count, size = values.shape
    last = table.shape[1] - 1
    real = values.dtype.type
    beyond, per_step, factor = real(radius), real(last / (radius + radius)), real(inverse_variance)
    for k in range(count):
        row, nodes = values[k], table[k]
        for i in range(size):
            u = row[i]
            position = (u + beyond) * per_step
            position = position if position > 0 else real(0)  # also where u is NaN
            position = min(position, real(last))
            node = np.uint32(min(np.int32(position), np.int32(last - 1)))
            left = nodes[node]
            row[i] = (left + (position - real(node)) * (nodes[node + np.uint32(1)] - left) - u) * factor


@jit
def random_bits(counter: Any, seed: Any) -> Any:
    bits = seed + counter * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@jit
def _normal(counter: int, seed: Any) -> complex:
    bits = random_bits(np.uint64(counter + 1), seed)
    radius = math.sqrt(-2 * math.log((np.float64(bits >> np.uint64(32)) + 0.5) * 2.0**-32))
    angle = 2 * math.pi * 2.0**-32 * np.float64(bits & np.uint64(0xFFFFFFFF))
    return complex(radius * math.cos(angle), radius * math.sin(angle))


@jit
def normal(out: Array, seed: Any, first: int) -> None:
    flat = out.reshape(-1)
    for i in range(flat.size):
        flat[i] = _normal(first + i, seed)


@jit
def normal_where(out: Array, mask: Array, seed: Any, first: int) -> None:
    count, ny, nx = out.shape
    for j in range(first, first + count):
        for y in range(ny):
            for x in range(nx):
                wanted = mask[j % len(mask), y, x] != 0
                out[j - first, y, x] = _normal((j * ny + y) * nx + x, seed) if wanted else complex(0)


@jit
def draw(values: Array, accept: Array, alias: Array, means: Array, radius: float, inverse_variance: float, seed: Any,
         first_row: int) -> None:
    count, size = values.shape
    last = accept.shape[1] - 1
    components = accept.shape[2]
    real = values.dtype.type
    per_step = real(last) / (radius + radius)
    for k in range(count):
        stream = random_bits(np.uint64(first_row + k), seed)
        for i in range(size):
            u = values[k, i]
            bits = random_bits(np.uint64(i + 1), stream)
            position = (u + radius) * per_step
            position = position if position > 0 else real(0)  # also where u is NaN
            position = min(position, real(last)) + np.float64(bits & np.uint64(0xFFFFFFFF)) * 2.0**-32
            node = min(np.int64(position), last)
            place = np.float64(bits >> np.uint64(32)) * 2.0**-32 * components
            component = np.int64(place)
            if place - component >= accept[k, node, component]:
                component = np.int64(alias[k, node, component])
            values[k, i] = (means[component] - u) * inverse_variance


@jit
def alias_tables(probabilities: Array, accept: Array, alias: Array) -> None:
    """Walker's alias tables of distributions (n, L), by Vose's method (IEEE TSE 17, 1991, doi 10.1109/32.92917)."""
    count, size = probabilities.shape
    small, large = np.empty(size, np.int64), np.empty(size, np.int64)
    share = np.empty(size)
    for n in range(count):
        smalls = larges = 0
        for j in range(size):
            share[j] = probabilities[n, j] * size
            accept[n, j] = 1
            alias[n, j] = j
            if share[j] < 1:
                small[smalls] = j
                smalls += 1
            else:
                large[larges] = j
                larges += 1
        while smalls and larges:
            smalls -= 1
            poor, rich = small[smalls], large[larges - 1]
            accept[n, poor] = share[poor]
            alias[n, poor] = rich
            share[rich] -= 1 - share[poor]
            if share[rich] < 1:
                larges -= 1
                small[smalls] = rich
                smalls += 1


@jit
def _mean_of_mixture(u: float, weights: Array, means: Array, scaling: float) -> float:
    nearest = math.inf
    for j in range(means.size):
        if weights[j] > 0:
            nearest = min(nearest, abs(u - means[j]))
    total = 0.0
    moment = 0.0
    for j in range(means.size):
        term = weights[j] * math.exp(scaling * (nearest**2 - (u - means[j]) ** 2)) if weights[j] > 0 else 0.0
        total += term
        moment += means[j] * term
    return moment / total


@jit
def mixture_means(nodes: Array, weights: Array, means: Array, std: float, out: Array) -> None:
    # All filters have the same components, so they share the exponentials.
    terms = np.empty(means.size)
    scaling = 0.5 / std**2
    for i in range(nodes.size):
        u = nodes[i]
        nearest = math.inf
        for j in range(means.size):
            nearest = min(nearest, abs(u - means[j]))
        for j in range(means.size):
            terms[j] = math.exp(scaling * (nearest**2 - (u - means[j]) ** 2))
        for k in range(weights.shape[0]):
            total = 0.0
            moment = 0.0
            for j in range(means.size):
                term = weights[k, j] * terms[j]
                total += term
                moment += means[j] * term
            out[k, i] = moment / total if total > 1e-250 else _mean_of_mixture(u, weights[k], means, scaling)


@jit
def mixture(values: Array, log_weights: Array, means: Array, std: float, log_density: Array, mean: Array) -> None:
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
                if terms[j] > top - 45:  # smaller terms are below the last bit of float64
                    term = math.exp(terms[j] - top)
                    total += term
                    moment += means[j] * term
            log_density[k, i] = top + math.log(total) - constant
            mean[k, i] = moment / total
