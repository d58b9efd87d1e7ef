"""Images of a reconstruction as the protocol sends them, with the place and the numbers of their acquisitions."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BEYOND, DIMS, SLICE, index_of
from ..arrays.modules import move
from ..files.geometry import Geometry
from ..files.ismrmrd_images import IsmrmrdImage
from ..files.ismrmrd_lines import AXES, Lines
from ..reconstruction.outputs import Outputs
from ..version import __version__
from .request import Request

IMAGE_SERIES, STD_SERIES = 1, 2
# Fields of the header of an acquisition that its image has as well.
SAME = ("measurement_uid", "position", "read_dir", "phase_dir", "slice_dir", "patient_table_position",
        "acquisition_time_stamp", "physiology_time_stamp")


class Answers:
    """The images of one reconstruction, in the order in which they are asked for.

    lines: the lines of the raw data.  geometry: that of each slice, or None.
    """

    def __init__(self, request: Request, lines: Lines, geometry: tuple[Geometry, ...] | None, prior: Any) -> None:
        self._request, self._lines, self._geometry = request, lines, geometry
        self._made_by = [f"pogmdm {__version__}", request.options.method.name,
                         f"{getattr(prior, 'name', type(prior).__name__)} {getattr(prior, 'digest', '')}".strip()]
        self.count = 0

    def images(self, outputs: Outputs, indices: list[Shape]) -> Iterator[IsmrmrdImage]:
        """Yield image and standard deviation of finished slices, which their indices in the loop name."""
        factor = self._factor(outputs)
        for index in indices:
            self.count += 1
            place = index[BEYOND - len(DIMS):]
            image = _pixels(outputs.image, place)
            if not self._request.is_complex:
                yield self._image(_scaled(abs(image), factor), "magnitude", place, IMAGE_SERIES, factor)
            else:
                yield self._image(image, "complex", place, IMAGE_SERIES, factor)
            if outputs.std is not None:
                yield self._image(_scaled(_pixels(outputs.std, place), factor), "magnitude", place, STD_SERIES, factor)

    def _factor(self, outputs: Outputs) -> float | None:
        """Return the factor of the pixels, the same for all slices of both series; None: they stay as they are."""
        if self._request.peak is None:
            return None
        largest = float(abs(outputs.image).max())
        return self._request.peak / largest if largest > 0 else 1.0

    def _image(self, pixels: Array, kind: str, place: Shape, series: int, factor: float | None) -> IsmrmrdImage:
        head = self._lines.heads[np.argmax((self._lines.places == place).all(1))]
        fields: dict[str, Any] = {name: head[name] for name in SAME} | {name: head["idx"][name] for name in AXES}
        fields |= {"image_index": self.count, "image_series_index": series}
        if self._geometry is not None:
            geometry = self._geometry[place[SLICE - BEYOND] if len(self._geometry) > 1 else 0]
            fields["field_of_view"] = geometry.field_of_view(pixels.shape[:0:-1])
        is_std = series == STD_SERIES
        attributes: dict[str, Any] = {
            "DataRole": "Quantitative" if is_std else "Image",
            "SeriesDescription": ["pogmdm", "std"] if is_std else "pogmdm",
            "ImageProcessingHistory": "pogmdm", "ImageComment": self._made_by, "Keep_image_geometry": 1,
            "ImageRowDir": list(map(float, head["read_dir"])), "ImageColumnDir": list(map(float, head["phase_dir"]))}
        if factor is not None:
            attributes |= {"RescaleSlope": 1 / factor, "RescaleIntercept": 0}
        return IsmrmrdImage(pixels, kind, fields, attributes)


def _pixels(array: Array, place: Shape) -> Array:
    """Return an image (channel, z, y, x) of an array in BART's dimensions, at a place in those beyond COIL."""
    image: Array = move(array[index_of(place)], np)[..., 0]
    return image.T[None]


def _scaled(pixels: Array, factor: float | None) -> Array:
    """Return magnitudes times a factor as whole numbers, and without a factor as they are."""
    if factor is None:
        return pixels
    return np.minimum(np.rint(pixels * factor), np.iinfo(np.uint16).max).astype(np.uint16)
