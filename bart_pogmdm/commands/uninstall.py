"""`bart-pogmdm uninstall`: removes the files that `bart-pogmdm install` wrote."""

from ..toolbox.find_bart import find_real
from ..toolbox.install import Places, remove_launcher
from .parser import no_arguments


def uninstall(argv: list[str]) -> int:
    """Remove the files that `install` wrote, and print the lines of the shell's profile to remove."""
    if not no_arguments(uninstall, argv):
        remove_launcher(find_real(), Places())
    return 0
