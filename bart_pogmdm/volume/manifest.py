"""The manifest of a volume: a line of JSON that says what the run is, then one for each slice that is done.

A line counts once it is whole: what a killed run left of its last one is cut off.  Of two lines of one slice the later
one holds.
"""

import fcntl
import json
import os
from pathlib import Path

from ..files.atomic import naming


class Manifest:
    """The lines of a file that one process at a time may have open.

    path: where; header: what this run is, which must agree with the file's unless it is to `restart`.
    Raises ValueError where another run has it open or is another one, OSError where it cannot be written.
    """

    def __init__(self, path, header, restart):
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
            self.records = {line["slice"]: line for line in lines[1:]}
            self._header = header
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._descriptor)

    def _lock(self):
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{self.path}: another run is writing this output") from None

    def _lines(self):
        """The whole lines; the rest is cut off."""
        lines, good = [], 0
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

    def _check(self, found, header):
        """ValueError where the file is of another run."""
        for key, value in json.loads(json.dumps(header)).items():
            if found.get(key) != value:
                raise ValueError(f"{self.path}: the output is of another run, with {key} {found.get(key)} instead of"
                                 f" {value}; --restart (restart=True) begins anew")

    def begin(self):
        """Write the header of a new run: from now on what lies in the output is its own."""
        if self.is_new:
            self._append(self._header)

    def add(self, record):
        """Append the line of a slice, to stay."""
        self._append(record)
        self.records[record["slice"]] = record

    def _append(self, line):
        view = memoryview(json.dumps(line).encode() + b"\n")
        with naming(self.path):
            while view:
                view = view[os.write(self._descriptor, view):]
            os.fsync(self._descriptor)
