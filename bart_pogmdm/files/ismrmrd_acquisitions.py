"""The acquisitions of ISMRMRD raw data, from an HDF5 file or received one by one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..arrays.array_types import Array, Shape
from .hdf5 import read_hdf5
from .ismrmrd_selection import COUNTERS

STANDARD_GROUP = "dataset"
# Whole numbers in the header of an acquisition, and the counters among them.
NUMBERS = ("flags", "number_of_samples", "active_channels", "channel_mask", "discard_pre", "discard_post",
           "center_sample", "encoding_space_ref")
ALL_COUNTERS = (*COUNTERS, "kspace_encode_step_1", "kspace_encode_step_2", "average", "segment", "user")
SHAPES: dict[str, Shape] = {"channel_mask": (16,), "user": (8,)}
# The header of an acquisition in a stream, 340 bytes without gaps between its fields.
ACQUISITION_HEADER = np.dtype([
    ("version", "<u2"), ("flags", "<u8"), ("measurement_uid", "<u4"), ("scan_counter", "<u4"),
    ("acquisition_time_stamp", "<u4"), ("physiology_time_stamp", "<u4", (3,)), ("number_of_samples", "<u2"),
    ("available_channels", "<u2"), ("active_channels", "<u2"), ("channel_mask", "<u8", (16,)), ("discard_pre", "<u2"),
    ("discard_post", "<u2"), ("center_sample", "<u2"), ("encoding_space_ref", "<u2"), ("trajectory_dimensions", "<u2"),
    ("sample_time_us", "<f4"), ("position", "<f4", (3,)), ("read_dir", "<f4", (3,)), ("phase_dir", "<f4", (3,)),
    ("slice_dir", "<f4", (3,)), ("patient_table_position", "<f4", (3,)),
    ("idx", [("kspace_encode_step_1", "<u2"), ("kspace_encode_step_2", "<u2"), ("average", "<u2"), ("slice", "<u2"),
             ("contrast", "<u2"), ("phase", "<u2"), ("repetition", "<u2"), ("set", "<u2"), ("segment", "<u2"),
             ("user", "<u2", (8,))]),
    ("user_int", "<i4", (8,)), ("user_float", "<f4", (8,))])


class Acquisitions(Protocol):
    """Raw data before they are sorted."""

    @property
    def path(self) -> Path:
        """The file, or the name of the data, for messages."""

    @property
    def texts(self) -> Sequence[bytes]:
        """The copies of the XML header."""

    @property
    def heads(self) -> Array:
        """The headers of all acquisitions, a structured array with the standard's names."""

    def samples(self, numbers: Array) -> list[Array]:
        """Return the samples (channels, samples), complex64, of acquisitions with ascending numbers."""


@dataclass(frozen=True, eq=False)
class StoredAcquisitions:
    """The acquisitions in a group of an HDF5 file; their samples are read when they are needed."""

    path: Path
    group: str
    texts: list[bytes]
    heads: Array

    @classmethod
    def of(cls, path: Path, group: str | None) -> "StoredAcquisitions":
        """Read the headers of a group, None for the only one or that of the standard's name.

        Raises ValueError if the file is damaged, or holds several groups of other names.
        """
        def read(file: Any) -> tuple[list[str], list[bytes], Array]:
            groups = groups_with_data(file)
            chosen = file[group if group in groups else groups[0]]
            texts = [text if isinstance(text, bytes) else str(text).encode() for text in np.ravel(chosen["xml"][()])]
            return groups, texts, chosen["data"].fields("head")[()]

        groups, texts, heads = read_hdf5(path, read)
        if group is not None and group not in groups:
            raise ValueError(f"measurement: expected for {path} one of {', '.join(groups)}, got {group}")
        if group is None and len(groups) > 1 and groups[0] != STANDARD_GROUP:
            raise ValueError(f"{path}: expected one group with raw data, or one named {STANDARD_GROUP},"
                             f" got {', '.join(groups)} (`measurement` names one)")
        return cls(path, group or groups[0], texts, _checked(path, heads))

    def samples(self, numbers: Array) -> list[Array]:
        """Read the samples (channels, samples) of acquisitions with ascending numbers; ValueError if damaged."""
        def read(file: Any) -> list[Array]:
            return [np.asarray(samples, np.float32) for samples in file[self.group]["data"].fields("data")[numbers]]

        found = read_hdf5(self.path, read) if len(numbers) else []
        return [samples_of(self.path, int(number), head, samples)
                for number, head, samples in zip(numbers, self.heads[numbers], found)]


@dataclass(frozen=True, eq=False)
class ReceivedAcquisitions:
    """Acquisitions in memory.

    data: the samples of each, (channels, samples), complex64.
    """

    path: Path
    texts: tuple[bytes, ...]
    heads: Array
    data: Sequence[Array]

    def samples(self, numbers: Array) -> list[Array]:
        """Return the samples (channels, samples) of acquisitions."""
        return [self.data[number] for number in numbers]


def samples_of(path: Path, number: int, head: Array, values: Array) -> Array:
    """Return samples (channels, samples), complex64, of float32 values.

    Raises ValueError unless there are as many as the header of the acquisition says, and all are finite.
    """
    channels, count = int(head["active_channels"]), int(head["number_of_samples"])
    if values.size != 2 * channels * count:
        raise ValueError(f"{path}: acquisition {number} holds {values.size} numbers,"
                         f" expected 2 x {channels} x {count}")
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: acquisition {number} holds NaN or infinite samples")
    return values.view(np.complex64).reshape(channels, -1)


def groups_with_data(file: Any) -> list[str]:
    """Return the names of the groups of an open HDF5 file that hold raw data, the standard's name first."""
    found = [name for name in file if f"{name}/xml" in file and f"{name}/data" in file]
    return sorted(found, key=lambda name: name != STANDARD_GROUP)


def _checked(path: Path, heads: Array) -> Array:
    """Return the headers of the acquisitions.  Raises ValueError unless they have the standard's fields."""
    kind = heads.dtype
    bad = _missing(kind, NUMBERS) + (_missing(kind["idx"], ALL_COUNTERS) if "idx" in (kind.names or ()) else ["idx"])
    if heads.ndim != 1 or bad:
        raise ValueError(f"{path}: expected acquisitions as in the standard, but these fields are missing or of another"
                         f" type: {', '.join(bad) or 'head'}")
    return heads


def _missing(kind: np.dtype, names: Iterable[str]) -> list[str]:
    """Return those names that are not fields with whole numbers, or arrays of them, in a structured type."""
    return [name for name in names if name not in (kind.names or ()) or kind[name].base.kind not in "iu"
            or kind[name].shape != SHAPES.get(name, ())]
