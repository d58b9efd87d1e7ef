"""The XML header of an ISMRMRD file, as far as a reconstruction needs it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

Node: TypeAlias = "ElementTree.Element[str]"

NAMESPACE = "http://www.ismrm.org/ISMRMRD"
LARGEST = 65535       # The standard stores sizes and counters in 16 bits.
NOT_WHOLE = 0.01      # Exporters write sizes with rounding errors, such as 35.9996; more than this is another number.


@dataclass(frozen=True)
class Encoding:
    """One <encoding> of the header.

    matrix: size of the encoded space, (x, y, z): readout, phase encoding, partitions.
    fov: field of view of the encoded space along x, y and z in mm, 0 where it is not given.
    fov_ratio: field of view of the encoded space by that of the image, along the readout, at least 1; 1 where one of
    them is not given.
    centers: numbers of the central line in the phase encoding and of the central partition, None if not given.
    calibration: the calibrationMode, or an empty text if it is not given.
    """

    trajectory: str
    matrix: tuple[int, int, int]
    fov: tuple[float, float, float]
    fov_ratio: float
    centers: tuple[int | None, int | None]
    calibration: str


@dataclass(frozen=True)
class Header:
    """The header of a file: its encodings, and the counter that numbers diffusion weightings, or an empty text."""

    encodings: tuple[Encoding, ...]
    diffusion_counter: str


def read_header(path: Path, texts: Iterable[bytes]) -> Header:
    """Read the header, which the file may hold several times.

    Raises ValueError if it is damaged, or if its copies differ.
    """
    headers = {_parse(path, text) for text in texts if text.strip()}
    if len(headers) != 1:
        raise ValueError(f"{path}: expected one XML header, got {len(headers) or 'none'}"
                         + (" that differ" if headers else ""))
    return headers.pop()


def _parse(path: Path, text: bytes) -> Header:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{path}: expected a header in XML ({error})") from None
    encodings = tuple(_encoding(path, node) for node in root.iterfind("{*}encoding"))
    if not encodings:
        raise ValueError(f"{path}: expected an <encoding> in the XML header, got none")
    return Header(encodings, _text(root, "sequenceParameters/diffusionDimension").lower())


def _encoding(path: Path, node: Node) -> Encoding:
    nx, ny = (_whole(path, node, f"encodedSpace/matrixSize/{axis}", 1) for axis in "xy")
    nz, centers = "encodedSpace/matrixSize/z", [f"encodingLimits/kspace_encoding_step_{n}/center" for n in (1, 2)]
    center, central = (_whole(path, node, place, 0) if _text(node, place) else None for place in centers)
    matrix = nx, ny, _whole(path, node, nz, 1) if _text(node, nz) else 1
    encoded, y, z = (_field(path, node, axis, matrix[2] > 1) for axis in "xyz")
    image = _number(path, node, "reconSpace/fieldOfView_mm/x")
    return Encoding(trajectory=_text(node, "trajectory").lower(),
                    matrix=matrix,
                    fov=(encoded, y, z),
                    fov_ratio=max(1.0, encoded / image) if encoded and image else 1.0,
                    centers=(center, central),
                    calibration=_text(node, "parallelImaging/calibrationMode").lower())


def _field(path: Path, node: Node, axis: str, is_3d: bool) -> float:
    """Return a side of the encoded field of view, 0 if it is not given; only y and z of 2-D scans may be no number."""
    try:
        return _number(path, node, f"encodedSpace/fieldOfView_mm/{axis}")
    except ValueError:
        if axis == "x" or is_3d:
            raise
        return 0.0


def path_of(place: str) -> str:
    """Return the path of ElementTree to a place such as a/b/c, in any namespace."""
    return "/".join(f"{{*}}{name}" for name in place.split("/"))


def put(root: Node, place: str, text: str) -> None:
    """Write a text at a place such as a/b/c; nodes that are missing are made."""
    for name in place.split("/"):
        found = root.find(name)
        root = ElementTree.SubElement(root, name) if found is None else found
    root.text = text


def _text(node: Node, place: str) -> str:
    """Return the text at a place; empty if there is none."""
    return (node.findtext(path_of(place)) or "").strip()


def _number(path: Path, node: Node, place: str) -> float:
    """Return the number at a place, 0 if there is none.  Raises ValueError for a text, or a negative number."""
    text = _text(node, place) or "0"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{path}: header: expected a positive number as {place}, got {text[:20]!r}")
    return number


def _whole(path: Path, node: Node, place: str, least: int) -> int:
    """Return the number at a place, whole up to rounding.  Raises ValueError for others, and where it is missing."""
    number = _number(path, node, place)
    if abs(number - round(number)) > NOT_WHOLE or not least <= round(number) <= LARGEST:
        raise ValueError(f"{path}: header: expected a whole number from {least} to {LARGEST} as {place},"
                         f" got {_text(node, place)[:20] or 'none'}")
    return round(number)
