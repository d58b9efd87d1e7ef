"""The hot loops of training on the CPU, compiled by numba.

`Twin.score` computes the same in differentiable operations of torch, slowly.
"""

import math

import numpy as np

from ..arrays.array_types import Array
from ..arrays.kernels.compiled import jit

# The loops over components end at a kernel of this value, relative to the nearest component.
NEGLIGIBLE = 1e-25
# Gradients are divided by the density of the mixture, but at least by this number, because they would explode where the
# density nearly vanishes.
LEAST_TOTAL = 1e-5


@jit
def _nearest_mean(weights: Array, means: Array, start: int) -> float:
    """Return the mean with a positive weight that is nearest to the mean at index `start`."""
    for distance in range(means.size):
        for index in (start - distance, start + distance):
            if 0 <= index < means.size and weights[index] > 0:
                return means[index]
    return 0.0


@jit
def _components(u: float, means: Array, variance: float, places: Array, kernels: Array) -> int:
    """Find the components that are not negligible at u, and return their number.

    Their indices l are written to `places`, and G_l = exp(-((u - mu_l)^2 - (u - mu_0)^2) / (2 variance)) to `kernels`,
    where mu_0 is the mean nearest to u.  It comes first, then the components above it follow, then those below.  The
    means are equispaced, so that each G_l follows from its neighbour by two products.
    """
    count, spacing = means.size, means[1] - means[0]
    ratio = math.exp(-spacing * spacing / variance)
    nearest = min(count - 1, max(0, round((u - means[0]) / spacing)))
    offset = u - means[nearest]
    found = 0
    for direction in (1, -1):
        kernel = 1.0
        step = math.exp((direction * offset * spacing - 0.5 * spacing * spacing) / variance)
        index = nearest
        if direction < 0:
            kernel *= step
            step *= ratio
            index -= 1
        while 0 <= index < count and kernel > NEGLIGIBLE:
            places[found], kernels[found] = index, kernel
            found += 1
            kernel *= step
            step *= ratio
            index += direction
    return found


@jit
def posterior_means(weights: Array, variance: float, means: Array, nodes: Array, total: Array,
                    moment: Array) -> None:
    """Compute the posterior means m(u) of the component means at nodes u >= 0, and their normalisers.

    They are written to moment and total:
    total = sum_l w_l G_l,  moment = sum_l mu_l w_l G_l / total,  G_l as in `_components`.
    """
    places, kernels = np.empty(means.size, np.int64), np.empty(means.size)
    for t in range(nodes.size):
        normaliser, first = 0.0, 0.0
        for i in range(_components(nodes[t], means, variance, places, kernels)):
            mass = weights[places[i]] * kernels[i]
            normaliser += mass
            first += mass * means[places[i]]
        total[t] = normaliser
        if normaliser > 0:
            moment[t] = first / normaliser
        else:
            moment[t] = _nearest_mean(weights, means, places[0])


@jit
def posterior_means_adjoint(variance: float, means: Array, nodes: Array, total: Array, moment: Array, gradient: Array,
                            weights_gradient: Array) -> None:
    """Add the gradient with respect to the weights to `weights_gradient`, given the one with respect to `moment`."""
    places, kernels = np.empty(means.size, np.int64), np.empty(means.size)
    for t in range(nodes.size):
        if gradient[t] == 0:
            continue
        factor = gradient[t] / max(total[t], LEAST_TOTAL)
        for i in range(_components(nodes[t], means, variance, places, kernels)):
            weights_gradient[places[i]] += factor * kernels[i] * (means[places[i]] - moment[t])


@jit
def activate(values: Array, table: Array, radius: float, factor: float) -> None:
    """Replace each value u by (m(u) - u) factor; m is odd, interpolated on [0, radius], and constant beyond."""
    for k in range(values.shape[0]):
        last = table.shape[1] - 1
        per_step = np.float32(last) / radius
        for i in range(values.shape[1]):
            u = values[k, i]
            position = min(abs(u) * per_step, np.float32(last))
            node = max(0, min(np.int32(position), last - 1))  # a NaN has no place in the table
            m = table[k, node] + (position - np.float32(node)) * (table[k, node + 1] - table[k, node])
            values[k, i] = (math.copysign(m, u) - u) * factor


@jit
def activate_adjoint(values: Array, gradients: Array, table: Array, radius: float, factor: float,
                     table_gradient: Array) -> float:
    """Turn gradients with respect to the activations into those with respect to the values, in place.

    The gradient with respect to the table is added to `table_gradient`; that with respect to the factor is returned.
    """
    total = 0.0
    for k in range(values.shape[0]):
        last = table.shape[1] - 1
        per_step = np.float32(last) / radius
        for i in range(values.shape[1]):
            u, gradient = values[k, i], gradients[k, i]
            position = abs(u) * per_step
            slope = per_step if position < np.float32(last) else np.float32(0)
            position = min(position, np.float32(last))
            node = max(0, min(np.int32(position), last - 1))  # a NaN has no place in the table
            part = position - np.float32(node)
            rise = table[k, node + 1] - table[k, node]
            total += gradient * (math.copysign(table[k, node] + part * rise, u) - u)
            gradients[k, i] = gradient * (rise * slope - np.float32(1)) * factor
            gradient = math.copysign(factor, u) * gradient
            table_gradient[k, node] += (1 - part) * gradient
            table_gradient[k, node + 1] += part * gradient
    return total


@jit
def spectra_adjoint(image: Array, gradients: Array, residual: Array, activations: Array, out: Array) -> None:
    """Add conj(image) gradients_k + conj(residual) activations_k to out_k; all arrays are spectra."""
    count, rows, columns = out.shape
    for k in range(count):
        for row in range(rows):
            for i in range(columns):
                out[k, row, i] += (image[row, i].conjugate() * gradients[k, row, i]
                                   + residual[row, i].conjugate() * activations[k, row, i])
