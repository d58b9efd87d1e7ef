"""The shell around a command: BART's environment variables, and a standard output that may be closed."""

import os
import sys

INFO, DEBUG = 2, 3  # BART's debug levels: a progress bar is shown from INFO on, facts about the result from DEBUG on.


def debug_level(given: int | None = None) -> int:
    """Return the given debug level, or else that of BART_DEBUG_LEVEL or DEBUG_LEVEL, or else INFO."""
    if given is not None:
        return given
    try:
        return int(os.environ.get("BART_DEBUG_LEVEL", os.environ.get("DEBUG_LEVEL", INFO)))
    except ValueError:
        return INFO


def wants_gpu() -> bool:
    """Return True if BART_GPU, as BART reads it, asks for a GPU."""
    text = os.environ.get("BART_GPU", "")
    return text.isdecimal() and int(text) > 0


def forget_stdout() -> None:
    """Redirect standard output to /dev/null, so that flushing its buffer at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
