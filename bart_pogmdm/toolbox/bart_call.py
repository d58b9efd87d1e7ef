"""Calls BART on arrays: bart(1, "nlinv -i9", kspace) runs `bart nlinv -i9 kspace output`."""

import functools
import shlex
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from ..arrays.array_types import Array
from .bart_arrays import fetch, store
from .bart_words import FLAGS, Command, Option, command_words, option_words, with_options
from .find_bart import find
from .shown_run import Printed, run


class BartError(RuntimeError):
    """A BART command failed: `command`, `returncode`, and its text `stderr` and `stdout`."""

    def __init__(self, command: str, returncode: int, stderr: str, stdout: str = "", reason: str = "") -> None:
        self.command, self.returncode, self.stderr, self.stdout, self.reason = (
            command, returncode, stderr, stdout, reason)
        super().__init__(command, returncode, stderr, stdout, reason)  # Another process makes it anew from these.

    def __str__(self) -> str:
        text = self.stderr.strip() or self.stdout.strip() or "no message"
        return f"`{self.command}` {self.reason or f'failed with exit code {self.returncode}: {text}'}"


class BartMissingError(FileNotFoundError):
    """There is no `bart` to run."""


class _Bridge(threading.local):
    """The function `bart`, with the text and exit code of its last run in the same thread."""

    stdout = ""
    stderr = ""
    ERR = 0

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    @overload
    def __call__(self, nargout: Literal[0], command: Command, *inputs: Array, **options: Option) -> str | None: ...
    @overload
    def __call__(self, nargout: Literal[1], command: Command, *inputs: Array, **options: Option) -> Array: ...
    @overload
    def __call__(self, nargout: int, command: Command, *inputs: Array, **options: Option) -> Any: ...
    def __call__(self, nargout: int, command: Command, *inputs: Array, **options: Option) -> Any:
        return self._function(nargout, command, *inputs, **options)

    def __reduce__(self) -> str:  # Like any function, it is known to other processes by its name.
        return self._function.__name__


@_Bridge
def bart(nargout: int, command: Command, *inputs: Array, **options: Option) -> Any:
    """Run one BART command on arrays and return its `nargout` outputs: one array, or a list of several.

    bart(1, "nlinv -i9", kspace) returns the image, and bart(0, "nrmse", a, b) what the command prints.
    The command is a shell-quoted string or a list of words; arrays are (READ, PHS1, PHS2, COIL, …).
    Each keyword is an option: `S=True` is the flag -S, which False and None leave out; `i=9` is -i 9;
    `R="T:3:0:.01"` is -R T:3:0:.01; `x=(64, 64, 1)` is -x 64:64:1; `p=pattern` is -p with a file of this array; a name
    of several letters is a long option, `lowmem=True` --lowmem.  The name is taken as it stands, and an option with a
    hyphen is written in the command or as **{"sens-dims": (64, 64, 1)}.
    Outputs are complex64 without trailing dimensions of size 1.  With nargout 0, the text on standard output is
    returned without the end of its last line, or None if there is none.
    All text of BART is shown as it comes, on sys.stdout and sys.stderr; with BART_DEBUG_LEVEL=1 in the environment
    (DEBUG_LEVEL for BART 0.8) BART writes only results and warnings.  `bart.stdout`, `bart.stderr` and the exit code
    `bart.ERR` are those of the last command in the same thread, without colours.  Files lie in a private folder in
    TMPDIR, which always goes.
    Raises BartError with command, exit code, stderr and stdout, BartMissingError without BART, TypeError for a value of
    the wrong type, and ValueError for one that BART cannot hold.
    """
    try:
        answer, printed = _call(nargout, command, inputs, options, show=True)
    except BartError as error:
        bart.ERR, bart.stdout, bart.stderr = error.returncode, error.stdout, error.stderr
        raise
    bart.ERR, bart.stdout, bart.stderr = printed
    return answer


def quiet_bart(nargout: int, command: Command, *inputs: Array, **options: Option) -> Any:
    """Run a command as `bart` does, but show nothing."""
    return _call(nargout, command, inputs, options, show=False)[0]


def _call(nargout: int, command: Command, inputs: tuple[Array, ...], options: dict[str, Option],
          show: bool) -> tuple[Any, Printed]:
    """Return the answer of a command, as `bart`, and what the command printed."""
    if isinstance(nargout, FLAGS) or not isinstance(nargout, (int, np.integer)):
        raise TypeError(f"nargout: expected the number of outputs, an integer, got {type(nargout).__name__}")
    if nargout < 0:
        raise ValueError(f"nargout: expected the number of outputs, an integer >= 0, got {nargout}")
    words, path = command_words(command), find()
    if path is None:
        raise BartMissingError("bart: not found in BART_TOOLBOX_PATH, TOOLBOX_PATH or PATH"
                               " (on Debian and Ubuntu: apt-get install bart)")
    with tempfile.TemporaryDirectory(prefix="bart-") as folder:
        def store_as(name: str, array: object) -> str:
            file = Path(folder, f"{name}.ra".replace(" ", "-"))
            store(file, array, name)
            return str(file)

        chosen = [word for name, value in options.items() for word in option_words(name, value, store_as)]
        sources = [store_as(f"input {number}", array) for number, array in enumerate(inputs, 1)]
        targets = [str(Path(folder, f"output-{number}.ra")) for number in range(1, nargout + 1)]
        line = [path, *with_options(words, chosen), *sources, *targets]
        printed, shown = run(line, show), shlex.join(["bart", *line[1:]])
        if printed.returncode:
            raise BartError(shown, printed.returncode, printed.stderr, printed.stdout)
        outputs = []
        for number, target in enumerate(targets, 1):
            try:
                outputs.append(fetch(Path(target)))
            except FileNotFoundError:
                raise BartError(shown, 0, printed.stderr, printed.stdout,
                                f"wrote no output {number} of the {nargout} asked for by nargout") from None
    if nargout == 0:
        return printed.stdout.rstrip("\n") or None, printed
    return outputs[0] if nargout == 1 else outputs, printed
