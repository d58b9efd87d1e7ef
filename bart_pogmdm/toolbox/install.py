"""Makes `bart pogmdm` a command of the BART on this machine, or removes it."""

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .find_bart import version_number
from .launcher import MARK, is_ours, launcher_text, shim_text

# From this version on BART looks for external commands in the folder `commands` beside its binary, too.
COMMANDS_BESIDE_BINARY = (0, 9)


def is_writable(folder: Path) -> bool:
    """Return True if a folder can be written, or can be created if it does not exist."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _home() -> Path:
    return Path.home() / ".local" / "lib" / "bart"


@dataclass(frozen=True)
class Places:
    """The folders in which the command may be installed.

    system: the folder in which every BART looks for external commands.
    home: a folder of the user, which is used if the system folder cannot be written.
    writable: returns True for a folder that can be written.
    """

    system: Path = Path("/usr/local/lib/bart/commands")
    home: Path = field(default_factory=_home)
    writable: Callable[[Path], bool] = is_writable

    @property
    def system_launcher(self) -> Path:
        """The launcher for all users."""
        return self.system / "pogmdm"

    @property
    def home_launcher(self) -> Path:
        """The launcher for one user."""
        return self.home / "commands" / "pogmdm"

    @property
    def shim(self) -> Path:
        """The script `bart` for one user of BART 0.8, which knows system folders only."""
        return self.home / "bin" / "bart"

    @property
    def link(self) -> Path:
        """The link to BART for one user of a later version, which looks in `commands` beside it."""
        return self.home / "bart"


def launcher_beside(bart: Path) -> Path:
    """Return the path of the launcher in the folder `commands` beside BART's binary."""
    return bart.parent / "commands" / "pogmdm"


def install_launcher(bart: Path, version: str | None, places: Places) -> None:
    """Write the launcher where this BART finds it, and print each step and the variable that the user has to export.

    bart: the real BART, neither a shim nor a link of ours; version: its version string.
    Raises FileExistsError if a file that we did not write has the name of one of ours, or OSError.
    """
    print(f"BART {version or ''} at {bart}")
    launcher = launcher_text(sys.executable)
    looks_beside = version_number(version) >= COMMANDS_BESIDE_BINARY
    if places.writable(places.system):
        _write_script(places.system_launcher, launcher)
    elif looks_beside and places.writable(launcher_beside(bart).parent):
        _write_script(launcher_beside(bart), launcher)
    elif looks_beside:
        _link(places.link, bart)
        _write_script(places.home_launcher, launcher)
        print(f"add to your shell's profile:\n    export BART_TOOLBOX_PATH={shlex.quote(str(places.home))}")
    else:
        _write_script(places.home_launcher, launcher)
        _write_script(places.shim, shim_text(places.home_launcher, bart))
        print(f'add to your shell\'s profile:\n    export PATH={shlex.quote(str(places.shim.parent))}:"$PATH"')
    print("then try: bart pogmdm -h")


def remove_launcher(bart: Path | None, places: Places) -> None:
    """Remove the files that `install_launcher` wrote and the folders that become empty, and print each step.

    bart: the real BART, or None if there is none.
    """
    scripts = [places.system_launcher, places.home_launcher, places.shim]
    if bart is not None:
        scripts.append(launcher_beside(bart))
    removed = [path for path in scripts if is_ours(path)]
    if places.home_launcher in removed and places.link.is_symlink():
        removed.append(places.link)
    for path in removed:
        path.unlink()
        print(f"removed {path}")
    for path in removed:
        for folder in (path.parent, path.parent.parent):
            if folder.name in ("commands", "bin", "bart") and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    if not removed:
        print("nothing to remove")


def _write_script(path: Path, text: str) -> None:
    """Write an executable script.  Raises FileExistsError if a file that we did not write has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not is_ours(path):
        raise FileExistsError(f"{path} exists and was not written by `{MARK}`; it is left as it is")
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(0o755)
    os.replace(temporary, path)
    print(f"wrote {path}")


def _link(link: Path, bart: Path) -> None:
    """Link to BART's binary.  Raises FileExistsError if a file that is no link has that name."""
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} exists and is no link to BART; it is left as it is")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(bart)
    print(f"linked {link} to {bart}")
