"""Images of ISMRMRD in HDF5 files: one for each slice, with its place in the patient."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, COIL, DIMS, SLICE, index_of
from .geometry import Geometry, all_known, geometry_of
from .hdf5 import read_hdf5
from .image_origin import Content, Images
from .ismrmrd_acquisitions import STANDARD_GROUP
from .ismrmrd_images import DIRECTIONS, IMAGE_HEADER, IsmrmrdImage, write_attributes
from .ismrmrd_lines import AXES

COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])  # In HDF5 files the standard has names of its own.


def check_ismrmrd(name: str, shape: Shape, geometry: object) -> None:
    """Raise ValueError for images with dimensions that ISMRMRD has no numbers for."""
    if bad := [DIMS[axis] for axis, n in enumerate(shape) if axis >= BEYOND and n > 1 and axis not in AXES.values()]:
        raise ValueError(f"output {name}: expected images in {', '.join(DIMS[axis] for axis in AXES.values())}, which"
                         f" ISMRMRD numbers, got some in {', '.join(bad)}")


def encode_ismrmrd(images: Images) -> Iterator[Content]:
    """Yield a file with a group `image_0`, or `std_0` and so on, of images."""
    import h5py
    made = list(_images(images))
    text = io.BytesIO()
    with h5py.File(text, "w") as file:
        group = file.create_group(f"{STANDARD_GROUP}/{images.role}_0")
        group.create_dataset("header", data=np.array([one.head() for one in made], IMAGE_HEADER))
        pixels = np.stack([one.pixels for one in made])
        group.create_dataset("data", data=pixels.view(COMPLEX) if pixels.dtype.kind == "c" else pixels)
        texts = [write_attributes(one.attributes) for one in made]
        group.create_dataset("attributes", data=texts, dtype=h5py.string_dtype())
    yield images.name, images.path, lambda file: file.write(text.getbuffer())


def _images(images: Images) -> Iterator[IsmrmrdImage]:
    values, origin = images.values, images.origin
    kind = images.style.part if images.role != "std" else "magnitude"
    for number, place in enumerate(itertools.product(*map(range, values.shape[BEYOND:]))):
        pixels = np.ascontiguousarray(values[index_of(place)].T)  # (coil, PHS2, PHS1, READ)
        header: dict[str, Any] = {name: place[axis - BEYOND] for name, axis in AXES.items()}
        header |= {"image_index": number + 1, "image_series_index": 1}
        if origin.geometry:
            where = origin.geometry[place[SLICE - BEYOND]]
            header |= {"position": where.position, "field_of_view": where.field_of_view(values.shape[:COIL])}
            header |= dict(zip(DIRECTIONS, where.directions))
        yield IsmrmrdImage(pixels, kind, header, {"ImageComment": origin.sentence} if origin.provenance else {})


def image_groups(file: Any) -> list[str]:
    """Return the names of the groups of an open HDF5 file that hold images."""
    return [f"{name}/{inner}" for name in file if hasattr(file[name], "keys") for inner in file[name]
            if hasattr(file[f"{name}/{inner}"], "keys") and {"header", "data"} <= set(file[f"{name}/{inner}"])]


def read_ismrmrd_images(path: Path) -> tuple[Array, tuple[Geometry, ...] | None]:
    """Read images into BART's dimensions, and the geometry of the slices or the volume.

    Raises FileNotFoundError, or ValueError for a damaged file, for several groups, and images that fill no array.
    """
    def read(file: Any) -> tuple[list[str], Array, Array]:
        groups = image_groups(file)
        return groups, file[groups[0]]["header"][()], file[groups[0]]["data"][()]

    groups, heads, data = read_hdf5(path, read)
    if len(groups) > 1:
        raise ValueError(f"{path}: expected one group of images, got {', '.join(groups)}")
    names = (*AXES, "position", *DIRECTIONS, "field_of_view")
    if data.ndim != 5 or len(heads) != len(data) or not set(names) <= set(heads.dtype.names or ()):
        raise ValueError(f"{path}: expected images (n, channels, z, y, x) with a header for each, got {data.shape}")
    values = np.ascontiguousarray(data).view("<c8") if data.dtype.names else data
    shape = [*data.shape[:0:-1], *(len(DIMS) - BEYOND) * [1]]
    places = np.zeros((len(heads), len(DIMS)), int)
    for name, axis in AXES.items():
        found, places[:, axis] = np.unique(heads[name], return_inverse=True)
        shape[axis] = len(found)
    if len(heads) != np.prod(shape[BEYOND:]) or len(np.unique(places, axis=0)) != len(heads):
        raise ValueError(f"{path}: expected an image for each slice, contrast and so on, got {len(heads)} images")
    array = np.zeros(shape, np.complex64 if values.dtype.kind == "c" else np.float32)
    for place, image in zip(places, values):
        array[index_of(tuple(place[BEYOND:]))] = image.T
    first = [heads[np.argmax(places[:, SLICE] == number)] for number in range(shape[SLICE])]
    return array, all_known(_geometry(head, tuple(shape[:COIL])) for head in first)


def _geometry(head: Array, shape: Shape) -> Geometry | None:
    x, y, z = (float(side) / n for side, n in zip(head["field_of_view"], shape))
    return geometry_of(head["position"], [head[name] for name in DIRECTIONS], (x, y, z))
