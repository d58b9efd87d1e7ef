"""`bart-pogmdm install`: makes `bart pogmdm` a command."""

from ..toolbox.find_bart import find_real, version
from ..toolbox.install import Places, install_launcher
from .parser import no_arguments


def install(argv: list[str]) -> int:
    """Write the launcher where this machine's BART finds it, and print each step and the variables to export."""
    if no_arguments(install, argv):
        return 0
    bart = find_real()
    if bart is None:
        raise FileNotFoundError("bart not found in BART_TOOLBOX_PATH, TOOLBOX_PATH or PATH"
                                " (Debian, Ubuntu: apt-get install bart); `bart-pogmdm` works without it")
    install_launcher(bart, version(bart), Places())
    return 0
