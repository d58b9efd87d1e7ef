"""The commands `bart pogmdm` and `bart-pogmdm`.  The help must be quick: what computes is imported when needed."""

import argparse
import os
import shlex
import signal
import sys
from importlib import import_module

USAGE = "pogmdm"
DESCRIPTION = """\
Jointly reconstruct image and coil sensitivities from undersampled k-space
with a learned prior (product of Gaussian mixture diffusion model). Needs no
calibration region. The output is in the units of the data. Optionally
outputs the sensitivities. Dimensions beyond COIL are looped over."""

# flag, type as BART writes it (None: a switch), name, help
OPTIONS = (
    ("-i", "d", "iter", "Number of iterations (default: 30)"),
    ("-p", "<file>", "file", "Sampling pattern (default: where k-space is not zero)"),
    ("-s", "d", "seed", "Random seed (default: 0; this method draws no random numbers)"),
    ("-S", None, "", "Re-scale the image (always done; accepted as in nlinv)"),
    ("-N", None, "", "Do not normalize image with coil sensitivities"),
    ("-I", "<file>", "file", "Image to start from"),
    ("-d", "d", "level", "Debug level (default: BART_DEBUG_LEVEL, or 2)"),
    ("--prior", "<file>", "file", "Prior (default: the one of the package)"),
    ("--noise", "f", "std", "Noise of the data per real and imaginary part (default: estimated)"),
)
POSITIONAL = ("<kspace>", "<output>", "[<sensitivities>]")
COMMANDS = {"install": "install", "uninstall": "install", "doctor": "install",  # each a function of its module
            "train": "train.command", "show": "evaluate.show"}
TYPES = {"d": int, "f": float, "<file>": str}
INFO, DEBUG = 2, 3


def help_text():
    """The help in BART's layout."""
    usage = [f"[{flag}{f' {kind}' if kind else ''}]" for flag, kind, _, _ in OPTIONS]
    rows = [(f"{flag} {name}".rstrip(), text) for flag, _, name, text in OPTIONS] + [("-h", "help")]
    width = max(len(left) for left, _ in rows) + 4
    return "\n".join([" ".join(["Usage:", USAGE, *usage, *POSITIONAL]), "", DESCRIPTION, "",
                      *(f"{left:{width}}{text}" for left, text in rows)])


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ValueError(f"{message} (`{USAGE} -h` shows the usage)")


def _parse(argv):
    parser = _Parser(prog=USAGE, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    for flag, kind, _, _ in OPTIONS:
        parser.add_argument(flag, **({"type": TYPES[kind]} if kind else {"action": "store_true"}))
    parser.add_argument("files", nargs="*")
    args = parser.parse_args(argv)
    if not args.help and not 2 <= len(args.files) <= 3:
        parser.error(f"expected {' '.join(POSITIONAL)}, got {len(args.files)} file names")
    return args


def _debug_level(given):
    text = given if given is not None else os.environ.get("BART_DEBUG_LEVEL", os.environ.get("DEBUG_LEVEL", INFO))
    try:
        return int(text)
    except ValueError:
        return INFO


def reconstruct(argv):
    """`pogmdm [options] <kspace> <output> [<sensitivities>]`."""
    args = _parse(argv)
    if args.help:
        print(help_text(), flush=True)
        if os.path.basename(sys.argv[0]) == "bart-pogmdm":
            print(f"\nOther commands: {', '.join(f'bart-pogmdm {name}' for name in COMMANDS)}", flush=True)
        return
    source, *targets = args.files
    level = _debug_level(args.d)

    from . import io
    io.check_outputs(targets, [name for name in (source, args.p, args.I) if name])
    kspace, pattern, start = (None if name is None else io.read(name) for name in (source, args.p, args.I))

    from tqdm import tqdm

    from .layout import check_kspace, slices
    from .reconstruction import recon
    check_kspace(kspace)
    iterations = 30 if args.i is None else args.i
    steps = iterations * slices(kspace)[..., 0, 0, 0].size
    with tqdm(total=steps, desc=USAGE, leave=False, disable=level < INFO or not sys.stderr.isatty()) as bar:
        result = recon(kspace, pattern, prior=args.prior, iterations=iterations, noise_std=args.noise, start=start,
                       normalize=not args.N, seed=args.s or 0, callback=lambda step: _stop_if_told() or bar.update())
    _stop_if_told()
    if level >= DEBUG:
        print(*(f"{key}: {value}" for key, value in result.info.items()), sep="\n", file=sys.stderr)
    io.write(dict(zip(targets, (result.image, result.sens))), shlex.join([USAGE, *argv]))


_signals = []


def _interrupt(signum, frame):
    """Take note, and stop at the next iteration: an exception inside a compiled library's callback gets lost there."""
    _signals.append(signum)
    if len(_signals) > 1:
        raise KeyboardInterrupt


def _stop_if_told():
    if _signals:
        raise KeyboardInterrupt


def main(argv=None):
    """Entry of `bart pogmdm` and `bart-pogmdm`: exit code 0, or 1 after one line `ERROR: …`."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in COMMANDS:
            module = import_module(f".{COMMANDS[argv[0]]}", __package__)
            return getattr(module, argv[0])(argv[1:])
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, _interrupt)
        reconstruct(argv)
    except BrokenPipeError:  # `pogmdm -h | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:  # the shell gets one line whatever happens
        if _debug_level(None) > DEBUG:
            raise
        print(f"ERROR: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _sentence(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was written"
    if isinstance(error, MemoryError):
        return "not enough memory"
    known = isinstance(error, (ValueError, TypeError, OSError, ImportError))
    return str(error) if known else f"{type(error).__name__}: {error} (BART_DEBUG_LEVEL=4 shows where)"
