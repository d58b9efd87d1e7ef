"""The parser of all commands: it takes options from the table, and its errors are exceptions, which become one line."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from .option_table import OPTIONS, Option
from .wording import closest


class Parser(argparse.ArgumentParser):
    """argparse's parser, but an error in the arguments raises ValueError."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse all arguments.  Raises ValueError that names the first unknown option."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            option = next((word for word in unknown if word.startswith("-")), unknown[0])
            flag = option.partition("=")[0]
            close = closest(flag, self._option_string_actions)
            self.error(f"unrecognized arguments: {flag}" + (f": did you mean {close}?" if close else ""))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise ValueError with the message and a hint at the usage."""
        raise ValueError(f"{message.removeprefix('argument ')} (`{self.prog} -h` shows the usage)")

    def take(self, *flags: str, **changes: Any) -> None:
        """Take options from the table; `changes` replace arguments of `add_argument`, such as required=True."""
        self.take_all(map(OPTIONS.__getitem__, flags), **changes)

    def take_all(self, options: Iterable[Option], **changes: Any) -> None:
        """Take these options, as `take`.  Of several switches for one argument only one may be given."""
        groups: dict[str, Any] = {}
        for option in options:
            if option.kind is None and option.dest not in groups:
                groups[option.dest] = self.add_mutually_exclusive_group()
            place = self if option.kind else groups[option.dest]
            place.add_argument(*option.spellings, **option.keywords | changes)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return {name: value} of the given options, among `names` or all."""
    return {name: value for name in names or vars(args) if (value := getattr(args, name)) is not None}


def no_arguments(command: Callable[[list[str]], int], argv: list[str]) -> bool:
    """Print the help and return True if it was asked for; raise ValueError for any other argument."""
    if argv in (["-h"], ["--help"]):
        print(f"Usage: bart-pogmdm {command.__name__}\n\n{command.__doc__}")
        return True
    if argv:
        raise ValueError(f"{command.__name__} takes no arguments, got {' '.join(argv)}")
    return False
