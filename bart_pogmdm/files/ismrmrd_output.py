"""k-space as a file of ISMRMRD raw data: one acquisition for each measured line, or part of a line without gaps."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, COIL, SLICE, index_of
from .geometry import Geometry
from .image_origin import Content
from .ismrmrd_acquisitions import ACQUISITION_HEADER, STANDARD_GROUP
from .ismrmrd_header import NAMESPACE, put
from .ismrmrd_image_files import check_ismrmrd
from .ismrmrd_lines import AXES

UNKNOWN_SIDE = 1.0  # mm, of a voxel where k-space has no place in the patient.


def encode_kspace(name: str, kspace: Array, pattern: Array | None,
                  geometry: tuple[Geometry, ...] | None) -> Iterator[Content]:
    """Yield a file for k-space in BART's dimensions, and its pattern, or None for the samples that are not zero.

    Raises ValueError for dimensions that ISMRMRD has no numbers for.
    """
    import h5py
    check_ismrmrd(name, kspace.shape, geometry)
    measured = kspace != 0 if pattern is None else pattern
    where = np.broadcast_to(measured.any(COIL), (*kspace.shape[:COIL], *kspace.shape[BEYOND:]))
    heads, lines = _acquisitions(kspace, where, geometry)
    kind = np.dtype([("head", ACQUISITION_HEADER), ("traj", h5py.vlen_dtype("<f4")), ("data", h5py.vlen_dtype("<f4"))])
    records = np.empty(len(heads), kind)
    records["head"] = heads
    for number, line in enumerate(lines):
        records["data"][number], records["traj"][number] = line.view(np.float32).ravel(), np.zeros(0, np.float32)
    text = io.BytesIO()
    with h5py.File(text, "w") as file:
        file.create_dataset(f"{STANDARD_GROUP}/xml", data=[_header(kspace.shape, geometry)], dtype=h5py.string_dtype())
        file[f"{STANDARD_GROUP}/data"] = records
    yield name, Path(name), lambda file: file.write(text.getbuffer())


def _acquisitions(kspace: Array, where: Array, geometry: tuple[Geometry, ...] | None) -> tuple[Array, list[Array]]:
    """Return headers and samples (coil, samples) of the measured parts of lines, of (READ, PHS1, PHS2, MAPS, …)."""
    heads: list[Array] = []
    lines: list[Array] = []
    for place in itertools.product(*map(range, kspace.shape[BEYOND:])):
        counters = {name: place[axis - BEYOND] for name, axis in AXES.items()}
        here, mask = kspace[index_of(place)], where[index_of(place)]
        for second, first in itertools.product(range(kspace.shape[2]), range(kspace.shape[1])):
            ends = np.flatnonzero(np.diff(mask[:, first, second], prepend=False, append=False)).reshape(-1, 2)
            for start, stop in ends.tolist():
                begin = min(start, len(mask) // 2)  # A line without its centre begins there, and discards what follows.
                head = np.zeros((), ACQUISITION_HEADER)
                head["version"], head["scan_counter"], head["number_of_samples"] = 1, len(heads) + 1, stop - begin
                head["active_channels"] = head["available_channels"] = kspace.shape[COIL]
                head["center_sample"], head["discard_pre"] = len(mask) // 2 - begin, start - begin
                head["idx"]["kspace_encode_step_1"], head["idx"]["kspace_encode_step_2"] = first, second
                for name, value in counters.items():
                    head["idx"][name] = value
                if geometry:
                    one = geometry[place[SLICE - BEYOND]]
                    head["position"] = one.position
                    head["read_dir"], head["phase_dir"], head["slice_dir"] = one.directions
                heads.append(head)
                lines.append(np.ascontiguousarray(here[begin:stop, first, second].T, np.complex64))
    return np.array(heads, ACQUISITION_HEADER), lines


def _header(shape: Shape, geometry: tuple[Geometry, ...] | None) -> str:
    """Return the XML header of k-space without oversampling."""
    sides = geometry[0].voxel if geometry else (UNKNOWN_SIDE,) * COIL
    root = ElementTree.Element("ismrmrdHeader", xmlns=NAMESPACE)
    put(root, "experimentalConditions/H1resonanceFrequency_Hz", "0")  # not known, but the standard wants it
    for space in ("encodedSpace", "reconSpace"):
        for axis, n in zip("xyz", shape):
            put(root, f"encoding/{space}/matrixSize/{axis}", str(n))
        for axis, n, side in zip("xyz", shape, sides):
            put(root, f"encoding/{space}/fieldOfView_mm/{axis}", repr(n * side))
    for number, n in ((1, shape[1]), (2, shape[2])):
        for name, value in {"minimum": 0, "maximum": n - 1, "center": n // 2}.items():
            put(root, f"encoding/encodingLimits/kspace_encoding_step_{number}/{name}", str(value))
    put(root, "encoding/trajectory", "cartesian")
    return ElementTree.tostring(root, encoding="unicode")
