"""The shell around a command: BART's environment variables, and a standard output that may be closed."""

import os
import sys

INFO, DEBUG = 2, 3  # BART's debug levels: from INFO on there is a progress bar, from DEBUG on facts about the result


def debug_level(given: int | None = None) -> int:
    """The debug level: the given one, else that of BART_DEBUG_LEVEL or DEBUG_LEVEL, else INFO."""
    if given is not None:
        return given
    try:
        return int(os.environ.get("BART_DEBUG_LEVEL", os.environ.get("DEBUG_LEVEL", INFO)))
    except ValueError:
        return INFO


def wants_gpu() -> bool:
    """Whether BART_GPU, as BART reads it, asks for a GPU."""
    text = os.environ.get("BART_GPU", "")
    return text.isdecimal() and int(text) > 0


def forget_stdout() -> None:
    """Let standard output lead nowhere: what is left in its buffer must not fail when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
