"""The planes of a volume: their names, and those through the centre of its energy."""

from collections.abc import Mapping

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL, DIMS


def plane_name(axis: int, place: int | str) -> str:
    """Return the name of a plane across an axis of a volume, such as PHS1-PHS2 at READ 32."""
    return f"{'-'.join(DIMS[other] for other in range(COIL) if other != axis)} at {DIMS[axis]} {place}"


def central_planes(stacks: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """Return {plane: {name: (coil, y, x)}} of volumes {name: (volume, coil, READ, PHS1, PHS2)}, three for each volume.

    All volumes have the same planes, those through the centre of the energy in the first of the named arrays.
    """
    volumes = next(iter(stacks.values()))
    centre = _centre(volumes)
    return {(f"volume {number}, " if len(volumes) > 1 else "") + plane_name(axis, place):
            {name: stack[number].take(place, 1 + axis) for name, stack in stacks.items()}
            for number in range(len(volumes)) for axis, place in enumerate(centre)}


def _centre(volumes: Array) -> Shape:
    """Return the voxel nearest to the centre of the energy of all volumes, or the middle one if all are zero."""
    magnitude = np.abs(volumes)
    energy = ((magnitude / (magnitude.max() or 1)) ** 2).sum((0, 1), dtype=float)  # The square may leave the range.
    if not energy.any():
        return tuple(n // 2 for n in energy.shape)
    profiles = (np.moveaxis(energy, axis, 0).sum((1, 2)) for axis in range(COIL))
    return tuple(int(np.average(np.arange(len(profile)), weights=profile) + 0.5) for profile in profiles)
