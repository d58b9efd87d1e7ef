"""`bart-pogmdm install`: makes `bart pogmdm` a command."""

from ..toolbox.find_bart import find_real, version
from ..toolbox.install import Places, install_launcher
from .parser import no_arguments


def install(argv: list[str]) -> int:
    """Write the launcher where this machine's BART finds it, and print each step and the line to add to the profile."""
    if no_arguments(install, argv):
        return 0
    barts = find_real()
    if not barts:
        raise FileNotFoundError("bart not found in PATH, BART_TOOLBOX_PATH or TOOLBOX_PATH"
                                " (Debian, Ubuntu: apt-get install bart); `bart-pogmdm` works without it")
    print(f"BART {version(barts[0])} at {barts[0]}")
    install_launcher(barts[0], Places())
    return 0
