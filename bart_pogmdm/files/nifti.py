"""NIfTI files with the matrix from voxels to the patient, in RAS: READ, PHS1, PHS2 or SLICE, then the others."""

import gzip
import json
import logging
from collections.abc import Iterator
from types import ModuleType

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL, DIMS, SLICE
from ..arrays.extras import optional
from ..version import __version__
from .geometry import LPS_TO_RAS, Geometry, stacked
from .image_origin import Content, Images

MOST_DIMS = 7       # Of a NIfTI file.
LONGEST_TEXT = 79   # Letters of the description in the header.
DIMENSIONS = "dimensions"  # The word of a comment beside the names of BART's dimensions.
SCANNER = 1         # The code of a matrix to the coordinates of the scanner.


def encode_nifti(images: Images) -> Iterator[Content]:
    """Yield a .nii or .nii.gz file; without geometry its matrix is the identity.

    Raises ImportError without nibabel, and ValueError for slices that are no stack.
    """
    nibabel = nibabel_package()
    origin, values = images.origin, volume_first(images.values)
    affine = np.eye(4)
    if origin.geometry:
        affine, order = _placed(images.name, images.values.shape, origin.geometry)
        values, affine = values[:, :, order], _rounded(affine, values.shape[:COIL])
    made = nibabel.Nifti1Image(values, affine)
    if origin.geometry:
        made.set_sform(affine, SCANNER)
        made.set_qform(affine, SCANNER)
    made.header.set_xyzt_units("mm")
    made.header["descrip"] = f"bart_pogmdm {__version__}: {images.role}, {images.style.part}"[:LONGEST_TEXT]
    words = json.dumps({**origin.provenance, DIMENSIONS: dimensions_of(images.values.shape)}).encode()
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", words))
    content = made.to_bytes()
    if images.path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    yield images.name, images.path, lambda file: file.write(content)


def check_nifti(name: str, shape: Shape, geometry: tuple[Geometry, ...] | None) -> None:
    """Raise ValueError for images of a shape that NIfTI cannot place in the patient, ImportError without nibabel."""
    nibabel_package()
    if geometry:
        _placed(name, shape, geometry)


def dimensions_of(shape: Shape) -> list[str]:
    """Return the names of BART's dimensions for the axes of a file with an array of a shape."""
    third = SLICE if shape[2] == 1 else 2
    return [DIMS[axis] for axis in (0, 1, third)] + [DIMS[axis] for axis, n in enumerate(shape)
                                                     if axis >= COIL and axis != third and n > 1]


def volume_first(array: Array) -> Array:
    """Return an array of BART as (READ, PHS1, PHS2 or SLICE, the others that are longer than 1)."""
    if array.shape[2] == 1:  # slices
        array = np.swapaxes(array, 2, SLICE)
    sizes = [n for n in array.shape[COIL:] if n > 1]
    rest = [*sizes[:MOST_DIMS - COIL - 1], int(np.prod(sizes[MOST_DIMS - COIL - 1:], dtype=int))]
    return array.reshape(*array.shape[:COIL], *(rest if rest[-1] > 1 else rest[:-1]), order="F")


def ras_affine(shape: Shape, geometry: tuple[Geometry, ...]) -> tuple[Array, list[int]] | None:
    """Return the matrix (4, 4) to mm in RAS for images of a shape, and the order of the slices, or of partitions.

    None for slices that are no stack, and for several volumes with places of their own.
    """
    grid, slices = shape[:COIL], shape[SLICE]
    found = None if grid[2] > 1 and slices > 1 else stacked(geometry, grid)
    if found is None:
        return None
    affine, order = found
    return LPS_TO_RAS @ affine, order if slices > 1 else list(range(grid[2]))


def _rounded(affine: Array, shape: Shape) -> Array:
    """Return a matrix of 32-bit numbers, as in a file, that keeps the centre of an image of a shape in its place."""
    centre = [n // 2 for n in shape]
    found = affine.astype(np.float32).astype(float)
    found[:3, 3] = (affine @ [*centre, 1])[:3] - found[:3, :3] @ centre
    return found


def _placed(name: str, shape: Shape, geometry: tuple[Geometry, ...]) -> tuple[Array, list[int]]:
    """Return what `ras_affine` does.  Raises ValueError where one matrix cannot place the images."""
    found = ras_affine(shape, geometry)
    if found is None:
        raise ValueError(f"output {name}: expected one volume, or parallel slices at even distances, as NIfTI has one"
                         f" matrix for all; got {shape[SLICE]} with other places (a folder of DICOM files takes them)")
    return found


def nibabel_package() -> ModuleType:
    """Return nibabel.  Raises ImportError that names the extra."""
    nibabel = optional("nibabel", "NIfTI files need")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # A damaged file is an error in one sentence.
    return nibabel
