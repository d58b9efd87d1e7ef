"""Images as ISMRMRD defines them: a header of 198 bytes, attributes in XML, and pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..arrays.array_types import Array

VERSION = 1
DIRECTIONS = ("read_dir", "phase_dir", "slice_dir")  # Of the header of an acquisition or image, in LPS.
# The header of an image, without gaps between its fields, as it is in a stream and in HDF5.
IMAGE_HEADER = np.dtype([
    ("version", "<u2"), ("data_type", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"),
    ("matrix_size", "<u2", (3,)), ("field_of_view", "<f4", (3,)), ("channels", "<u2"), ("position", "<f4", (3,)),
    ("read_dir", "<f4", (3,)), ("phase_dir", "<f4", (3,)), ("slice_dir", "<f4", (3,)),
    ("patient_table_position", "<f4", (3,)), ("average", "<u2"), ("slice", "<u2"), ("contrast", "<u2"),
    ("phase", "<u2"), ("repetition", "<u2"), ("set", "<u2"), ("acquisition_time_stamp", "<u4"),
    ("physiology_time_stamp", "<u4", (3,)), ("image_type", "<u2"), ("image_index", "<u2"),
    ("image_series_index", "<u2"), ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,)),
    ("attribute_string_len", "<u4")])
# The types of pixels by their numbers in the header.
PIXELS = dict(enumerate(map(np.dtype, ("<u2", "<i2", "<u4", "<i4", "<f4", "<f8", "<c8", "<c16")), start=1))
# The kinds of images by their numbers in the header.
IMAGE_TYPES = {"magnitude": 1, "phase": 2, "real": 3, "imaginary": 4, "complex": 5}
Attributes = Mapping[str, Any]  # A name has a number, a text, or a list of them.


@dataclass(frozen=True, eq=False)
class IsmrmrdImage:
    """One image of the standard.

    pixels: (channels, z, y, x), of one of the types in PIXELS; x is the readout, y and z are the phase encodings.
    kind: one of IMAGE_TYPES.  header: other fields of the header.  attributes: {name: value or list of values}.
    """

    pixels: Array
    kind: str
    header: Mapping[str, Any] = field(default_factory=dict)
    attributes: Attributes = field(default_factory=dict)

    def head(self) -> Array:
        """Return the header, an array () of type IMAGE_HEADER.  Raises ValueError for pixels it cannot describe."""
        pixels = self.pixels
        numbers = [number for number, kind in PIXELS.items() if kind == pixels.dtype]
        if not numbers or pixels.ndim != 4 or max(pixels.shape) >= 1 << 16:
            kinds = ", ".join(map(str, PIXELS.values()))
            raise ValueError(f"image: expected pixels (channels, z, y, x) of {kinds}, with sizes below {1 << 16},"
                             f" got {pixels.dtype} {pixels.shape}")
        head = np.zeros((), IMAGE_HEADER)
        for name, value in self.header.items():
            head[name] = value
        head["version"], head["data_type"], head["image_type"] = VERSION, numbers[0], IMAGE_TYPES[self.kind]
        head["channels"], head["matrix_size"] = pixels.shape[0], pixels.shape[:0:-1]
        head["attribute_string_len"] = len(write_attributes(self.attributes).encode())
        return head

    def encoded(self) -> bytes:
        """Return the image as in a stream: header, number of bytes of the attributes, attributes, pixels."""
        attributes = write_attributes(self.attributes).encode()
        return b"".join((self.head().tobytes(), len(attributes).to_bytes(8, "little"), attributes,
                         np.ascontiguousarray(self.pixels).tobytes()))


def write_attributes(attributes: Attributes) -> str:
    """Return attributes as XML, an empty text for none."""
    if not attributes:
        return ""
    root = ElementTree.Element("ismrmrdMeta")
    for name, value in attributes.items():
        meta = ElementTree.SubElement(root, "meta")
        ElementTree.SubElement(meta, "name").text = name
        for one in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            ElementTree.SubElement(meta, "value").text = str(one)
    return ElementTree.tostring(root, encoding="unicode")
