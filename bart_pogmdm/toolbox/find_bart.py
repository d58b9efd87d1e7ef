"""Finds the `bart` executable and asks it for its version."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from .launcher import is_ours

VARIABLES = ("BART_TOOLBOX_PATH", "TOOLBOX_PATH")


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield every `bart` in the folders of BART_TOOLBOX_PATH, TOOLBOX_PATH and PATH, in this order."""
    path = environ.get("PATH", os.defpath)
    for folder in (*(environ.get(name) for name in VARIABLES), *path.split(os.pathsep)):
        if folder and (found := shutil.which("bart", path=folder)):
            yield found


def find(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the `bart` that a shell would run, perhaps the shim of `bart-pogmdm install`; None without BART."""
    return next(_candidates(environ), None)


def find_real(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return BART itself, behind any shim or link of `bart-pogmdm install`; None without BART."""
    return next((Path(found).resolve() for found in _candidates(environ) if not is_ours(found)), None)


def version(bart: str | Path | None = None) -> str | None:
    """Return the version of a `bart`, by default that of `find`, as a string such as 'v0.8.00'; None without BART."""
    bart = bart or find()
    if bart is None:
        return None
    run = subprocess.run([bart, "version"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or None


def version_number(version: str | None) -> tuple[int, int]:
    """Return major and minor number of a version string; (0, 8) for a string of another form."""
    match = re.match(r"v?(\d+)\.(\d+)", version or "")
    return (int(match[1]), int(match[2])) if match else (0, 8)
