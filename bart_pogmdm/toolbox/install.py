"""Makes `bart pogmdm` a command of the BART on this machine, or removes it.

BART runs external commands from folders named `commands`; which ones, depends on its version and on how it is started.
So each folder is tried, and the first in which this very BART finds the launcher is kept.  If there is none, a script
`bart` that goes on the PATH before BART, a shim, does it for every version.  It leaves BART_TOOLBOX_PATH alone: BART's
own Python module, scripts and commands are there.
"""

import os
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import profile
from .find_bart import SECONDS, VARIABLES, ask, in_shell
from .launcher import is_ours, launcher_text, shim_text
from .scripts import install_scripts, remove_files
from .shown_run import COLOURS

NAME = "pogmdm"
ADD = "add to your shell's profile, and run in this shell"
TRIAL = ".pogmdm-trial"  # A name that no earlier installation has: BART runs it only from the folder that is tried.


def _home() -> Path:
    return Path.home() / ".local" / "lib" / "bart"


@dataclass(frozen=True)
class Places:
    """The folders in which the command may be installed.

    system: the folder in which every BART looks for external commands.
    home: a folder of the user, for the shim.
    """

    system: Path = Path("/usr/local/lib/bart/commands")
    home: Path = field(default_factory=_home)

    @property
    def home_launcher(self) -> Path:
        """The launcher that the shim runs."""
        return self.home / "commands" / NAME

    @property
    def shim(self) -> Path:
        """The script `bart` that goes on the PATH of one user."""
        return self.home / "bin" / "bart"

    @property
    def links(self) -> list[Path]:
        """The link to BART that version 0.1 made, and named in BART_TOOLBOX_PATH, if it is there."""
        link = self.home / "bart"
        is_alone = link.is_symlink() and len(os.listdir(self.home)) == 1  # That installation failed.
        return [link] if link.is_symlink() and (is_alone or is_ours(self.home_launcher)) else []

    @property
    def export(self) -> str:
        """The line of a shell's profile that makes the shim the `bart` of the shell."""
        if os.environ.get("SHELL", "").endswith("csh"):
            return f"setenv PATH {shlex.quote(str(self.shim.parent))}:${{PATH}}"
        return f'export PATH={shlex.quote(str(self.shim.parent))}:"$PATH"'

    @property
    def toolboxes(self) -> list[Path]:
        """The folders of commands in BART's own variables, as far as they exist and are not those of version 0.1."""
        folders = [Path(os.environ.get(name, "")) / "commands" for name in VARIABLES]
        return [folder for folder in folders
                if folder.is_absolute() and os.path.isdir(folder) and folder != self.home_launcher.parent]

    def launchers(self, barts: Iterable[Path]) -> list[Path]:
        """Return the launchers where BART may look for external commands, in the order of preference.

        A private toolbox comes before the folder of all users, and the folders beside BART's binaries are the last.
        """
        folders = [*self.toolboxes, self.system, *map(beside, barts)]
        return [folder / NAME for folder in dict.fromkeys(folders)]


def beside(bart: Path) -> Path:
    """Return the folder `commands` beside BART's binary, behind all links."""
    return bart.resolve().parent / "commands"


def help_of(*words: str | Path, seconds: float = SECONDS) -> str:
    """Return the help that a command such as `bart pogmdm` prints, which tells that it works.

    Raises ChildProcessError with its last line if it does not work, OSError or TimeoutError.
    """
    answer = ask(*words, "-h", seconds=seconds)
    if answer.returncode or not answer.stdout.startswith("Usage: pogmdm"):
        said = COLOURS.sub("", f"nothing\n{answer.stdout}\n{answer.stderr}").strip().splitlines()[-1]
        raise ChildProcessError(f"`{' '.join(map(str, words))}` does not work; it says: {said}")
    return answer.stdout


