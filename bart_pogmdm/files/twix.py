"""Siemens' raw data (TWIX, .dat) of VB, VD, VE and XA: its lines as acquisitions of ISMRMRD, which are sorted alike.

The package twixtools reads the files, in a child process.
"""

import contextlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.doubts import doubt
from ..arrays.extras import optional
from .child_process import read_in_child
from .ismrmrd_acquisitions import samples_of
from .ismrmrd_flags import Effect, has
from .twix_echoes import number_of_echoes, split
from .twix_header import Parts, header_of, number_at, sizes_of
from .twix_lines import heads_of


@dataclass(frozen=True, eq=False)
class Measurement:
    """A measurement in a file, as the library reads it.

    parts: the parsed parts of the header.  lines: headers of the lines as Siemens defines them, a structured array.
    places: the byte of the file at which each line begins.  is_new: VD and later have one header for all channels.
    channels: the numbers of the channels of the last line, which VD and later note.
    """

    parts: Parts
    lines: Array
    places: Array
    is_new: bool
    channels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TwixAcquisitions:
    """The lines of a measurement, and of the noise scan in another one of the file if it has none itself.

    texts: a header as in ISMRMRD, made of Siemens' one.  heads: headers of the lines as in ISMRMRD.
    measurement: its number, and that of all in the file.
    """

    path: Path
    texts: tuple[bytes, ...]
    heads: Array
    places: Array
    is_new: bool
    measurement: tuple[int, int]

    @classmethod
    def of(cls, path: Path, measurement: str | None) -> "TwixAcquisitions":
        """Read the headers of a measurement, a number from 1 or the last one.

        Raises ValueError for a damaged file and a scan that is not understood, and ImportError without twixtools.
        """
        found = _read(path)
        number = _number(path, measurement, len(found))
        chosen = found[number - 1]
        raw = cls(path, (), heads_of(chosen.lines), chosen.places, chosen.is_new, (number, len(found)))
        is_image = ~has(raw.heads["flags"], Effect.NOISE, Effect.LEFT_OUT)
        if not is_image.any():
            raise ValueError(f"{path}: no line of an image among {len(is_image)} lines of the measurement")
        if number_at(chosen.parts, "MeasYaps.sSliceAcceleration.lMultiBandFactor") > 1:
            raise ValueError(f"{path}: expected slices that were excited one by one, got simultaneous ones")
        raw = raw._with_echoes(chosen.parts, is_image)
        text = header_of(chosen.parts, sizes_of(chosen.parts, raw.heads[is_image]), raw.heads[is_image])
        return replace(raw, texts=(text,))._with_noise(
            [one for one in found if one is not chosen and one.channels == chosen.channels])

    def _with_echoes(self, parts: Parts, is_image: Array) -> "TwixAcquisitions":
        """Return the lines with echoes where they are only numbered, and doubts about a header of another scan."""
        sizes = sizes_of(parts, self.heads[is_image])
        if not sizes.is_general:
            return self
        x, y, _ = sizes.fov
        doubt(f"{self.path}: the header is not that of the lines, as in scans of Pulseq: the matrix was taken from the"
              f" lines, and the field of view, {x:g} x {y:g} mm, from the header, which may say another one")
        count, heads = number_of_echoes(self.heads[is_image]), self.heads.copy()
        if count > 1:
            numbers = np.flatnonzero(is_image)
            energies = np.array([np.vdot(samples, samples).real for samples in self.samples(numbers)])
            heads[is_image], what = split(self.heads[is_image], count, energies)
            doubt(f"{self.path}: {len(numbers)} lines of {sizes.matrix[0]} samples are only numbered; they were read as"
                  f" {count} {what} of {len(numbers) // count} lines")
        return replace(self, heads=heads)

    def _with_noise(self, others: Sequence[Measurement]) -> "TwixAcquisitions":
        """Return the lines with the noise scans of other measurements of these channels, if it has none itself."""
        heads, places = self.heads, self.places
        if has(heads["flags"], Effect.NOISE).any():
            return self
        for other in others:
            noise = heads_of(other.lines)
            is_noise = has(noise["flags"], Effect.NOISE)
            heads, places = np.append(heads, noise[is_noise]), np.append(places, other.places[is_noise])
        return replace(self, heads=heads, places=places)

    def samples(self, numbers: Array) -> list[Array]:
        """Read the samples (channels, samples), complex64, of lines; ValueError if they are damaged."""
        library = _twixtools()

        def read() -> list[Array]:
            found = []
            with open(self.path, "rb") as file:
                for place in self.places[numbers]:
                    file.seek(int(place))
                    found.append(np.ascontiguousarray(library.mdb.Mdb(file, self.is_new).data, np.complex64))
            return found

        return [samples_of(self.path, int(number), self.heads[number], samples.reshape(-1).view(np.float32))
                for number, samples in zip(numbers, read_in_child(self.path, read) if len(numbers) else [])]


def _read(path: Path) -> list[Measurement]:
    """Read the headers of all measurements.  Raises ValueError for a damaged file."""
    library = _twixtools()
    if not path.suffix:  # The library would take another file.
        raise ValueError(f"{path}: expected a name that ends in .dat for Siemens' raw data")

    def read() -> list[Measurement]:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scans = library.read_twix(str(path), verbose=False, parse_pmu=False, parse_geometry=False,
                                      keep_syncdata=False)
        return [_measurement(library, scan, path.stat().st_size) for scan in scans]

    found = read_in_child(path, read)
    if not any(len(one.lines) for one in found):
        raise ValueError(f"{path}: expected lines in a measurement, got none")
    return found


def _measurement(library: ModuleType, scan: Mapping[str, Any], size: int) -> Measurement:
    """Return a measurement of the library.  Raises ValueError if its lines end beyond the file."""
    lines = scan["mdb"]
    is_new = bool(lines[0].version_is_ve) if lines else True
    kind = np.dtype(library.mdh_def.Scan_header if is_new else library.mdh_def.VB17_header)
    headers = np.frombuffer(b"".join(bytes(line.mdh) for line in lines), kind)
    places = np.array([line.mem_pos for line in lines], np.int64)
    ends = places + [int(line.dma_len) for line in lines]
    if len(lines) and ((np.diff(places) <= 0).any() or ends.max() > size):
        raise ValueError(f"damaged, or cut off: its lines go on beyond its {size} bytes")
    parts = {name: part for name, part in scan["hdr"].items() if isinstance(part, dict)}
    channels = tuple(int(head.ChannelId) for head in lines[-1].channel_hdr) if lines and is_new else ()
    return Measurement(parts, headers, places, is_new, channels)


def _number(path: Path, measurement: str | None, count: int) -> int:
    """Return the number of a measurement, from 1; the last one for None.  Raises ValueError for others."""
    if measurement is None:
        return count
    if not measurement.isdecimal() or not 1 <= int(measurement) <= count:
        raise ValueError(f"measurement: expected for {path} a number from 1 to {count}, got {measurement}")
    return int(measurement)


def _twixtools() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optional("twixtools", "Siemens' raw data need")
