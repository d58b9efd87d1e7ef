"""DICOM files: MR images, one file for each slice, with new identifiers and the place in the patient."""

import itertools
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL, SLICE, TE, index_of
from ..arrays.doubts import doubt
from ..arrays.extras import optional
from ..version import __version__
from .dicom_plane import as_shown
from .geometry import Geometry, nowhere
from .image_origin import IMAGE, SAMPLES, SENS, STD, Content, Images
from .outputs import Target

SOURCE = "bart_pogmdm"  # By this text in the head of a file an earlier output is recognised.
PREAMBLE = 128          # Bytes of a DICOM file before its signature.
HEAD = 1024             # Bytes of a file, in which this text stands.
PIXEL_TOP = 65535       # Pixels have 16 bits.
BRIGHTEST = 0.995       # The quantile at which the window of a viewer ends, as in our own pictures.
TEXT = 1024             # Letters of the longest attribute that is written.
# Attributes of the scan that say nothing about the patient; all others are only written if that is asked for.
OF_THE_SCAN = ("Manufacturer", "ManufacturerModelName", "PatientPosition", "MagneticFieldStrength",
               "RepetitionTime", "EchoTime", "FlipAngle")
# Attributes that must be there, though they may be empty.
EMPTY = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
         "ReferringPhysicianName", "AccessionNumber", "Manufacturer", "PatientPosition", "PositionReferenceIndicator",
         "RepetitionTime", "EchoTime", "ScanOptions", "EchoTrainLength", "Laterality")
SERIES = {IMAGE: 1, STD: 2, SENS: 3, SAMPLES: 4}
NAMES = {IMAGE: "image", STD: "standard deviation", SENS: "coil sensitivities", SAMPLES: "samples of the posterior"}


def folder_target(name: str) -> Target:
    """Return a folder as an output: it may hold DICOM files of this package, which are replaced, and nothing else."""
    folder = Path(name)
    present = sorted(folder.iterdir()) if folder.is_dir() else []
    return Target(name, (_file_in(folder, 1),), {path: _is_own for path in present if path != _file_in(folder, 1)},
                  makes_folders=True)


def check_folder(name: str, shape: Shape, geometry: object) -> None:
    """Raise ImportError without pydicom."""
    pydicom_package()


def check_file(name: str, shape: Shape, geometry: object) -> None:
    """Raise ValueError for more than one image, ImportError without pydicom."""
    pydicom_package()
    if (count := math.prod(shape[2:])) > 1:
        raise ValueError(f"output {name}: expected the name of a folder, as {Path(name).with_suffix('')}/, for"
                         f" {count} images, got that of one DICOM file")


def encode_folder(images: Images) -> Iterator[Content]:
    """Yield a file for each slice or partition, numbered in their order, echoes and others one after another."""
    for number, dataset in enumerate(_datasets(images), 1):
        yield images.name, _file_in(images.path, number), partial(_save, dataset)


def encode_file(images: Images) -> Iterator[Content]:
    """Yield one file."""
    for dataset in _datasets(images):
        yield images.name, images.path, partial(_save, dataset)


def remove_others(folder: Path, written: Sequence[Path]) -> None:
    """Remove the files of an earlier run from a folder."""
    for path in folder.iterdir():
        if path not in written and _is_own(path):
            path.unlink()


def _file_in(folder: Path, number: int) -> Path:
    return folder / f"{number:04}.dcm"


