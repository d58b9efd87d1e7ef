"""Calls BART on arrays: bart(1, "nlinv -i9", kspace) runs `bart nlinv -i9 kspace output`."""

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from ..arrays.array_types import Array
from ..files.cfl import read, write
from .find_bart import find


class BartError(RuntimeError):
    """A BART command failed: `command`, `returncode`, `stderr`."""

    def __init__(self, command: str, returncode: int, stderr: str) -> None:
        self.command, self.returncode, self.stderr = command, returncode, stderr
        super().__init__(f"`{command}` failed with exit code {returncode}: {stderr.strip() or 'no message'}")


class BartMissingError(FileNotFoundError):
    """There is no `bart` to run."""


@overload
def bart(nargout: Literal[0], command: str | Sequence[object], *inputs: Array, **keywords: Array) -> None: ...
@overload
def bart(nargout: Literal[1], command: str | Sequence[object], *inputs: Array, **keywords: Array) -> Array: ...
@overload
def bart(nargout: int, command: str | Sequence[object], *inputs: Array, **keywords: Array) -> Any: ...
def bart(nargout: int, command: str | Sequence[object], *inputs: Array, **keywords: Array) -> Any:
    """Run one BART command on arrays and return its outputs.

    bart(1, "nlinv -i9", kspace) returns the image.  Several outputs are returned as a list; without outputs the result
    is None.  The command is a shell-quoted string or a list; arrays are (READ, PHS1, PHS2, COIL, …).  Each keyword
    becomes an option with a file: `p=pattern` becomes `-p FILE`, `kmap=x` becomes `--kmap FILE`.
    Outputs are complex64 without trailing dimensions of size 1.
    Raises BartError with command, exit code and stderr, and BartMissingError without BART.
    """
    path = find()
    if path is None:
        raise BartMissingError("bart: not found in BART_TOOLBOX_PATH, TOOLBOX_PATH or PATH"
                               " (on Debian and Ubuntu: apt-get install bart)")
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    with tempfile.TemporaryDirectory(prefix="bart-") as folder:
        def store(name: str, array: Array) -> str:
            file = str(Path(folder, name))
            write({file: array})
            return file

        options = [word for key, array in keywords.items()
                   for word in (f"-{key}" if len(key) == 1 else f"--{key}", store(f"option-{key}", array))]
        sources = [store(f"in{i}", array) for i, array in enumerate(inputs)]
        targets = [str(Path(folder, f"out{i}")) for i in range(nargout)]
        call = [path, *words, *options, *sources, *targets]
        run = subprocess.run(call, capture_output=True, text=True, errors="replace", check=False)
        if run.returncode:
            raise BartError(shlex.join(["bart", *call[1:]]), run.returncode, run.stderr)
        outputs = [_without_trailing_ones(read(target)) for target in targets]
    return None if nargout == 0 else outputs[0] if nargout == 1 else outputs


def _without_trailing_ones(array: Array) -> Array:
    """Remove trailing dimensions of size 1 from an array, but keep at least one dimension."""
    last = max(np.flatnonzero(np.array(array.shape) > 1), default=0)
    return array.reshape(array.shape[:last + 1], order="F")
