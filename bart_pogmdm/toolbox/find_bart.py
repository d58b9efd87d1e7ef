"""Finds the `bart` executable and asks it for its version.

A link keeps its own name: BART reads the name under which it is called, so `bart -> bart-1.0` must be called as `bart`.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from .launcher import is_ours

VARIABLES = ("BART_TOOLBOX_PATH", "TOOLBOX_PATH")
SECONDS = 60.0  # A program that has not answered by then hangs: Python may start slowly from a network disk.
# As `git describe` makes it for BART, such as v0.8.00, v1.0.00-dirty or v1.0.00-12-gabcdef0.
VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)?(?:-[\w-]+)?")


def _in_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield every `bart` in the folders that BART's own variables name."""
    yield from _in_folders(environ.get(name, "") for name in VARIABLES)


def _on_path(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield every `bart` in the folders of PATH."""
    yield from _in_folders(environ.get("PATH", os.defpath).split(os.pathsep))


def _in_folders(folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        if folder and (found := shutil.which("bart", path=folder)):
            yield os.path.abspath(found)


def find(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the `bart` for calls from Python, found as BART's own Python module does; None without BART."""
    return next(chain(_in_variables(environ), _on_path(environ)), None)


def in_shell(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the `bart` that a shell runs, perhaps the shim of `bart-pogmdm install`; None if PATH has none."""
    return next(_on_path(environ), None)


def find_real(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return every BART itself, without shims of `bart-pogmdm install`: first that which a shell runs."""
    return [Path(found) for found in chain(_on_path(environ), _in_variables(environ)) if not is_ours(found)]


def ask(*words: str | Path, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a command without input and return its answer.

    Raises TimeoutError when it takes longer, and ends all its processes; OSError if it cannot be run.
    """
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", start_new_session=True)
    except OSError as error:
        raise OSError(f"{words[0]}: cannot be run ({error.strerror})") from None
    with process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"`{' '.join(map(str, words))}` did not end within {seconds:g} s") from None
            raise
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def version(bart: str | Path | None = None, seconds: float = SECONDS) -> str | None:
    """Return the version of a `bart`, by default that of `find`, as a string such as 'v0.8.00'; None without BART.

    Raises ValueError if it says no version, TimeoutError if it says nothing, and OSError if it cannot be run.
    """
    bart = bart or find()
    if bart is None:
        return None
    answer = ask(bart, "version", seconds=seconds)
    for line in map(str.strip, answer.stdout.splitlines()):
        if VERSION.fullmatch(line):
            return line
    said = (answer.stdout.strip() or answer.stderr.strip()).splitlines() or ["nothing"]
    raise ValueError(f"{bart}: expected a version such as v0.8.00 from `bart version`, got {said[-1]!r}:"
                     " this is not the BART toolbox, or it does not work")


def version_number(version: str) -> tuple[int, int]:
    """Return major and minor number of a version string.  Raises ValueError for a string of another form."""
    match = VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"expected a version such as v0.8.00, got {version!r}")
    return int(match[1]), int(match[2])
