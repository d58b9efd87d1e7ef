"""The manifest of a volume: a line of JSON that describes the run, then one for each finished slice.

Only complete lines count: a line that is incomplete because the run was killed is cut off.  If a slice has two lines,
the later one counts.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import naming


class Manifest:
    """The manifest file, which only one process at a time can open.

    header: the description of this run, which must agree with the header in the file unless `restart` is set.
    records: {number of a slice: its line}.  is_new: True if the file held no line.
    Raises ValueError if another process has opened the file or the file is of another run, and OSError if it cannot be
    written.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any], restart: bool) -> None:
        self.path = Path(path)
        with naming(self.path):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            self._lock()
            if restart:
                os.ftruncate(self._descriptor, 0)
            lines = self._lines()
            self.is_new = not lines
            if lines:
                self._check(lines[0], header)
            self.records: dict[int, dict[str, Any]] = {line["slice"]: line for line in lines[1:]}
            self._header = header
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self.path}: another run is writing this output") from None

    def _lines(self) -> list[dict[str, Any]]:
        """Read the complete lines, and cut off the rest of the file."""
        lines: list[dict[str, Any]] = []
        good = 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for text in file:
                try:
                    line = json.loads(text)
                except ValueError:
                    break
                if not text.endswith(b"\n") or not isinstance(line, dict) or (lines and "slice" not in line):
                    break
                lines.append(line)
                good += len(text)
        os.ftruncate(self._descriptor, good)
        return lines

    def _check(self, found: Mapping[str, Any], header: Mapping[str, Any]) -> None:
        """Raise ValueError if the file is of another run."""
        for key, value in json.loads(json.dumps(header)).items():
            if found.get(key) != value:
                raise ValueError(f"{self.path}: the output is of another run, with {key} {found.get(key)} instead of"
                                 f" {value}; --restart (restart=True) begins anew")

    def begin(self) -> None:
        """Write the header of a new run; from then on the content of the output belongs to this run."""
        if self.is_new:
            self._append(self._header)

    def add(self, record: dict[str, Any]) -> None:
        """Append the line of a slice, and wait until it is on the disk."""
        self._append(record)
        self.records[record["slice"]] = record

    def _append(self, line: Mapping[str, Any]) -> None:
        view = memoryview(json.dumps(line).encode() + b"\n")
        with naming(self.path):
            while view:
                view = view[os.write(self._descriptor, view):]
            os.fsync(self._descriptor)
