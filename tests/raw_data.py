"""ISMRMRD files for tests, line by line, with any header."""

import h5py
import ismrmrd
import numpy as np
from ismrmrd.hdf5 import acquisition_dtype

HEADER = ('<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><experimentalConditions>'
          '<H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>{}</ismrmrdHeader>')


def space(name, matrix, fov):
    """<encodedSpace> or <reconSpace>; the third sizes are 1 and 5 mm unless given."""
    (nx, ny, nz), (fx, fy, fz) = (*matrix, 1)[:3], (*fov, 5)[:3]
    return (f"<{name}><matrixSize><x>{nx}</x><y>{ny}</y><z>{nz}</z></matrixSize>"
            f"<fieldOfView_mm><x>{fx}</x><y>{fy}</y><z>{fz}</z></fieldOfView_mm></{name}>")


def encoding(matrix, fov=(200, 200), image=None, image_fov=None, *, limits=None, partitions="", calibration="",
             kind="cartesian"):
    """<encoding>.  limits, partitions: (minimum, maximum, center) of both phase encodings, "" for none."""
    limits = (0, matrix[1] - 1, matrix[1] // 2) if limits is None else limits
    return ("<encoding>" + space("encodedSpace", matrix, fov)
            + space("reconSpace", image or matrix, image_fov or fov) + "<encodingLimits>"
            + "".join("<kspace_encoding_step_{0}><minimum>{1}</minimum><maximum>{2}</maximum><center>{3}</center>"
                      "</kspace_encoding_step_{0}>".format(number, *three)
                      for number, three in enumerate((limits, partitions), 1) if three)
            + f"</encodingLimits><trajectory>{kind}</trajectory>"
            + ("<parallelImaging><accelerationFactor><kspace_encoding_step_1>2</kspace_encoding_step_1>"
               "<kspace_encoding_step_2>1</kspace_encoding_step_2></accelerationFactor>"
               f"<calibrationMode>{calibration}</calibrationMode></parallelImaging>" if calibration else "")
            + "</encoding>")


def line(data, row=0, *flags, **fields):
    """One acquisition of data (channels, samples); fields are those of the header or of its counters."""
    made = ismrmrd.Acquisition.from_array(np.ascontiguousarray(data, np.complex64), center_sample=data.shape[1] // 2)
    made.idx.kspace_encode_step_1 = row
    for flag in flags:
        made.set_flag(flag)
    for name, value in fields.items():
        if name == "user":
            made.idx.user[:] = value
        elif name == "channel_mask":
            made.channel_mask[0] = value
        else:
            setattr(made.idx if hasattr(made.idx, name) else made, name, value)
    return made


def lines(kspace, rows=None, *flags, **fields):
    """The acquisitions of k-space (channels, samples, rows)."""
    return [line(kspace[:, :, row], int(row), *flags, **fields)
            for row in (range(kspace.shape[2]) if rows is None else rows)]


def partitions(kspace, numbers=None, *flags, **fields):
    """The acquisitions of k-space (channels, samples, rows, partitions)."""
    return [one for number in (range(kspace.shape[3]) if numbers is None else numbers)
            for one in lines(kspace[..., number], None, *flags, kspace_encode_step_2=int(number), **fields)]


def write_raw(path, encodings, acquisitions, group="dataset", header=HEADER):
    """Add a group to a file and return its path.  encodings: the text of all <encoding>s."""
    records = np.empty(len(acquisitions), acquisition_dtype)
    for record, one in zip(records, acquisitions, strict=True):
        record["head"] = np.frombuffer(one.getHead(), acquisition_dtype["head"])
        record["data"], record["traj"] = one.data.view(np.float32).ravel(), one.traj.ravel()
    with h5py.File(path, "a") as file:
        file.create_dataset(f"{group}/xml", data=[header.format(encodings)], dtype=h5py.string_dtype())
        file[f"{group}/data"] = records
    return path
