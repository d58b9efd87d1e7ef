"""The turn of a slice by quarters and mirrors, with which viewers show it as radiologists expect it."""

import numpy as np

from ..arrays.array_types import Array
from .geometry import Geometry

# For a normal near each axis of LPS, the directions to the right and down on the screen: sagittal, coronal, axial.
RIGHT = np.array([[0.0, 1, 0], [1, 0, 0], [1, 0, 0]])
DOWN = np.array([[0.0, 0, -1], [0, 0, -1], [0, 1, 0]])


def as_shown(pixels: Array, where: Geometry) -> tuple[Array, Array, list[float], tuple[float, float]]:
    """Return pixels (READ, PHS1) as rows and columns, and DICOM's position, orientation and spacing for them.

    The patient's anterior, or head, is up as far as the plane allows, and his left is on the right.
    """
    read, phase, normal = np.array(where.directions)
    plane = int(np.argmax(abs(normal)))
    axes, sides = [phase, read], [where.voxel[1], where.voxel[0]]  # down and to the right
    image, corner = pixels.T, (where.affine((*pixels.shape, 1)) @ [0, 0, 0, 1])[:3]
    if abs(phase @ RIGHT[plane]) > abs(read @ RIGHT[plane]):
        image, axes, sides = image.T, axes[::-1], sides[::-1]
    for axis, wanted in enumerate((DOWN[plane], RIGHT[plane])):
        if axes[axis] @ wanted < 0:
            corner = corner + (image.shape[axis] - 1) * sides[axis] * axes[axis]
            image, axes[axis] = np.flip(image, axis), -axes[axis]
    return image, corner, [*axes[1].tolist(), *axes[0].tolist()], (sides[0], sides[1])
