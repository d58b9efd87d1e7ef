"""Siemens' raw data for tests, line by line, as VB and as VD and later write them."""

import struct

import numpy as np
from twixtools import mdh_def

PROTOCOL = """### ASCCONV BEGIN ###
sKSpace.lBaseResolution = {base}
sKSpace.lPhaseEncodingLines = {lines}
sKSpace.ucDimension = 0x{dimension}
sKSpace.ucTrajectory = 0x1
sKSpace.dSliceOversamplingForDialog = 0.5
sSliceArray.asSlice[0].dReadoutFOV = 240.0
sSliceArray.asSlice[0].dPhaseFOV = 180.0
sSliceArray.asSlice[0].dThickness = {thickness}
sPat.lAccelFactPE = {factor}
sPat.ucRefScanMode = 0x{mode}
sSliceAcceleration.lMultiBandFactor = {bands}
lContrasts = 2
alTR[0] = 5000
alTE[0] = 2500
alTE[1] = 5000
alTE[2] = 9000
### ASCCONV END ###
"""
MEAS = ('<XProtocol> <ParamLong."iPEFTLength"> {{ {lines} }} <ParamLong."i3DFTLength"> {{ {partitions} }} '
        '<ParamDouble."flReadoutOSFactor"> {{ <Precision> 6 {oversampling} }} '
        '<ParamString."tPatientPosition"> {{ "HFS" }} <ParamString."PatientID"> {{ "4711" }} '
        '<ParamString."tPatientName"> {{ "Doe^Jane" }} ')
QUATERNION = np.array([0.8, 0.36, -0.48, 0.0])  # w, x, y, z


def line(data, row=0, *flags, partition=0, center=None, position=(0, 0, 0), quaternion=QUATERNION, **fields):
    """A line of data (channels, samples); fields are counters, as Sli, or those of the header, as CenterCol."""
    return {"data": np.ascontiguousarray(data, np.complex64), "flags": flags, "position": position,
            "quaternion": quaternion, "center": data.shape[1] // 2 if center is None else center,
            "counters": {"Lin": row, "Par": partition} | {key: value for key, value in fields.items() if len(key) == 3},
            "fields": {key: value for key, value in fields.items() if len(key) > 3}}


def lines(kspace, rows=None, *flags, **fields):
    """The lines of k-space (channels, samples, rows)."""
    return [line(kspace[:, :, row], int(row), *flags, **fields)
            for row in (range(kspace.shape[2]) if rows is None else rows)]


def header(base, count, *, partitions=1, oversampling=2.0, thickness=6, factor=1, mode=1, bands=1):
    """The header of a measurement as bytes."""
    parts = {"Meas": MEAS.format(lines=count, partitions=partitions, oversampling=oversampling),
             "MeasYaps": PROTOCOL.format(base=base, lines=count, dimension=4 if partitions > 1 else 2,
                                         thickness=thickness, factor=factor, mode=mode, bands=bands)}
    parts["MeasYaps"] += 10000 * " "  # VB is told from VD by the length of its header
    text = struct.pack("<I", len(parts)) + b"".join(
        name.encode() + b"\0" + struct.pack("<I", len(part)) + part.encode() for name, part in parts.items())
    return struct.pack("<I", len(text) + 4) + text


def _encoded(one, number, is_new):
    kind = mdh_def.Scan_header if is_new else mdh_def.VB17_header
    head, data = kind(ScanCounter=number), one["data"]
    head.SamplesInScan, head.UsedChannels, head.CenterCol = data.shape[1], data.shape[0], one["center"]
    for flag in one["flags"]:
        mdh_def.add_flag(head, flag)
    for name, value in one["counters"].items():
        setattr(head.Counter, name, value)
    for name, value in one["fields"].items():
        place, _, name = name.rpartition("_")
        setattr(getattr(head, place) if place else head, name, value)
    for axis, value in zip(("Sag", "Cor", "Tra"), one["position"]):
        setattr(head.SliceData.SlicePos, axis, value)
    head.SliceData.Quaternion[:] = np.float32(one["quaternion"])
    if not is_new:
        return b"".join(bytes(head) + channel.tobytes() for channel in data)
    return bytes(head) + b"".join(bytes(mdh_def.Channel_header()) + channel.tobytes() for channel in data)


def _end(is_new):
    head = (mdh_def.Scan_header if is_new else mdh_def.VB17_header)()
    mdh_def.add_flag(head, "ACQEND")
    mdh_def.set_dma_len(head, len(bytes(head)) + 160)
    return bytes(head) + bytes(160)


def write_twix(path, *measurements, is_new=True):
    """Write a file of (header, lines) of each measurement, and return its path."""
    contents = [head + b"".join(_encoded(one, number, is_new) for number, one in enumerate(found, 1)) + _end(is_new)
                for head, found in measurements]
    if not is_new:
        path.write_bytes(contents[0])
        return path
    start, table, body = 10240, struct.pack("<II", 0, len(contents)), b""
    for number, content in enumerate(contents):
        table += struct.pack("<IIQQ64s64s", number, number, start + len(body), len(content), b"", b"")
        body += content + bytes(-len(content) % 512)
    path.write_bytes(table.ljust(start, b"\0") + body)
    return path
