"""Points about which the phase of all sensitivities of a plane winds, and that of the image winds the other way.

Sensitivities that are found together with the image may come to wind about such points where the phase of the image
changes fast, or in the dark.  Their sum of squares is small there, so the image has a hole and false signal about it.
Further steps hardly mend that, since a winding number cannot change bit by bit.

M. Blumenthal, M. Uecker, arXiv 2508.04685.
"""

from __future__ import annotations

import numpy as np

from ..arrays.array_types import Array
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.modules import array_module, move
from .fourier import power_of_coils
from .image_set import ImageSet
from .sensitivities import gathered
from .sobolev_maps import SobolevMaps

WINDOW = 0.125  # Part of the field of view about a point in which the light counts.
LIGHT = 0.5     # Root mean square of the image there, relative to that of all, from which a point is in the light.


def winding_numbers(maps: Array) -> Array:
    """Return how often the phase of maps (J, …, n, m) winds about the points between four pixels, (…, n - 1, m - 1).

    From a pixel to the next it changes by arg sum_j c_j* c_j', in which coils count where they see much.  The sum about
    a point is rounded to whole turns: where coils wind about points apart, less than half a turn may be left of each.
    """
    xp = array_module(maps)
    down = xp.angle((maps[..., :-1, :].conj() * maps[..., 1:, :]).sum(0))
    across = xp.angle((maps[..., :-1].conj() * maps[..., 1:]).sum(0))
    around = across[..., :-1, :] + down[..., 1:] - across[..., 1:, :] - down[..., :-1]
    return xp.rint(around / (2 * np.pi)).astype(int)


def winding_phase(numbers: Array) -> Array:
    """Return exp(i sum_p n_p arg(r - r_p)), (…, n, m), for winding numbers n_p about points, (…, n - 1, m - 1).

    Numbers and phase are arrays of NumPy.
    """
    y, x = (np.arange(n + 1) - 0.5 for n in numbers.shape[-2:])
    phase = np.zeros((*numbers.shape[:-2], len(y), len(x)))
    for index in map(tuple, np.argwhere(numbers).tolist()):
        row, column = index[-2:]
        phase[index[:-2]] += numbers[index] * np.arctan2(y[:, None] - row, x - column)
    turn: Array = np.exp(1j * phase)
    return turn


def in_light(numbers: Array, power: Array) -> Array:
    """Return the winding numbers (…, n - 1, m - 1), of NumPy, without those in the dark, which hardly matter.

    In the dark, the power (…, n, m) of the image in a window is less than LIGHT^2 times its mean.
    """
    if not numbers.any():
        return numbers
    numbers, power = numbers.copy(), move(power, np)
    rows, columns = (max(1, round(WINDOW * n / 2)) for n in power.shape[-2:])
    for index in map(tuple, np.argwhere(numbers).tolist()):
        whole, (row, column) = power[index[:-2]], (at + 1 for at in index[-2:])
        near = whole[max(0, row - rows):row + rows, max(0, column - columns):column + columns]
        if float(near.mean()) < LIGHT**2 * float(whole.mean()):
            numbers[index] = 0
    return numbers


def winding_in_light(maps: Array, power: Array) -> Array:
    """Return the winding numbers of maps (J, …, n, m) about the points that are `in_light`, as an array of NumPy."""
    return in_light(move(winding_numbers(maps), np), power)


def without_poles(image: Array, coefficients: Array, maps: SobolevMaps, images: ImageSet, penalty: float,
                  iterations: int) -> tuple[Array, Array] | None:
    """Return image x' (…, *grid) and coefficients chat' of about the same coil images, without the winding of the maps.

    With the maps c = E W chat and their winding phase e, x' is e x, and chat' takes CG steps from 0 on
    ||x' E W chat' - x c||^2 + penalty ||chat'||^2.  None where nothing winds but in the dark (`in_light`), and for
    volumes, whose phase winds about lines.
    """
    if len(maps.shape) > 2:
        return None
    sens, xp = maps.forward(coefficients), array_module(image)
    power = gathered(power_of_coils(image * sens)[None], images)[0]
    numbers = winding_in_light(sens, power)
    if not numbers.any():
        return None
    unwound = (xp.asarray(winding_phase(numbers)) * image).astype(image.dtype)
    energy = abs(unwound) ** 2
    return unwound, conjugate_gradients(
        lambda change: maps.adjoint(gathered(energy * maps.forward(change), images)) + penalty * change,
        maps.adjoint(gathered(unwound.conj() * image * sens, images)), iterations=iterations,
        axes=images.sens_systems)
