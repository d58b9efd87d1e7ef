"""Where the voxels of an image are in the patient: positions and directions as the headers of raw data give them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array, Shape

Vector: TypeAlias = tuple[float, float, float]

LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))  # DICOM and ISMRMRD point to left and posterior, NIfTI to the opposite.
NOT_ORTHONORMAL = 1e-3  # Lengths and scalar products of directions in 32 bits differ from 1 and 0 by far less.
NOT_EVEN = 1e-2         # Slices whose distances differ by this part of a distance are no stack.


@dataclass(frozen=True)
class Geometry:
    """The place of a slice, or of a volume, in the patient.

    position: the centre of the field of view in mm, to the patient's left, posterior and head (LPS).  The Fourier
        transform puts it into voxel n // 2 of each direction.
    directions: unit vectors along READ, PHS1 and PHS2, in LPS as well; for a slice the last one is its normal.
    voxel: sides of a voxel along READ, PHS1 and PHS2 in mm; for a slice the last one is its thickness.
    """

    position: Vector
    directions: tuple[Vector, Vector, Vector]
    voxel: Vector

    def affine(self, shape: Shape) -> Array:
        """Return the matrix (4, 4) from indices of voxels to mm in LPS, for an image (READ, PHS1, PHS2) of a shape."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.directions).T * self.voxel
        affine[:3, 3] = self.position - affine[:3, :3] @ [n // 2 for n in shape]
        return affine

    def partition(self, number: int, count: int) -> "Geometry":
        """Return the place of a partition, of all of a volume along PHS2, as a slice."""
        offset = (number - count // 2) * self.voxel[2] * np.array(self.directions[2])
        return replace(self, position=_vector(self.position + offset))

    def field_of_view(self, shape: Shape) -> Vector:
        """Return the sides of an image (READ, PHS1, PHS2) of a shape, in mm."""
        x, y, z = (n * side for n, side in zip(shape, self.voxel, strict=True))
        return x, y, z


def geometry_of(position: Array, directions: Sequence[Array], voxel: Vector) -> Geometry | None:
    """Return the geometry with these vectors; None if they are no place: not finite, or directions that are no axes.

    A last direction of zeros is the normal of the others.
    """
    read, phase, normal = (np.asarray(vector, float) for vector in directions)
    if not normal.any():
        normal = np.cross(read, phase)
    axes, place = np.array([read, phase, normal]), np.asarray(position, float)
    if not np.isfinite(axes).all() or not np.isfinite(place).all() or not min(voxel) > 0:
        return None
    if abs(axes @ axes.T - np.eye(3)).max() > NOT_ORTHONORMAL:
        return None
    return Geometry(_vector(place), (_vector(read), _vector(phase), _vector(normal)), voxel)


def geometry_from(affine: Array, shape: Shape) -> Geometry | None:
    """Return the geometry for a matrix (4, 4) to mm in LPS, for an image of a shape; None if it is sheared."""
    sides = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or not min(sides) > 0:
        return None
    centre = affine @ [*(n // 2 for n in shape), 1]
    return geometry_of(centre[:3], list((affine[:3, :3] / sides).T), _vector(sides))


def all_known(places: Iterable[Geometry | None]) -> tuple[Geometry, ...] | None:
    """Return the geometry of all slices; None where that of one is not known."""
    places = list(places)
    known = tuple(place for place in places if place)
    return known if len(known) == len(places) else None


def nowhere(shape: Shape, number: int) -> Geometry:
    """Return the geometry whose matrix is the identity, for an image (READ, PHS1, PHS2) of a shape, or for a slice."""
    x, y, z = (float(n // 2) for n in shape)
    return Geometry((x, y, z + number), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (1.0, 1.0, 1.0))


def stacked(slices: Sequence[Geometry], shape: Shape) -> tuple[Array, list[int]] | None:
    """Return the matrix (4, 4) from voxels (READ, PHS1, slice) to mm in LPS, and the order of the slices in space.

    None if the slices (READ, PHS1, 1) of a shape are no stack: not parallel, or not evenly spaced along their normal.
    """
    first = slices[0]
    if len(slices) == 1:
        return first.affine(shape), [0]
    if any(abs(np.subtract(one.directions, first.directions)).max() > NOT_ORTHONORMAL or one.voxel != first.voxel
           for one in slices):
        return None
    places = np.array([one.position for one in slices])
    order = np.argsort(places @ first.directions[2], kind="stable")
    steps = np.diff(places[order], axis=0)
    step = (places[order[-1]] - places[order[0]]) / (len(slices) - 1)
    if not step @ first.directions[2] > (1 - NOT_EVEN) * np.linalg.norm(step) or abs(
            steps - step).max() > NOT_EVEN * np.linalg.norm(step):
        return None
    affine = slices[order[0]].affine(shape)
    affine[:3, 2] = step
    return affine, [int(number) for number in order]


def _vector(values: Array) -> Vector:
    x, y, z = map(float, values)
    return x, y, z
