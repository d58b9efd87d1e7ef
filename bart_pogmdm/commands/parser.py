"""The parser of all commands: its errors are exceptions, which `cli.main` turns into one line."""

import argparse


class Parser(argparse.ArgumentParser):
    """argparse's, but an error in the arguments raises ValueError."""

    def error(self, message):
        """Raise ValueError with the message and where to find the usage."""
        raise ValueError(f"{message} (`{self.prog} -h` shows the usage)")