def install_launcher(bart: Path, places: Places) -> None:
    """Write the launcher where this BART finds it, and print each step and the line that the user has to add.

    bart: the real BART, no shim of ours, under the name by which it is called.
    Raises FileExistsError if a file that we did not write has the name of one of ours, or OSError.  Then nothing is
    left behind.
    """
    text, links = launcher_text(sys.executable), places.links
    found = next((path for path in places.launchers([bart]) if _is_found(bart, path, text)), None)
    scripts = {found: text} if found else {
        places.home_launcher: text, places.shim: shim_text(places.home_launcher, bart)}
    if not found:
        install_scripts(scripts, lambda: bool(help_of(places.shim, NAME)))
    for path in scripts:
        print(f"wrote {path}")
    earlier = [path for path in (places.shim, places.home_launcher, beside(bart) / NAME) if path not in scripts]
    removed = _remove([*filter(is_ours, earlier), *links], places)
    _say_which_lines_to_remove(places, removed, keep_path=not found)
    if not found and in_shell() != str(places.shim):
        print(how_to_reach(places))
    elif found and in_shell() is None:
        print(f'{ADD}:\n    export PATH={shlex.quote(str(bart.parent))}:"$PATH"')
    print("then try: bart pogmdm -h")


def _is_found(bart: Path, launcher: Path, text: str) -> bool:
    """Write a launcher, and return whether this BART runs it from there; if not, everything is as before.

    A trial under another name comes first, so that no earlier launcher answers in its place.
    Raises FileExistsError if a file that we did not write has its name.
    """
    trial = launcher.with_name(TRIAL)
    try:
        found = install_scripts({trial: text}, lambda: bool(help_of(bart, TRIAL)) and install_scripts(
            {launcher: text}, lambda: help_of(bart, NAME) == help_of(bart, TRIAL)))
    except FileExistsError:
        raise
    except OSError:  # It cannot be written, or BART does not look there.
        return False
    if found:
        trial.unlink()
    return found


def _remove(paths: Iterable[Path], places: Places) -> list[Path]:
    """Remove files, print their names, and return them; the user's own folders stay."""
    removed = remove_files(paths, keep=[*places.toolboxes, places.system.parents[1], Path.home()])
    for path in removed:
        print(f"removed {path}")
    return removed


def how_to_reach(places: Places) -> str:
    """Return how the shell comes to run the shim."""
    folder, known = places.shim.parent, profile.lines(places.shim.parent)
    if str(folder) in os.environ.get("PATH", "").split(os.pathsep):
        first = f"{folder} must come before it in the PATH: let this be the last line that changes PATH"
    else:
        first = f"open a new shell ({known[0]}), or run" if known else ADD
    return f"{first}:\n    {places.export}"


def _say_which_lines_to_remove(places: Places, removed: Iterable[Path], keep_path: bool = False) -> None:
    """Print the lines of profiles that name folders of ours, and how shells that are open forget a removed shim.

    keep_path: the shim is there, so that only BART_TOOLBOX_PATH, which version 0.1 had the user set, has to go.
    """
    known = profile.lines(places.home, *([] if keep_path else [places.shim.parent]))
    for line in known:
        print(f"remove {line}")
    if places.shim in removed:
        if not known:
            print(f"remove from your shell's profile, if it is there:\n    {places.export}")
        print("in shells that are open: hash -r")


def remove_launcher(barts: Iterable[Path], places: Places) -> None:
    """Remove the files that `install_launcher` wrote and the folders that become empty, and print each step.

    barts: every real BART that is known.  Raises PermissionError if some may not be removed; all others are.
    """
    launchers = places.launchers(barts)
    trials = [path.with_name(TRIAL) for path in launchers]
    ours = [path for path in (places.shim, *launchers, *trials, places.home_launcher) if is_ours(path)]
    ours = list(dict.fromkeys([*ours, *places.links]))
    removed = _remove(ours, places)
    if not ours:
        print(f"nothing to remove in {', '.join(str(path.parent) for path in (*launchers, places.home_launcher))}"
              " (a toolbox of your own is known while BART_TOOLBOX_PATH names it)")
    _say_which_lines_to_remove(places, removed)
    if left := [str(path) for path in ours if path not in removed]:
        raise PermissionError(f"{', '.join(left)}: this user may not remove it; all else is removed")
