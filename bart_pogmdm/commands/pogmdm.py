"""`bart pogmdm`: the command line of the reconstruction."""

import os
import shlex
import sys
from argparse import Namespace

from . import COMMANDS
from .bart_help import POSITIONAL, USAGE, help_text, interface_text
from .interruption import Interruption
from .option_table import POGMDM
from .parser import Parser


def pogmdm(argv: list[str]) -> int:
    """Run `pogmdm [options] <kspace> <output> [<sensitivities>] [<std>]`."""
    interruption = Interruption()
    interruption.listen()
    args = _parse(argv)
    if args.help:
        print(help_text(), flush=True)
        if os.path.basename(sys.argv[0]) == "bart-pogmdm":
            print(f"\nOther commands: {', '.join(f'bart-pogmdm {name}' for name in COMMANDS)}", flush=True)
    elif args.interface:
        print(interface_text(), flush=True)
    else:
        from .reconstruct import reconstruct_files
        reconstruct_files(args, shlex.join([USAGE, *argv]), interruption)
    return 0


def _parse(argv: list[str]) -> Namespace:
    """Parse the options, and the file names as `files`.  Raises ValueError for invalid arguments."""
    parser = Parser(prog=USAGE, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--interface", action="store_true")
    for option in POGMDM:
        parser.add_argument(option.flag, **option.keywords)
    parser.add_argument("files", nargs="*")
    args = parser.parse_args(_levels_for_n(argv))
    if not (args.help or args.interface) and not 2 <= len(args.files) <= len(POSITIONAL):
        parser.error(f"expected {' '.join(POSITIONAL)}, got {len(args.files)} file names")
    return args


def _levels_for_n(argv: list[str]) -> list[str]:
    """Return the arguments with `--levels` in place of each -N that a number follows.

    -N alone is the switch of BART's nlinv; -N d is the number of noise levels of BART's sample.
    """
    words = list(argv)
    for i, word in enumerate(words):
        if word == "-N" and i + 1 < len(words) and words[i + 1].isdecimal():
            words[i] = "--levels"
        elif word[:2] == "-N" and word[2:].isdecimal():
            words[i] = f"--levels={word[2:]}"
    return words
