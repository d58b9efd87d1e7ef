"""The hot loops in array operations, for NumPy and CuPy alike; same names and results as `cpu`."""

from ..backend import array_module


def expand(maps, image, out):
    """out_j = maps_j * image;  (J, ny, nx), (ny, nx) -> (J, ny, nx)."""
    out[...] = maps * image


def combine(maps, images, out):
    """out += sum_j conj(maps_j) * images_j;  (J, ny, nx) twice -> (ny, nx)."""
    out += (maps.conj() * images).sum(0)


def scale(images, factor):
    """images_j *= factor, a real (ny, nx) array, in place."""
    images *= factor


def multiply(matrix, stack, out):
    """out_j = matrix @ stack_j;  (p, q), (J, q, r) -> (J, p, r)."""
    out[...] = matrix @ stack


def interpolate(values, table, radius, inverse_variance):
    """u -> (m(u) - u) / std^2 in place, with m from its table; elementwise on real values.

    values (K, n); table (K, nodes): m on a regular grid of [-radius, radius], constant beyond.
    """
    xp = array_module(values)
    last = table.shape[1] - 1
    for u, nodes in zip(values, table):
        position = xp.clip((u + radius) * (last / (2 * radius)), 0, last)
        index = xp.minimum(position.astype(int), last - 1)
        left = nodes[index]
        u[...] = (left + (position - index) * (nodes[index + 1] - left) - u) * inverse_variance


def mixture(values, log_weights, means, std, log_density, mean):
    """log psi and posterior mean of the component means of Gaussian mixtures, exactly.

    log psi(u) = log sum_l w_l N(u; mu_l, std^2),   m(u) = sum_l mu_l r_l(u),   r = responsibilities.
    values, log_density, mean (K, n) float64; log_weights (K, L); means (L,).
    """
    xp = array_module(values)
    for k in range(values.shape[0]):
        terms = log_weights[k, :, None] - ((values[k] - means[:, None]) / std) ** 2 / 2
        top = terms.max(0)
        terms = xp.exp(terms - top)
        total = terms.sum(0)
        log_density[k] = top + xp.log(total) - xp.log((2 * xp.pi) ** 0.5 * std)
        mean[k] = means @ terms / total
