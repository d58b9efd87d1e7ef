"""The hot loops in array operations: the slow twins of `cpu` and `cuda`, which document them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..array_types import Array
from ..modules import array_module


def expand(maps: Array, image: Array, out: Array) -> None:
    """out_j = maps_j * image;  (J, ny, nx), (ny, nx) -> (J, ny, nx).

    Several images (S, ny, nx) give (J, S, ny, nx), with the same maps or with maps (J, S, ny, nx).
    """
    out[...] = _beside(maps, image) * image


def combine(maps: Array, images: Array, out: Array) -> None:
    """out += sum_j conj(maps_j) * images_j;  (J, ny, nx) twice -> (ny, nx); several images as in `expand`."""
    out += (_beside(maps, out).conj() * images).sum(0)


def _beside(maps: Array, image: Array) -> Array:
    return maps if maps.ndim > image.ndim else maps[:, None]


def scale(images: Array, factor: Array) -> None:
    """images *= factor, a real (ny, nx) array, in place;  (…, ny, nx).  Any number of dimensions in place of two.

    The factor may have size 1 along the first or the last axis.
    """
    images *= factor


def scatter(columns: Array, numbers: Array, out: Array) -> None:
    """out[…, numbers] = columns, and 0 elsewhere;  (…, L), (L,) -> (…, n)."""
    out[...] = 0
    out[..., numbers] = columns


def multiply(matrix: Array, stack: Array, out: Array) -> None:
    """out_j = matrix @ stack_j;  (p, q), (J, q, r) -> (J, p, r)."""
    out[...] = matrix @ stack


def interpolate(values: Array, table: Array, radius: float, inverse_variance: float) -> None:
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


def draw(values: Array, accept: Array, alias: Array, means: Array, radius: float, inverse_variance: float, seed: Any,
         first_row: int) -> None:
    """u -> (mu - u) / std^2 in place, with a component mean mu drawn given u, where `interpolate` takes the mean of mu.

    values (K, n), whose rows may lie apart; accept, alias (K, nodes, L): Walker's alias tables of the components given
    u, on a regular grid of [-radius, radius].  One of the two nodes about u is drawn, the nearer with the higher
    probability.  Row k draws from stream first_row + k of the seed.
    """
    xp = array_module(values)
    last, size = accept.shape[1] - 1, accept.shape[2]
    streams = random_bits(xp.arange(first_row, first_row + len(values), dtype=np.uint64), seed)
    for k, u in enumerate(values):
        low, high = _halves(random_bits(xp.arange(1, u.size + 1, dtype=np.uint64), streams[k]))
        node = xp.minimum(xp.clip((u + radius) * (last / (2 * radius)), 0, last) + low, last).astype(int)
        component = (high * size).astype(int)
        own = high * size - component < accept[k, node, component]
        mean = means[xp.where(own, component, alias[k, node, component])]
        u[...] = (mean - u) * inverse_variance


def normal(out: Array, seed: Any, first: int) -> None:
    """Standard normal real and imaginary parts (Box and Muller); element i takes random bits first + i + 1."""
    counter = array_module(out).arange(first + 1, first + 1 + out.size, dtype=np.uint64)
    low, high = _halves(random_bits(counter, seed))
    radius, angle = (-2 * np.log(high + 2.0**-33)) ** 0.5, 2 * np.pi * low
    out[...] = (radius * np.cos(angle) + 1j * radius * np.sin(angle)).reshape(out.shape)


def normal_where(out: Array, masks: Array, seed: Any, first: int) -> None:
    """The planes from `first` on of all those of `normal`, 0 where theirs of the masks is;  (p, ny, nx), (q, ny, nx).

    The masks are those of planes 0, 1, … q - 1, q, …, over and over.
    """
    normal(out, seed, first * out[0].size)
    for number, plane in enumerate(out, first):
        plane *= masks[number % len(masks)] != 0


def _halves(bits: Array) -> Iterator[Array]:
    """Return the low and the high half of random bits, as numbers in [0, 1)."""
    return ((half.astype(float) * 2.0**-32) for half in (bits & np.uint64(0xFFFFFFFF), bits >> np.uint64(32)))


def random_bits(counter: Any, seed: Any) -> Any:
    """64 random bits for each counter: SplitMix64 (Steele et al., OOPSLA 2014, doi 10.1145/2660193.2660195)."""
    bits = seed + counter * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def mixture_means(nodes: Array, weights: Array, means: Array, std: float, out: Array) -> None:
    """Posterior means of the component means at nodes (n,), float64;  weights (K, L) -> out (K, n)."""
    xp = array_module(nodes)
    for k in range(len(weights)):
        with np.errstate(divide="ignore"):
            terms = xp.log(weights[k])[:, None] - ((nodes - means[:, None]) / std) ** 2 / 2
        terms = xp.exp(terms - terms.max(0))
        out[k] = means @ terms / terms.sum(0)


def mixture(values: Array, log_weights: Array, means: Array, std: float, log_density: Array, mean: Array) -> None:
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
