"""Poisson disc of variable density on the grid of k-space, by dart throwing (Cook 1986, doi 10.1145/7529.8927)."""

from itertools import count

import numpy as np

from ..arrays.array_types import Array, Shape

CENTRE_PART = 12     # The fully sampled centre is a square of 1 / 12 of the shorter side, unless said otherwise.
MOST_SURPLUS = 0.01  # Part of the points of a full throw that may be left out, the last ones, for the wanted number.
TRIALS = 12          # Slopes after which the best one is taken; three suffice unless the grid is small.


def poisson_disc(shape: Shape, acceleration: float, seed: int, side: int) -> Array:
    """Return a mask (ny, nx) of 1 / acceleration of all points, inside the ellipse that touches the edges.

    The local distance grows linearly from the zero frequency on.  Two points are at least as far from each other as the
    smaller one of the two, with the slope at which the wanted number of points just fits; only the points of the
    central square of `side`, all sampled, are closer.
    So everything is sampled around the centre, as far as the local distance is at most 1.
    An acceleration below 4 / pi gives the whole ellipse, and one that the square exceeds gives the square.
    """
    radius, square = ellipse_radius(shape), centre_square(shape, side)
    darts = np.random.default_rng(seed).permutation(np.flatnonzero((radius <= 1) | square))
    wanted = min(max(round(radius.size / acceleration), square.sum()), len(darts))
    slope = (radius.size / wanted) ** 0.7  # This power comes near the solution at all accelerations of use.
    best = darts[:0]
    for trial in count(1):
        thrown = _throw(darts, square, slope * radius)
        if len(thrown) >= wanted and (len(thrown) < len(best) or not len(best)):
            best = thrown
        if len(best) and (trial >= TRIALS or len(best) <= (1 + MOST_SURPLUS) * wanted):
            break
        slope *= (len(thrown) / wanted / (1 + MOST_SURPLUS / 2)) ** 0.6
    mask = np.zeros(shape, bool)
    mask.flat[best[:wanted]] = True
    return mask


def ellipse_radius(shape: Shape) -> Array:
    """Return the distance of each point (y, x) from the zero frequency, 1 on the ellipse that touches the edges."""
    y, x = ((np.arange(n) - n // 2) / (n / 2) for n in shape)
    return np.hypot(y[:, None], x)


def centre_square(shape: Shape, side: int) -> Array:
    """Return the mask of the square of a side, at least one point, around the zero frequency."""
    side = min(max(1, side), *shape)
    mask = np.zeros(shape, bool)
    mask[tuple(slice(n // 2 - side // 2, n // 2 - side // 2 + side) for n in shape)] = True
    return mask


def _throw(darts: Array, square: Array, distance: Array) -> Array:
    """Return the darts that stay, in their order: the square, the points whose neighbours may stay, and the others.

    A dart (an index of the flat grid) keeps the later ones of the others away from the points within its distance.
    """
    together = (square.flat[darts], distance.flat[darts] <= 1)
    darts = darts[np.lexsort((~together[1], ~together[0]))]
    fixed = np.count_nonzero(together[0])
    reach = int(distance.max())
    free = np.ones(np.add(distance.shape, 2 * reach), bool)  # With a margin, so that every disc is inside.
    steps = np.arange(-reach, reach + 1) ** 2
    squares, bounds, radii = steps[:, None] + steps, distance**2, distance.astype(int)
    kept = []
    for index, (y, x) in enumerate(zip(*(places.tolist() for places in np.divmod(darts, distance.shape[1])))):
        if index < fixed or free[y + reach, x + reach]:
            kept.append(index)
            near, far = reach - (r := radii[y, x]), reach + r + 1
            free[y + near:y + far, x + near:x + far] &= squares[near:far, near:far] >= bounds[y, x]
    return darts[kept]
