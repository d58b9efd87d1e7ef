"""The words of a BART command line, from values of Python."""

import os
import shlex
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array

Word: TypeAlias = str | os.PathLike[str] | int | float
Command: TypeAlias = str | Sequence[Word]
Option: TypeAlias = Array | Sequence[int | float] | Word | None
NUMBERS = (int, float, np.integer, np.floating)
FLAGS = (bool, np.bool_)


def command_words(command: Command) -> list[str]:
    """Return the words of a command, a shell-quoted string or a list of words, paths and numbers.

    Raises TypeError for anything else, and ValueError for no words or an open quote.
    """
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"command: {str(error).lower()} in {command!r}") from None
    elif isinstance(command, (list, tuple)):
        words = [_word(value, "command") for value in command]
    else:
        raise TypeError(f"command: expected a string or a list of words, got {_kind(command)}")
    if not words:
        raise ValueError("command: expected the name of a command, got no words")
    return words


def option_words(name: str, value: Option, store: Callable[[str, object], str]) -> list[str]:
    """Return the words of an option: none for False and None, a flag for True, and else the option with its value.

    Numbers, text and paths are their own words, a list of numbers becomes x:y:z, and an array the file of `store`.
    Raises TypeError for any other value.
    """
    option = f"-{name}" if len(name) == 1 else f"--{name}"
    if value is None or isinstance(value, FLAGS):
        return [option] if value else []
    if isinstance(value, (list, tuple)):
        if not value:
            raise ValueError(f"{name}: expected numbers, got an empty list")
        return [option, ":".join(_number(item, name) for item in value)]
    if isinstance(value, (str, os.PathLike, *NUMBERS)):
        return [option, _word(value, name)]
    return [option, store(name, value)]


def with_options(words: list[str], options: list[str]) -> list[str]:
    """Return a command with its options right behind its name: BART 0.8 takes none behind the first file or number.

    Behind options of `bart` itself, such as -l, the name of the command is not known; then they come last.
    """
    place = len(words) if words[0].startswith("-") else 1
    return [*words[:place], *options, *words[place:]]


def _word(value: object, name: str) -> str:
    if isinstance(value, (str, os.PathLike)):
        return os.fsdecode(value)
    return _number(value, name)


def _number(value: object, name: str) -> str:
    if isinstance(value, FLAGS) or not isinstance(value, NUMBERS):
        raise TypeError(f"{name}: expected text or real numbers, got {_kind(value)}")
    return str(value)


def _kind(value: object) -> str:
    return type(value).__name__
