"""The entry of `bart pogmdm` and `bart-pogmdm`: it runs one command and turns its errors into one line."""

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any

from ..version import __version__
from . import COMMANDS
from .interruption import Interruption
from .option_table import ARGUMENTS, POGMDM, Option
from .shell import DEBUG, debug_level, forget_stdout, open_standard_streams, show_warnings
from .wording import closest, in_shell


def main(argv: list[str] | None = None) -> int:
    """Run the command that the first word names, or else `pogmdm`, and return its exit code.

    argv: the words of a call from Python; None: those of this process, which a signal then ends after the clean-up.
    """
    words = sys.argv[1:] if argv is None else argv
    name, words = (words[0], words[1:]) if words and words[0] in COMMANDS else ("pogmdm", words)
    open_standard_streams()
    interruption = Interruption(is_at_once=name != "pogmdm")
    if threading.current_thread() is threading.main_thread():  # Python handles signals nowhere else.
        interruption.listen()
    options = ARGUMENTS.get(name, POGMDM)
    with warnings.catch_warnings():
        show_warnings(debug_level())
        warnings.showwarning = partial(_show, options)
        code = exit_code(lambda: _run(name, words, interruption), options)
    if argv is None:
        interruption.pass_on()
    return code


def _run(name: str, words: list[str], interruption: Interruption) -> int:
    """Run a command and return its exit code; `pogmdm --version` prints the version.

    Raises ValueError for a first word that is no file, where it is close to the name of another command, or alone.
    """
    if name == "pogmdm" and words:
        if words == ["--version"]:
            print(__version__)
            return 0
        if not words[0].startswith("-") and not any(os.path.lexists(words[0] + ending) for ending in ("", ".hdr")):
            if close := closest(words[0], COMMANDS):
                raise ValueError(f"{words[0]}: neither a file nor a command: did you mean `bart-pogmdm {close}`?")
            if len(words) == 1:
                raise ValueError(f"{words[0]}: neither a file nor a command, which are {', '.join(COMMANDS)}")
    command = getattr(import_module(f".{name}", __package__), name)
    return command(words, interruption) if name == "pogmdm" else command(words)


def _show(options: Iterable[Option], message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as one line `WARNING: …`, which names options of the command."""
    with contextlib.suppress(OSError):  # A warning that nobody can read does not cost the result.
        print(f"WARNING: {in_shell(str(message), options)}", file=sys.stderr, flush=True)


def exit_code(command: Callable[[], int], options: Iterable[Option] = ()) -> int:
    """Run a command and return its exit code; print any error as one line `ERROR: …` and return 1.

    options: those of the command, which stand for their arguments in the line.
    """
    try:
        code = _finished(command)
        sys.stdout.flush()  # At exit nobody would catch an error.
        return code
    except BrokenPipeError:  # This happens in `pogmdm -h | head`.
        forget_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if debug_level() > DEBUG:
            raise
        with contextlib.suppress(OSError):
            print(f"ERROR: {in_shell(_sentence(error), options)}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            forget_stdout()
        return 1


def _finished(command: Callable[[], int]) -> int:
    """Run a command and return its exit code; argparse ends it when it has printed the help."""
    try:
        return command()
    except SystemExit as end:
        return int(end.code or 0)


def _sentence(error: BaseException) -> str:
    """Return one sentence about an error."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was written"
    if isinstance(error, MemoryError):
        return str(error) or "not enough memory"
    known = isinstance(error, (ValueError, TypeError, OSError, ImportError))
    return str(error) if known else f"{type(error).__name__}: {error} (BART_DEBUG_LEVEL=4 shows where)"
