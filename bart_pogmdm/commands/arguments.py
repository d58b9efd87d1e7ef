"""The arguments of `bart pogmdm`, read as BART reads those of its own commands.

Switches may share a dash (`-gS`), a value may follow its letter (`-i10`), options and file names may come in any order,
and all words after `--` are file names.
"""

import os
import re
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import Any

from .bart_help import POSITIONAL
from .bart_meanings import INSTEAD, MEANINGS, seed_as_bitmask
from .option_table import POGMDM, TYPES, Option
from .shell import program
from .wording import closest

HELP = Option("-h", "help", None, "", "help", alias="--help")
INTERFACE = Option("--interface", "interface", None, "", "help for programs")
KNOWN = {spelling: option for option in (*POGMDM, HELP, INTERFACE) for spelling in option.spellings}


def read_arguments(argv: Sequence[str]) -> Namespace:
    """Return the values of all options, None where one is not given, and the file names as `files`.

    Raises ValueError with one sentence that names the option which is wrong.
    """
    values: dict[str, Any] = {option.dest: None for option in KNOWN.values()}
    words, files = list(argv), list[str]()
    while words:
        word = words.pop(0)
        if word == "--":
            files += words
            break
        if word == "-" or not word.startswith("-"):
            files.append(word)
            continue
        flag, value = _split(word)
        if flag == "-N" and (value.isdecimal() if value else words and _is_number(words[0])):
            flag = "--levels"  # -N alone is the switch of nlinv; -N d is the number of noise levels of sample.
        option = KNOWN.get(flag)
        if option is None:
            close = closest(flag, KNOWN)
            raise ValueError(f"unrecognized arguments: {flag}"
                             f" {_because(INSTEAD.get(flag) or (close and f'did you mean {close}?'))}")
        if option.kind is not None:
            values[option.dest] = _converted(option, flag, _value(flag, words) if value is None else value)
            continue
        if values[option.dest] not in (None, option.const):
            before = next(one for one in POGMDM if (one.dest, one.const) == (option.dest, values[option.dest]))
            raise ValueError(f"{flag}: does not go with {before.flag}")
        values[option.dest] = option.const
        if value is None and flag == "-S" and words and _is_number(words[0]):
            value = words[0]
        if value is not None and (word.startswith("--") or not value[0].isalpha()):
            reason = _because(MEANINGS.get(flag))
            raise ValueError(f"{flag}: expected no value, got {value!r} {reason}")
        if value is not None:
            words.insert(0, f"-{value}")
    if values["help"] or values["interface"]:
        return Namespace(**values, files=files)
    if not 2 <= len(files) <= len(POSITIONAL):
        reason = _because(MEANINGS["-I"] if values["start"] and len(files) < 2 else None)
        raise ValueError(f"expected {' '.join(POSITIONAL)}, got {len(files)} name{'s' * (len(files) != 1)} {reason}")
    return Namespace(**values, files=files)


def _split(word: str) -> tuple[str, str | None]:
    """Return an option and the value in the same word, or None."""
    if word.startswith("--"):
        flag, equals, value = word.partition("=")
        return flag, value if equals else None
    return word[:2], word[2:].removeprefix("=") or None


def _value(flag: str, words: list[str]) -> str:
    """Take the value of an option from the words after it; a word that looks like an option is none."""
    if not words or re.match("-[^0-9.]", words[0]):
        got = f", got {words[0]}" if words else ""
        raise ValueError(f"{flag}: expected one argument{got} {_because(MEANINGS.get(flag))}")
    return words.pop(0)


def _is_number(word: str) -> bool:
    """Return True for a number that is no file: in BART's sample it follows -N and -S."""
    return word.isdecimal() and not any(os.path.exists(f"{word}{ending}") for ending in ("", ".hdr"))


def _converted(option: Option, flag: str, text: str) -> Any:
    try:
        value = TYPES[option.kind or ""](text)
    except ArgumentTypeError as error:
        raise ValueError(f"{flag}: {error} {_because(MEANINGS.get(flag))}") from None
    if flag == "-s" and (refusal := seed_as_bitmask(value)):
        raise ValueError(f"-s: {refusal}")
    return value


def _because(reason: str | None) -> str:
    return f"({reason or f'`{program()} -h` shows the usage'})"
