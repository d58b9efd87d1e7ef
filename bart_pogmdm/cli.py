"""The entry under the name that launchers from version 0.1 of `bart-pogmdm install` import."""

from .commands.main import main as main
