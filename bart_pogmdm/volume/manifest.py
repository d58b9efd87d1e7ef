"""The manifest of a volume: a line of JSON that describes the run, then one for each finished slice.

A line that is damaged in any way, or incomplete because the run was killed, is cut off with all that follow it.  If a
slice has two lines, the later one counts.
"""

import fcntl
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..files.atomic import naming

LONGEST_LINE = 1 << 20  # Bytes; a line of the manifest is shorter, and a file that is none may have no line breaks.
START = b'{"source": '   # The first bytes of a manifest.
DIGEST_LENGTH = 64      # Hexadecimal digits of a SHA-256.
DIGEST = re.compile(rf"\b([0-9a-f]{{8}})[0-9a-f]{{{DIGEST_LENGTH - 8}}}\b")  # Of which a message shows the first ones.


def is_manifest(path: Path) -> bool:
    """Return True if a file begins as a manifest does, or is empty, as that of a run that was killed at its start."""
    with open(path, "rb") as file:
        return START.startswith(file.read(len(START)))


class Manifest:
    """The manifest file, which only one process at a time can open.

    header: the description of this run, which must agree with the header in the file unless `restart` is set.
    arrays: the names of the arrays, of which each finished slice has a digest.
    records: {number of a slice: its line}.  is_new: True if the file held no line, or `restart` is set.
    The file stays as it was until `begin`; a file without lines is removed at the end.
    Raises ValueError if another process has opened the file or the file is of another run, and OSError if it cannot be
    written.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any], arrays: tuple[str, ...], restart: bool) -> None:
        self.path, self._header, self._arrays = Path(path), header, arrays
        with naming(self.path):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self._lock()
        try:
            self._good = 0
            lines = [] if restart else list(self._lines())
            self.is_new = not lines
            if lines:
                self._check(lines[0])
            self.records: dict[int, dict[str, Any]] = {line["slice"]: line for line in lines[1:]}
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        """Close the file, and remove it if it is empty, as after a run that was refused."""
        if os.fstat(self._descriptor).st_size == 0:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise ValueError(f"{self.path}: another run is writing this output") from None

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Read the lines up to the first damaged one, and note where that begins."""
        with open(self._descriptor, "rb", closefd=False) as file:
            while text := file.readline(LONGEST_LINE):
                try:
                    line = json.loads(text, parse_constant=_refuse)
                except (ValueError, RecursionError):
                    return
                is_good = self._is_record(line) if self._good else _is_header(line)
                if not (is_good and text.endswith(b"\n")):
                    return
                self._good += len(text)
                yield line

    def _is_record(self, line: Any) -> bool:
        """Return True if a line says everything about a slice."""
        def is_digest(key: str) -> bool:
            return isinstance(line.get(key), str) and len(line[key]) == DIGEST_LENGTH

        return (isinstance(line, dict) and type(line.get("slice")) is int and all(map(is_digest, self._arrays))
                and (isinstance(line.get("error"), str) if "error" in line else is_digest("input"))
                and isinstance(warnings := line.get("warnings", []), list)
                and all(isinstance(sentence, str) for sentence in warnings))

    def _check(self, found: Mapping[str, Any]) -> None:
        """Raise ValueError if the file is of another run."""
        for key, value in json.loads(json.dumps(self._header)).items():
            if found.get(key) != value:
                theirs, ours = (DIGEST.sub(r"\1…", str("none" if one is None else one))
                                for one in (found.get(key), value))
                raise ValueError(f"{self.path}: the output is of another run, with `{key}` {theirs} instead of {ours};"
                                 " `restart=True` begins anew")

    def begin(self, warnings: Sequence[str] = ()) -> None:
        """Cut off what is damaged; for a new run write its header: from then on the output belongs to this run.

        warnings: sentences of doubt about the input; they stand beside the header, and another run may have others.
        """
        with naming(self.path):
            os.ftruncate(self._descriptor, self._good)
        if self.is_new:
            self._append({**self._header, **({"warnings": list(warnings)} if warnings else {})})

    def add(self, record: dict[str, Any]) -> None:
        """Append the line of a slice, and wait until it is on the disk."""
        self._append({key: None if isinstance(value, float) and not math.isfinite(value) else value
                      for key, value in record.items()})
        self.records[record["slice"]] = record

    def _append(self, line: Mapping[str, Any]) -> None:
        view = memoryview(json.dumps(line).encode() + b"\n")
        with naming(self.path):
            while view:
                view = view[os.write(self._descriptor, view):]
            os.fsync(self._descriptor)


def _is_header(line: Any) -> bool:
    return isinstance(line, dict) and {"source", "shape", "bart_pogmdm"} <= line.keys()


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
