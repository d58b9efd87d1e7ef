"""The lines of Siemens' raw data with the headers that ISMRMRD gives to acquisitions."""

import numpy as np

from ..arrays.array_types import Array
from .ismrmrd_acquisitions import ACQUISITION_HEADER

# Bits of Siemens' mask, and the numbers of the flags of ISMRMRD with the same meaning.
REFERENCE, REFERENCE_AND_IMAGE = 22, 23
FLAGS = {25: 19, REFERENCE: 20, REFERENCE_AND_IMAGE: 21, 24: 22,  # noise, calibration, calibration and image, reversed
         44: 23, 21: 24, 39: 24, 2: 26, 51: 27, 53: 27, 60: 27, 1: 28,  # navigator, phase correction, feedback, dummies
         35: 29, 14: 30, 15: 31}  # maps of the coils, phase stabilisation
COUNTERS = {"kspace_encode_step_1": "Lin", "kspace_encode_step_2": "Par", "average": "Ave", "slice": "Sli",
            "contrast": "Eco", "phase": "Phs", "repetition": "Rep", "set": "Set", "segment": "Seg"}
CENTER_LINE, CENTER_PARTITION = 5, 6  # Places among the user's counters, as in the converter of ISMRMRD.
OTHER_COUNTERS = ("Ida", "Idb", "Idc", "Idd", "Ide")


def heads_of(lines: Array) -> Array:
    """Return the headers of lines as ISMRMRD has them."""
    heads = np.zeros(len(lines), ACQUISITION_HEADER)
    heads["version"] = 1
    heads["flags"] = flags_of(lines["EvalInfoMask"])
    heads["measurement_uid"], heads["scan_counter"] = lines["MeasUID"].astype("u4"), lines["ScanCounter"]
    heads["acquisition_time_stamp"], heads["physiology_time_stamp"][:, 0] = lines["TimeStamp"], lines["PMUTimeStamp"]
    heads["number_of_samples"], heads["center_sample"] = lines["SamplesInScan"], lines["CenterCol"]
    heads["active_channels"] = heads["available_channels"] = lines["UsedChannels"]
    heads["discard_pre"], heads["discard_post"] = lines["CutOff"]["Pre"], lines["CutOff"]["Post"]
    for name, counter in COUNTERS.items():
        heads["idx"][name] = lines["Counter"][counter]
    for number, counter in enumerate(OTHER_COUNTERS):
        heads["idx"]["user"][:, number] = lines["Counter"][counter]
    heads["idx"]["user"][:, CENTER_LINE] = lines["CenterLin"]
    heads["idx"]["user"][:, CENTER_PARTITION] = lines["CenterPar"]
    place = lines["SliceData"]["SlicePos"]
    heads["position"] = np.stack([place[axis] for axis in ("Sag", "Cor", "Tra")], 1)
    heads["phase_dir"], heads["read_dir"], heads["slice_dir"] = directions_of(lines["SliceData"]["Quaternion"])
    return heads


def flags_of(masks: Array) -> Array:
    """Return the flags of ISMRMRD for the masks of lines; a reference that is a line of the image is no other."""
    masks = masks & ~(((masks >> np.uint64(REFERENCE_AND_IMAGE)) & np.uint64(1)) << np.uint64(REFERENCE))
    flags = np.zeros(len(masks), np.uint64)
    for bit, number in FLAGS.items():
        flags |= ((masks >> np.uint64(bit)) & np.uint64(1)) << np.uint64(number - 1)
    return flags


def directions_of(quaternions: Array) -> tuple[Array, Array, Array]:
    """Return the directions (lines, 3) of phase encoding, readout and slice: the columns of the rotations (w, x, y, z).

    In these directions an inverse Fourier transform puts the image, as in the converter of ISMRMRD.
    """
    w, x, y, z = quaternions.astype(float).T
    return (np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1),
            np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], 1),
            np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1))
