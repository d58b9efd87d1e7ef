"""`bart-pogmdm install`: makes `bart pogmdm` a command."""

from ..toolbox.find_bart import find_real, version
from ..toolbox.install import Places, install_launcher
from .parser import asks_for_help


def install(argv: list[str]) -> int:
    """Put the launcher where this machine's BART finds it; says what was done and what to export."""
    if asks_for_help(install, argv):
        return 0
    bart = find_real()
    if bart is None:
        raise FileNotFoundError("bart not found in BART_TOOLBOX_PATH, TOOLBOX_PATH or PATH"
                                " (Debian, Ubuntu: apt-get install bart); `bart-pogmdm` works without it")
    install_launcher(bart, version(bart), Places())
    return 0
