"""Finds the lines of a shell's profile that name certain folders."""

import contextlib
import re
from pathlib import Path

FILES = (".bashrc", ".bash_profile", ".bash_login", ".bash_aliases", ".profile", ".zshrc", ".zshenv", ".zprofile",
         ".cshrc", ".tcshrc", ".login", ".config/fish/config.fish")


def lines(*folders: Path) -> list[str]:
    """Return "line N of FILE: text" for each line of a profile that names one of the folders."""
    names = {str(name) for folder in folders for name in (folder, folder.resolve())}
    pattern, found = re.compile(rf"({'|'.join(map(re.escape, names))})/?(?![\w./-])"), []
    for path in (Path.home() / name for name in FILES):
        with contextlib.suppress(OSError):
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                spelled_out = re.sub(r"\$HOME\b|\$\{HOME\}|(?<![\w/])~(?=/)", lambda _: str(Path.home()),
                                     line.replace('"', "").replace("'", ""))
                if pattern.search(spelled_out) and not line.lstrip().startswith("#"):
                    found.append(f"line {number} of {path}: {line.strip()}")
    return found
