"""The place of the image of raw data in the patient, from the header and the acquisitions."""

from pathlib import Path

import numpy as np

from ..arrays.bart_dims import BEYOND, SLICE
from ..arrays.doubts import doubt
from .geometry import Geometry, Vector, geometry_of
from .ismrmrd_header import Encoding
from .ismrmrd_images import DIRECTIONS
from .ismrmrd_lines import Lines


def voxel_of(encoding: Encoding, lines: Lines) -> Vector | None:
    """Return the sides of a voxel along READ, PHS1 and PHS2 in mm, of a slice its thickness; None if they are unknown.

    The readout has lost its oversampling, and the phase encodings have the encoded field of view.
    """
    x, y, z = encoding.fov
    sides = x / encoding.fov_ratio / lines.size, y / encoding.matrix[1], z / lines.depth
    return sides if min(sides) > 0 else None


def slices_of(path: Path, encoding: Encoding, lines: Lines) -> tuple[Geometry, ...] | None:
    """Return the geometry of each slice, one for a volume; None where the file does not say it, with a warning."""
    voxel, heads = voxel_of(encoding, lines), lines.heads
    if voxel is None or not all(_is_vector(heads.dtype, name) for name in ("position", *DIRECTIONS)):
        return None
    found = []
    for number in range(lines.beyond[SLICE - BEYOND]):
        head = heads[np.argmax(lines.places[:, SLICE - BEYOND] == number)]
        directions = [head[name] for name in DIRECTIONS]
        geometry = geometry_of(head["position"], directions, voxel)
        if geometry is None:
            if any(vector.any() for vector in directions):
                doubt(f"{path}: the position or the directions of slice {number} are none, so that its place in the"
                      " patient is not known")
            return None
        found.append(geometry)
    return tuple(found)


def _is_vector(kind: np.dtype, name: str) -> bool:
    return name in (kind.names or ()) and kind[name].base.kind == "f" and kind[name].shape == (3,)
