"""The shell around a command: BART's environment variables, and a standard output that may be closed."""

import contextlib
import os
import sys
import warnings
from typing import BinaryIO

from ..arrays.doubts import ReconstructionWarning

# BART's debug levels, from which on there are warnings, a progress bar, and facts about the result.
WARN, INFO, DEBUG = 1, 2, 3
SCRIPT = "bart-pogmdm"  # The command that pip installs; for `bart pogmdm`, BART runs `python -c`.


def program() -> str:
    """Return the name by which the user has called this program."""
    return SCRIPT if os.path.basename(sys.argv[0]) == SCRIPT else "bart pogmdm"


def debug_level(given: int | None = None) -> int:
    """Return the given debug level, or else that of BART_DEBUG_LEVEL or DEBUG_LEVEL, or else INFO."""
    if given is not None:
        return given
    try:
        return int(os.environ.get("BART_DEBUG_LEVEL", os.environ.get("DEBUG_LEVEL", INFO)))
    except ValueError:
        return INFO


def show_warnings(level: int) -> None:
    """Show doubts about a reconstruction, or none of them below the level of warnings."""
    warnings.simplefilter("always" if level >= WARN else "ignore", ReconstructionWarning)


def wants_gpu() -> bool:
    """Return True if BART_GPU, as BART reads it, asks for a GPU."""
    text = os.environ.get("BART_GPU", "")
    return text.isdecimal() and int(text) > 0


def open_standard_streams() -> None:
    """Put /dev/null in the place of each standard stream that is closed.

    A file that is opened later must not get its number, because libraries write messages to it.  Writing to number 1
    fails, so that an array is not lost in silence; printing does not.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def stdout_bytes() -> BinaryIO:
    """Return standard output for bytes."""
    return open(1, "wb", closefd=False)


def forget_stdout() -> None:
    """Redirect standard output to /dev/null, so that flushing its buffer at exit cannot fail."""
    with contextlib.suppress(OSError):  # It has no number in a notebook.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
