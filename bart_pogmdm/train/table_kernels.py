"""The hot loops of training on the CPU, compiled by numba.

`twin` holds their slow twins, in differentiable torch operations.
"""

import math

import numpy as np

from ..arrays.kernels.cpu import jit

NEGLIGIBLE = 1e-25  # relative weight of a component, for which the loops over components end
LEAST_TOTAL = 1e-5  # gradients are those of a mixture of at least this density: where it nearly vanishes they explode


@jit
def _nearest_mean(weights, means, start):
    """The mean of positive weight next to the one at `start`."""
    for distance in range(means.size):
        for index in (start - distance, start + distance):
            if 0 <= index < means.size and weights[index] > 0:
                return means[index]
    return 0.0


@jit
def _components(u, means, variance, places, kernels):
    """Number, places and kernels G_l = exp(-((u - mu_l)^2 - (u - mu_0)^2) / 2 v) of the components that count.

    mu_0 is the mean next to u and the first, then come those above it, then those below.  The means are equispaced, so
    that G follows from its neighbour by two products.
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
def mixture_means(weights, variance, means, nodes, total, moment):
    """Posterior means m(u) of the component means at nodes u >= 0, and their normalisers.

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
def mixture_means_adjoint(variance, means, nodes, total, moment, gradient, weights_gradient):
    """Adds the gradient in the weights to `weights_gradient`."""
    places, kernels = np.empty(means.size, np.int64), np.empty(means.size)
    for t in range(nodes.size):
        if gradient[t] == 0:
            continue
        factor = gradient[t] / max(total[t], LEAST_TOTAL)
        for i in range(_components(nodes[t], means, variance, places, kernels)):
            weights_gradient[places[i]] += factor * kernels[i] * (means[places[i]] - moment[t])


@jit
def shrink(values, table, radius, factor):
    """u -> (m(u) - u) factor in place, m odd and from its table on [0, radius], constant beyond."""
    for k in range(values.shape[0]):
        last = table.shape[1] - 1
        per_step = np.float32(last) / radius
        for i in range(values.shape[1]):
            u = values[k, i]
            position = min(abs(u) * per_step, np.float32(last))
            node = min(np.int32(position), last - 1)
            m = table[k, node] + (position - np.float32(node)) * (table[k, node + 1] - table[k, node])
            values[k, i] = (math.copysign(m, u) - u) * factor


@jit
def shrink_adjoint(values, gradients, table, radius, factor, table_gradient):
    """Gradients in place in the values, added to `table_gradient`; returns that in the factor."""
    total = 0.0
    for k in range(values.shape[0]):
        last = table.shape[1] - 1
        per_step = np.float32(last) / radius
        for i in range(values.shape[1]):
            u, gradient = values[k, i], gradients[k, i]
            position = abs(u) * per_step
            slope = per_step if position < np.float32(last) else np.float32(0)
            position = min(position, np.float32(last))
            node = min(np.int32(position), last - 1)
            part = position - np.float32(node)
            rise = table[k, node + 1] - table[k, node]
            total += gradient * (math.copysign(table[k, node] + part * rise, u) - u)
            gradients[k, i] = gradient * (rise * slope - np.float32(1)) * factor
            gradient = math.copysign(factor, u) * gradient
            table_gradient[k, node] += (1 - part) * gradient
            table_gradient[k, node + 1] += part * gradient
    return total


@jit
def spectra_adjoint(image, gradients, residual, activations, out):
    """out_k += conj(image) gradients_k + conj(residual) activations_k, spectra all."""
    count, rows, columns = out.shape
    for k in range(count):
        for row in range(rows):
            for i in range(columns):
                out[k, row, i] += (image[row, i].conjugate() * gradients[k, row, i]
                                   + residual[row, i].conjugate() * activations[k, row, i])
