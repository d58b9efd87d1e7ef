"""The header of Siemens' raw data as the XML header of ISMRMRD."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from xml.etree import ElementTree

from ..arrays.array_types import Array
from .ismrmrd_header import NAMESPACE, put
from .twix_lines import CENTER_LINE, CENTER_PARTITION

Parts: TypeAlias = Mapping[str, Mapping[str, Any]]

IN_3D = 4                                     # The number of a 3-D scan.
CARTESIAN = 1                                 # The number of a Cartesian trajectory.
CALIBRATION = {2: "embedded", 4: "separate"}  # Modes of the reference scan by their numbers.
NO_ACCELERATION = 1
SEXES = {"1": "F", "2": "M", "3": "O"}
MICROSECONDS = 1e-3                           # in ms
# Places in the header, and in the parts of Siemens' one, of which the first that says something counts.
TEXTS = {
    "subjectInformation/patientName": ("Dicom.tPatientName", "Meas.tPatientName"),
    "subjectInformation/patientWeight_kg": ("Dicom.flUsedPatientWeight", "Meas.flUsedPatientWeight"),
    "subjectInformation/patientID": ("Meas.PatientID", "Config.PatientID"),
    "subjectInformation/patientBirthdate": ("Meas.PatientBirthDay", "Config.PatientBirthDay"),
    "subjectInformation/patientGender": ("Meas.lPatientSex", "Dicom.lPatientSex"),
    "measurementInformation/patientPosition": ("Meas.tPatientPosition", "Meas.sPatPosition"),
    "measurementInformation/protocolName": ("MeasYaps.tProtocolName", "Meas.tProtocolName"),
    "acquisitionSystemInformation/systemVendor": ("Dicom.Manufacturer", "Meas.Manufacturer"),
    "acquisitionSystemInformation/systemModel": ("Dicom.ManufacturersModelName", "Meas.ManufacturersModelName"),
    "acquisitionSystemInformation/systemFieldStrength_T": ("Dicom.flMagneticFieldStrength",),
    "acquisitionSystemInformation/institutionName": ("Dicom.InstitutionName", "Meas.InstitutionName"),
    "experimentalConditions/H1resonanceFrequency_Hz": ("Dicom.lFrequency", "Meas.lFrequency")}
# The same for times in microseconds and angles in degrees, which are lists.
LISTS = {"TR": ("MeasYaps.alTR", MICROSECONDS), "TE": ("MeasYaps.alTE", MICROSECONDS),
         "TI": ("MeasYaps.alTI", MICROSECONDS), "flipAngle_deg": ("MeasYaps.adFlipAngleDegree", 1.0)}


@dataclass(frozen=True)
class Sizes:
    """Matrix and field of view in mm of a scan, (x, y, z); the image has no oversampling of the readout.

    oversampling: of the readout.  is_general: the lines are others than the header says, so that it is that of a
    protocol in which a program such as Pulseq has run.
    """

    matrix: tuple[int, int, int]
    fov: tuple[float, float, float]
    oversampling: float
    is_general: bool


def sizes_of(parts: Parts, heads: Array) -> Sizes:
    """Return the sizes of a scan whose image has these lines; a field of view that is not given is 0."""
    base = number_at(parts, "MeasYaps.sKSpace.lBaseResolution")
    slab = value_at(parts, "MeasYaps.sSliceArray.asSlice")
    fields = slab[0] if isinstance(slab, list) and slab and isinstance(slab[0], Mapping) else {}
    x, y, z = (_positive(fields.get(name)) for name in ("dReadoutFOV", "dPhaseFOV", "dThickness"))
    lines = int(heads["idx"]["kspace_encode_step_1"].max()) + 1
    partitions = int(heads["idx"]["kspace_encode_step_2"].max()) + 1
    height = round(number_at(parts, "Meas.iPEFTLength") or number_at(parts, "MeasYaps.sKSpace.lPhaseEncodingLines"))
    is_3d = value_at(parts, "MeasYaps.sKSpace.ucDimension") == IN_3D and partitions > 1
    depth = round(number_at(parts, "Meas.i3DFTLength")) if is_3d else 1
    oversampling = number_at(parts, "Dicom.flReadoutOSFactor") or number_at(parts, "Meas.flReadoutOSFactor") or 1.0
    y *= 1 + number_at(parts, "MeasYaps.sKSpace.dPhaseOversamplingForDialog")
    z *= 1 + number_at(parts, "MeasYaps.sKSpace.dSliceOversamplingForDialog") * is_3d
    if base < 1 or lines > height or partitions > depth:
        samples = int(heads["number_of_samples"].max())
        return Sizes((samples, lines, partitions), (x, y, z), 1.0, True)
    return Sizes((round(base * oversampling), height, depth), (x * oversampling, y, z), oversampling, False)


def header_of(parts: Parts, sizes: Sizes, heads: Array) -> bytes:
    """Return the header for the lines of the image."""
    root = ElementTree.Element("ismrmrdHeader", xmlns=NAMESPACE)
    for place, names in TEXTS.items():
        if text := next((text for name in names if (text := _text(value_at(parts, name)))), ""):
            put(root, place, SEXES.get(text, "O") if place.endswith("Gender") else text)
    encoding = ElementTree.SubElement(root, "encoding")
    for space, factor in (("encodedSpace", 1.0), ("reconSpace", sizes.oversampling)):
        for axis, size, side, divisor in zip("xyz", sizes.matrix, sizes.fov, (factor, 1.0, 1.0)):
            put(encoding, f"{space}/matrixSize/{axis}", str(round(size / divisor)))
            put(encoding, f"{space}/fieldOfView_mm/{axis}", repr(side / divisor))
    centers = heads["idx"]["user"][:, CENTER_LINE], heads["idx"]["user"][:, CENTER_PARTITION]
    for number, (steps, center) in enumerate(zip(("kspace_encode_step_1", "kspace_encode_step_2"), centers), 1):
        limits = {"minimum": 0, "maximum": int(heads["idx"][steps].max()), "center": int(center.max())}
        for name, value in limits.items():
            put(encoding, f"encodingLimits/kspace_encoding_step_{number}/{name}", str(value))
    trajectory = value_at(parts, "MeasYaps.sKSpace.ucTrajectory")
    put(encoding, "trajectory", "cartesian" if trajectory in (CARTESIAN, None) else "other")
    factors = [round(number_at(parts, f"MeasYaps.sPat.{name}")) or 1 for name in ("lAccelFactPE", "lAccelFact3D")]
    if max(factors) > NO_ACCELERATION:
        for number, factor in enumerate(factors, 1):
            put(encoding, f"parallelImaging/accelerationFactor/kspace_encoding_step_{number}", str(factor))
        mode = CALIBRATION.get(round(number_at(parts, "MeasYaps.sPat.ucRefScanMode")), "other")
        put(encoding, "parallelImaging/calibrationMode", mode)
    echoes = max(1, round(number_at(parts, "MeasYaps.lContrasts")))
    parameters = ElementTree.SubElement(root, "sequenceParameters")
    for name, (place, unit) in LISTS.items():
        values = value_at(parts, place)
        for value in (values if isinstance(values, list) and not sizes.is_general else [])[:echoes]:
            if isinstance(value, (int, float)):
                ElementTree.SubElement(parameters, name).text = repr(value * unit)
    return ElementTree.tostring(root)


def value_at(parts: Parts, place: str) -> Any:
    """Return what stands at a place such as MeasYaps.sKSpace.ucDimension; None if there is nothing."""
    found: Any = parts
    for name in place.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def number_at(parts: Parts, place: str) -> float:
    """Return the number at a place, 0 for anything that is no number above 0."""
    return _positive(value_at(parts, place))


def _positive(value: Any) -> float:
    is_number = isinstance(value, (int, float)) and math.isfinite(value) and value > 0
    return float(value) if is_number else 0.0


def _text(value: Any) -> str:
    """Return a value as text, empty for none; whole numbers have no decimals."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (Mapping, list, bool)) or value is None:
        return ""
    return " ".join("".join(letter for letter in str(value) if letter.isprintable()).split())
