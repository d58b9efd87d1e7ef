"""The wording of messages in the shell: options where those of Python name arguments, and hints at misspelt words."""

import difflib
import re
from collections.abc import Iterable

from .option_table import Option

CLOSE = 0.75  # The similarity by difflib from which a word counts as misspelt: "doktor" has 0.83, "image" 0.5.
# An argument in the middle of a message, with or without its value, as `sens` or `maps=2`.
ARGUMENT = re.compile(r"`(\w+)(?:=([^`]*))?`")


def in_shell(message: str, options: Iterable[Option]) -> str:
    """Return a message with the options that set its arguments in their place.

    They are replaced at the beginning, before a colon, and between backticks, also with a value.
    """
    by_argument = {option.dest: option for option in options}

    def spelled(match: re.Match[str]) -> str:
        name, value = match.groups()
        if (option := by_argument.get(name)) is None:
            return match[0]
        return option.flag if value is None or option.kind is None else f"{option.flag} {value}"

    name, colon, rest = message.partition(":")
    if colon and name in by_argument:
        message = f"{by_argument[name].flag}:{rest}"
    return ARGUMENT.sub(spelled, message)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the word that a misspelt or abbreviated one means, or None."""
    known = list(known)
    begun = [one for one in known if len(word) > 2 and one.startswith(word)]
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=CLOSE) or begun), None)
