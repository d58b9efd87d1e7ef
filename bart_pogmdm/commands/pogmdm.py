"""`bart pogmdm`: the command line of the reconstruction."""

import shlex

from ..files.named_pipes import is_named_pipe, release_reader
from . import COMMANDS
from .arguments import read_arguments
from .bart_help import USAGE, help_text, interface_text
from .interruption import Interruption
from .shell import SCRIPT, debug_level, program, show_warnings


def pogmdm(argv: list[str], interruption: Interruption) -> int:
    """Run `pogmdm [options] <kspace> <output> [<sensitivities>] [<std>]`."""
    try:
        args = read_arguments(argv)
    except ValueError:
        for word in filter(is_named_pipe, argv):
            release_reader(word)
        raise
    if args.help:
        print(help_text(), flush=True)
        if program() == SCRIPT:
            print(f"\nOther commands: {', '.join(f'{SCRIPT} {name}' for name in COMMANDS)}", flush=True)
    elif args.interface:
        print(interface_text(), flush=True)
    else:
        interruption.level = debug_level(args.debug_level)
        show_warnings(interruption.level)
        from .reconstruct import reconstruct_files
        reconstruct_files(args, shlex.join([USAGE, *argv]), interruption)
    return 0
