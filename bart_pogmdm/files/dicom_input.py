"""DICOM files, or a folder with those of a series, as images in BART's dimensions with their place in the patient."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import DIMS, SLICE, TE
from .dicom import pydicom_package
from .geometry import Geometry, all_known, geometry_of
from .reading import check_bytes, reading


def read_dicom(path: Path) -> tuple[Array, tuple[Geometry, ...] | None]:
    """Read real images, the columns along READ and the rows along PHS1, by place along SLICE and by echo along TE.

    Raises FileNotFoundError, ValueError for files that are damaged or no series of equal images, and ImportError
    without pydicom.
    """
    pydicom_package()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [_read(file) for file in files if not file.name.startswith(".")]
    series = {(str(one.get("SeriesInstanceUID", "")), one["pixels"].shape) for one in found}
    if len(series) != 1:
        raise ValueError(f"{path}: expected DICOM files of one series, all of one size, got {len(series) or 'none'}")
    echoes = sorted({one["echo"] for one in found})
    per_echo = [sorted((one for one in found if one["echo"] == echo), key=lambda one: one["place"]) for echo in echoes]
    places = [one["place"] for one in per_echo[0]]
    if any([one["place"] for one in group] != places for group in per_echo) or len(set(places)) < len(places):
        raise ValueError(f"{path}: expected each echo at each place once, got {len(found)} files of {len(echoes)}"
                         " echoes")
    shape = [1] * len(DIMS)
    shape[0], shape[1] = found[0]["pixels"].shape
    shape[TE], shape[SLICE] = len(echoes), len(places)
    stack = np.stack([np.stack([one["pixels"] for one in group], -1) for group in per_echo], 2)
    return stack.reshape(shape), all_known(one["geometry"] for one in per_echo[0])


def _read(path: Path) -> dict[str, Any]:
    """Return the pixels (READ, PHS1) of a file, its echo, its place along the normal, and its geometry."""
    pydicom = pydicom_package()
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A damaged file is an error in one sentence.
        check_bytes(path.stat().st_size, path)
        dataset = pydicom.dcmread(path)
        pixels = np.asarray(dataset.pixel_array)
        if pixels.ndim != 2:
            raise ValueError(f"expected one grey image, got pixels {pixels.shape}")
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        values = (pixels.T * slope + intercept).astype(np.float32)
        geometry = _geometry(dataset, values.shape)
        place = float(np.dot(geometry.position, geometry.directions[2])) if geometry else float(
            dataset.get("InstanceNumber") or 0)
        return {"pixels": values, "echo": int(dataset.get("EchoNumbers") or 1), "place": place, "geometry": geometry,
                "SeriesInstanceUID": dataset.get("SeriesInstanceUID", "")}


def _geometry(dataset: Any, shape: tuple[int, ...]) -> Geometry | None:
    """Return the geometry of an image; None if the file does not say it."""
    names = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    if any(not dataset.get(name) for name in names):
        return None
    corner, directions, spacing = (np.array(dataset.get(name), float) for name in names)
    read, phase = directions[:3], directions[3:]
    down, right = spacing
    centre = corner + right * (shape[0] // 2) * read + down * (shape[1] // 2) * phase
    thickness = float(dataset.get("SliceThickness") or 1)
    return geometry_of(centre, [read, phase, np.cross(read, phase)], (float(right), float(down), thickness))