def _is_own(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(HEAD)
    return head[PREAMBLE:].startswith(b"DICM") and SOURCE.encode() in head


def _datasets(images: Images) -> Iterator[Any]:
    """Yield the data set of each image."""
    values, shape = images.values, images.values.shape
    if not np.isfinite(values).all():
        doubt(f"output {images.name}: NaN and infinite pixels are written as 0, because DICOM holds whole numbers")
        values = np.where(np.isfinite(values), values, 0)
    low, step = _scaling(images, values)
    series = _series(images, low, step, float(np.quantile(values, BRIGHTEST)))
    others = [range(n) for axis, n in enumerate(shape) if axis >= COIL and axis != SLICE]
    number = itertools.count(1)
    for index in itertools.product(*others):
        place: tuple[int | slice, ...] = (*index[:SLICE - COIL], slice(None), *index[SLICE - COIL:])
        stack = values[index_of(place)]
        for at, partition in itertools.product(range(shape[SLICE]), range(shape[2])):
            pixels = np.clip(np.rint((stack[:, :, partition, at] - low) / step), 0, PIXEL_TOP).astype("<u2")
            where = images.origin.geometry[at] if images.origin.geometry else nowhere(shape[:COIL], at)
            yield _dataset(series, images, pixels, where.partition(partition, shape[2]), next(number), index[TE - COIL])


def _scaling(images: Images, values: Array) -> tuple[float, float]:
    """Return the value of pixel 0 and that of a step: 1 where the image has been scaled to whole numbers."""
    low, high = min(0.0, float(values.min())), float(values.max())
    if images.style.largest and images.role not in (STD, SENS) and low == 0 and 1 < images.style.largest <= PIXEL_TOP:
        return 0.0, 1.0
    return low, (high - low) / PIXEL_TOP or 1.0


def _series(images: Images, low: float, step: float, bright: float) -> Mapping[str, Any]:
    """Return the attributes that all images of an output share."""
    origin, now = images.origin, datetime.now()
    tags = {key: text for key, text in origin.tags.items()
            if (key in OF_THE_SCAN or not images.style.anonymous) and _is_valid(key, text)}
    hidden = {"PatientName": "Anonymous^", "PatientID": origin.identity[:8], "PatientIdentityRemoved": "YES",
              "DeidentificationMethod": f"{SOURCE}: nothing of the patient was copied"}
    description = ("PoGMDM " if origin.provenance else "") + NAMES[images.role] + (
        f", {images.style.part}" if images.role != STD else "")
    return dict.fromkeys(EMPTY, "") | tags | (hidden if images.style.anonymous else {}) | {
        "StudyInstanceUID": _uid(origin.identity), "FrameOfReferenceUID": _uid(origin.identity, "place"),
        "SeriesInstanceUID": _uid(origin.identity, images.name), "SeriesNumber": SERIES[images.role],
        "Modality": "MR", "SeriesDescription": description,
        "SoftwareVersions": f"{SOURCE} {__version__}", "DerivationDescription": origin.sentence[:TEXT],
        "ImageType": ["DERIVED", "PRIMARY", "OTHER", "STD" if images.role == STD else images.style.part[0].upper()],
        "ScanningSequence": "RM", "SequenceVariant": "NONE", "ContentDate": now.strftime("%Y%m%d"),
        "ContentTime": now.strftime("%H%M%S"), "RescaleSlope": _decimal(step), "RescaleIntercept": _decimal(low),
        "RescaleType": "US", "VOILUTFunction": "LINEAR_EXACT", "WindowCenter": _decimal((low + bright) / 2),
        "WindowWidth": _decimal(max(bright - low, step)), "LossyImageCompression": "00"}


def _dataset(series: Mapping[str, Any], images: Images, pixels: Array, where: Geometry, number: int, echo: int) -> Any:
    """Return the data set of one image (READ, PHS1)."""
    pydicom = pydicom_package()
    dataset = pydicom.Dataset()
    for key, value in series.items():
        setattr(dataset, key, _echo(value, echo) if key == "EchoTime" else value)
    shown, position, directions, spacing = as_shown(pixels, where)
    dataset.SOPClassUID = pydicom.uid.MRImageStorage
    dataset.SOPInstanceUID = _uid(images.origin.identity, images.name, str(number))
    dataset.InstanceNumber, dataset.EchoNumbers = number, echo + 1
    dataset.MRAcquisitionType = "3D" if images.values.shape[2] > 1 else "2D"
    dataset.ImagePositionPatient = [_decimal(value) for value in position]
    dataset.ImageOrientationPatient = [_decimal(value) for value in directions]
    dataset.PixelSpacing, dataset.SliceThickness = [_decimal(side) for side in spacing], _decimal(where.voxel[2])
    dataset.Rows, dataset.Columns = shown.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelData = np.ascontiguousarray(shown).tobytes()
    block = dataset.private_block(0x0075, SOURCE, create=True)
    block.add_new(0x01, "UT", json.dumps({"version": __version__, **images.origin.provenance}))
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.ImplementationVersionName = SOURCE
    dataset.file_meta = meta
    return dataset


def _is_valid(key: str, text: str) -> bool:
    """Return True if DICOM takes a text of a header as the value of an attribute."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            setattr(pydicom_package().Dataset(), key, text)
        except (ValueError, TypeError, OverflowError, UserWarning):
            return False
    return True


def _save(dataset: Any, file: Any) -> None:
    dataset.save_as(file, enforce_file_format=True)


def _echo(times: str, echo: int) -> str:
    """Return the time of an echo, of all in a text; empty where they do not say it."""
    found = times.split("\\")
    return found[echo] if echo < len(found) else ""


def _decimal(value: float) -> str:
    """Return a number as DICOM writes decimals: at most 16 letters."""
    from pydicom.valuerep import format_number_as_ds
    return format_number_as_ds(float(value))


def _uid(*words: str) -> str:
    return str(pydicom_package().uid.generate_uid(entropy_srcs=[SOURCE, *words]))


def pydicom_package() -> ModuleType:
    """Return pydicom.  Raises ImportError that names the extra."""
    return optional("pydicom", "DICOM files need")
