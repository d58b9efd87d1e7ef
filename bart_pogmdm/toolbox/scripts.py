"""Writes executable scripts, all or none, and removes them."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ..files.atomic import naming, write_temporary
from .launcher import MARK, is_ours


def install_scripts(texts: Mapping[Path, str], works: Callable[[], bool]) -> bool:
    """Write executable scripts and return whether they work; if not, or after an error, everything is as before.

    Raises FileExistsError if a file that we did not write has the name of one of them, OSError, or what `works` raises.
    """
    with ExitStack() as undo:
        for path, text in texts.items():
            if os.path.lexists(path) and not is_ours(path):
                raise FileExistsError(f"{path} exists and was not written by `{MARK}`; it is left as it is")
            _make_folder(path.parent, undo)
            if os.path.lexists(path):
                undo.callback(_write, path, path.read_bytes())
            else:
                undo.callback(path.unlink, missing_ok=True)
            _write(path, text.encode())
        if not works():
            return False
        undo.pop_all()
    return True


def _make_folder(folder: Path, undo: ExitStack) -> None:
    """Make a folder and those above it, for the same readers as the one above, and note how to remove them."""
    for path in reversed([folder, *folder.parents]):
        if not os.path.isdir(path):
            if os.path.lexists(path):
                raise NotADirectoryError(f"{path}: expected a folder, got something else")
            path.mkdir()
            undo.callback(_remove_folder, path)
            path.chmod(path.stat().st_mode | path.parent.stat().st_mode & 0o755)  # Whatever the mask of root is.


def _write(path: Path, content: bytes) -> None:
    with naming(path):
        temporary = write_temporary(path, lambda file: file.write(content))
        os.chmod(temporary, 0o755)
        os.replace(temporary, path)


def remove_files(paths: Iterable[Path], keep: Iterable[Path]) -> list[Path]:
    """Remove files as far as that is allowed, and the folders that become empty but for those in `keep`.

    Returns the files that are gone.
    """
    removed = []
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
            removed.append(path)
            for folder in path.parents:
                if folder in keep or not _remove_folder(folder):
                    break
    return removed


def _remove_folder(folder: Path) -> bool:
    """Remove a folder if it is empty, and return whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
