"""Facts of the scan and the patient in the XML header of raw data, by the keywords that DICOM gives them."""

from collections.abc import Iterable
from xml.etree import ElementTree

from .ismrmrd_header import path_of

# {keyword of DICOM: place in the header}.
PLACES = {
    "PatientName": "subjectInformation/patientName", "PatientID": "subjectInformation/patientID",
    "PatientBirthDate": "subjectInformation/patientBirthdate", "PatientSex": "subjectInformation/patientGender",
    "PatientWeight": "subjectInformation/patientWeight_kg", "PatientSize": "subjectInformation/patientHeight_m",
    "StudyDate": "studyInformation/studyDate", "StudyTime": "studyInformation/studyTime",
    "StudyID": "studyInformation/studyID", "StudyDescription": "studyInformation/studyDescription",
    "AccessionNumber": "studyInformation/accessionNumber",
    "ReferringPhysicianName": "studyInformation/referringPhysicianName",
    "ProtocolName": "measurementInformation/protocolName",
    "PatientPosition": "measurementInformation/patientPosition",
    "Manufacturer": "acquisitionSystemInformation/systemVendor",
    "ManufacturerModelName": "acquisitionSystemInformation/systemModel",
    "MagneticFieldStrength": "acquisitionSystemInformation/systemFieldStrength_T",
    "InstitutionName": "acquisitionSystemInformation/institutionName",
    "StationName": "acquisitionSystemInformation/stationName",
    "RepetitionTime": "sequenceParameters/TR", "EchoTime": "sequenceParameters/TE",
    "FlipAngle": "sequenceParameters/flipAngle_deg"}
ALL_VALUES = ("EchoTime",)  # There is one for each echo; of others the first counts.
DATES_AND_TIMES = ("PatientBirthDate", "StudyDate", "StudyTime")


def tags_of(texts: Iterable[bytes]) -> dict[str, str]:
    """Return {keyword: value} of what the copies of a header say; several values are joined as in DICOM."""
    text = next((text for text in texts if text.strip()), b"<none/>")
    root, tags = ElementTree.fromstring(text), {}
    for keyword, place in PLACES.items():
        nodes = root.findall(path_of(place))
        values = [value for node in nodes if (value := (node.text or "").strip())]
        if values:
            tags[keyword] = "\\".join(values if keyword in ALL_VALUES else values[:1])
    for keyword in DATES_AND_TIMES:
        if keyword in tags:
            tags[keyword] = tags[keyword].replace("-", "").replace(":", "")
    return tags
