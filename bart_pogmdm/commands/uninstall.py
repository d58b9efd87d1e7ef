"""`bart-pogmdm uninstall`: takes away what `bart-pogmdm install` wrote."""

from ..toolbox.find_bart import find_real
from ..toolbox.install import Places, remove_launcher
from .parser import asks_for_help


def uninstall(argv: list[str]) -> int:
    """Remove what `install` wrote."""
    if not asks_for_help(uninstall, argv):
        remove_launcher(find_real(), Places())
    return 0
