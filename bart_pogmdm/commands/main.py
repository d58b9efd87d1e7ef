"""The commands `bart pogmdm` and `bart-pogmdm`.  The help must be quick: what computes is imported when needed."""

import contextlib
import os
import shlex
import signal
import sys
from importlib import import_module

from .parser import Parser

USAGE = "pogmdm"
DESCRIPTION = """\
Jointly reconstruct image and coil sensitivities from undersampled k-space
with a learned prior (product of Gaussian mixture diffusion model). Needs no
calibration region. The output is in the units of the data. Optionally
outputs the sensitivities, and the standard deviation of the magnitude.
Dimensions beyond COIL are looped over."""
# flag, type as BART writes it (None: a switch), name, help
OPTIONS = (
    ("-i", "d", "iter", "Number of iterations to the maximum of the posterior (default: 40)"),
    ("-p", "<file>", "file", "Sampling pattern (default: where k-space is not zero)"),
    ("-t", "<file>", "file", "k-space trajectory"),
    ("--dims", "d:d", "y:x", "Size of the image with -t (default: from the trajectory)"),
    ("-s", "d", "seed", "Random seed (default: 0)"),
    ("-S", None, "", "Re-scale the image (always done; accepted as in nlinv)"),
    ("-m", "d", "maps", "Number of image and sensitivity sets: 2 where the object folds over (default: 1)"),
    ("-N", None, "", "Do not normalize image with coil sensitivities"),
    ("-I", "<file>", "file", "Image to start from"),
    ("-d", "d", "level", "Debug level (default: BART_DEBUG_LEVEL, or 2)"),
    ("--prior", "<file>", "file", "Prior (default: the one of the package)"),
    ("-g", None, "", "Use a GPU (also with BART_GPU=1)"),
    ("--noise", "f", "std", "Noise of the data per real and imaginary part (default: estimated)"),
    ("--method", "<string>", "name", "map, gibbs or diffusion (default: map; gibbs with --samples or <std>)"),
    ("--samples", "d", "num", "Number of samples of the posterior, whose mean is the output (default: 10)"),
    ("--whiten", "<file>", "file", "Noise scan of the same coils: prewhiten by it"),
    ("--cc", "d", "num", "Compress to so many virtual coils; the sensitivities are those of all coils"),
    ("--keep", "<file>", "file", "Write the samples, along BATCH"),
    ("--levels", "d", "num", "diffusion: number of noise levels (default: 1000; -N d means the same)"),
    ("-K", "d", "num", "diffusion: corrector steps at each level (default: 1)"),
    ("--come-closer", "f", "sigma", "diffusion: start at this noise level (default: 10)"),
)
POSITIONAL = ("<kspace>", "<output>", "[<sensitivities>]", "[<std>]")
COMMANDS = {"install": "toolbox.install", "uninstall": "toolbox.install", "doctor": "toolbox.install",
            "volume": "commands.volume", "train": "commands.train", "show": "commands.show",
            "compare": "commands.compare", "view": "commands.view"}
TYPES = {"d": int, "f": float, "<file>": str, "<string>": str, "d:d": str}
INTERFACE = {"d": "OPT_INT", "f": "OPT_FLOAT", "<file>": "OPT_INFILE", "<string>": "OPT_STRING", "d:d": "OPT_VEC2",
             None: "OPT_SET", "--keep": "OPT_OUTFILE"}
INFO, DEBUG = 2, 3


def help_text():
    """The help in BART's layout."""
    usage = [f"[{flag}{f' {kind}' if kind else ''}]" for flag, kind, _, _ in OPTIONS]
    rows = [(f"{flag} {name}".rstrip(), text) for flag, _, name, text in OPTIONS] + [("-h", "help")]
    width = max(len(left) for left, _ in rows) + 4
    return "\n".join([" ".join(["Usage:", USAGE, *usage, *POSITIONAL]), "", DESCRIPTION, "",
                      *(f"{left:{width}}{text}" for left, text in rows)])


def interface_text():
    """What BART's own commands print for `--interface`: for programs that make calls of it."""
    def quoted(text):
        return '"' + text.replace("\n", " ") + '"'

    usage = "".join(f"{name} " for name in POSITIONAL)
    files = [f'{{ {"false" if name[0] == "[" else "true"}, "ARG", 1, {{ {kind}, 8, {quoted(name.strip("[]<>"))} }} }}'
             for name, kind in zip(POSITIONAL, ["OPT_INFILE"] + ["OPT_OUTFILE"] * (len(POSITIONAL) - 1))]
    options = []
    for flag, kind, _, text in OPTIONS:
        short, long = ("n/a", flag[2:]) if flag.startswith("--") else (flag[1:], "(null)")
        takes = "true" if kind else "false"
        options.append(f'{{ "{short}", "{long}", {takes}, {INTERFACE.get(flag) or INTERFACE[kind]}, "{kind or ""}",'
                       f' {quoted(text)} }}')
    return "\n".join([f"name: {USAGE}, usage_str: {quoted(usage)}, help_str: {quoted(DESCRIPTION)}",
                      "positional arguments:", *files, "options:", *options])


def _parse(argv):
    parser = Parser(prog=USAGE, add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--interface", action="store_true")
    for flag, kind, _, _ in OPTIONS:
        parser.add_argument(flag, **({"type": TYPES[kind]} if kind else {"action": "store_true"}))
    parser.add_argument("files", nargs="*")
    args = parser.parse_args(_levels_for_n(argv))
    if not (args.help or args.interface) and not 2 <= len(args.files) <= len(POSITIONAL):
        parser.error(f"expected {' '.join(POSITIONAL)}, got {len(args.files)} file names")
    return args


def _levels_for_n(argv):
    """-N is a switch of nlinv, -N d the noise levels of sample: before a number, `--levels` is meant."""
    argv = list(argv)
    for i, word in enumerate(argv):
        if word == "-N" and i + 1 < len(argv) and argv[i + 1].isdecimal():
            argv[i] = "--levels"
        elif word[:2] == "-N" and word[2:].isdecimal():
            argv[i] = f"--levels={word[2:]}"
    return argv


def _method(args):
    """The method for `recon`: a name, or one with options; None where nothing was said.  ValueError for a misfit."""
    from ..reconstruction.methods import Diffusion
    options = {"num_levels": args.levels, "num_corrector": args.K, "come_closer": args.come_closer}
    options = {key: value for key, value in options.items() if value is not None}
    if options and args.method != "diffusion":
        raise ValueError("--levels, -K and --come-closer go with --method diffusion")
    wants_draws = args.keep or len(args.files) == len(POSITIONAL)
    if wants_draws and args.method == "map":
        raise ValueError("<std> and --keep go with --method gibbs or diffusion, got map")
    if args.method is None and wants_draws:
        return "gibbs"
    return Diffusion(**options) if args.method == "diffusion" else args.method


def _dims(text):
    """The sizes in y:x, None for None.  ValueError for others."""
    if text is None:
        return None
    sizes = text.split(":")
    if len(sizes) != 2 or not all(size.isdecimal() for size in sizes):
        raise ValueError(f"--dims: expected y:x, as 192:192, got {text!r}")
    return tuple(map(int, sizes))


def _debug_level(given):
    text = given if given is not None else os.environ.get("BART_DEBUG_LEVEL", os.environ.get("DEBUG_LEVEL", INFO))
    try:
        return int(text)
    except ValueError:
        return INFO


def _asked_for_gpu():
    """Whether BART_GPU, as BART reads it, is set."""
    text = os.environ.get("BART_GPU", "")
    return text.isdecimal() and int(text) > 0


def reconstruct(argv):
    """`pogmdm [options] <kspace> <output> [<sensitivities>]`."""
    args = _parse(argv)
    if args.help:
        print(help_text(), flush=True)
        if os.path.basename(sys.argv[0]) == "bart-pogmdm":
            print(f"\nOther commands: {', '.join(f'bart-pogmdm {name}' for name in COMMANDS)}", flush=True)
        return
    if args.interface:
        print(interface_text(), flush=True)
        return
    source, *targets = args.files
    level, keep = _debug_level(args.d), [args.keep] if args.keep else []

    from ..files import streams
    from ..files.cfl import check_outputs, read, write
    from ..files.kspace import load
    from ..physics.coil_compression import mix
    from ..reconstruction.coil_combination import of_all
    sources = [name for name in (source, args.p, args.t, args.I, args.whiten) if name]
    stream = _stream(sources, targets + keep)
    method = _method(args)
    check_outputs(*([name for name in names if name != streams.STREAM] for names in (targets + keep, sources)))
    kspace, known_pattern = (stream.array, None) if source == streams.STREAM else load(source)
    pattern, traj, start, noise_scan = (
        None if name is None else stream.array if name == streams.STREAM else read(name)
        for name in (args.p, args.t, args.I, args.whiten))
    pattern = known_pattern if pattern is None else pattern

    from tqdm import tqdm

    from ..reconstruction.layout import check_kspace
    from ..reconstruction.recon import recon
    check_kspace(kspace, is_cartesian=traj is None)
    combination = _combination(kspace, noise_scan, args.cc)
    if combination is not None:
        kspace = mix(combination, kspace)
    with tqdm(desc=USAGE, leave=False, disable=level < INFO or not sys.stderr.isatty()) as bar:
        def advance(step):
            _stop_if_told()
            bar.total = step.iterations
            bar.update()

        result = recon(kspace, pattern, traj=traj, dims=_dims(args.dims), method=method, samples=args.samples,
                       prior=args.prior, noise_std=args.noise, start=start,
                       maps=1 if args.m is None else args.m, normalize=not args.N, keep_samples=bool(keep),
                       seed=args.s or 0, device="gpu" if args.g or _asked_for_gpu() else None, callback=advance,
                       **({} if args.i is None else {"iterations": args.i}))
    _stop_if_told()
    if level >= DEBUG:
        print(*(f"{key}: {value}" for key, value in result.info.items()), sep="\n", file=sys.stderr)
    if combination is not None:
        result = of_all(result, combination, normalize=not args.N)
    outputs = dict(zip(targets, (result.image, result.sens, result.std))) | dict.fromkeys(keep, result.samples)
    streamed, command = outputs.pop(streams.STREAM, None), shlex.join([USAGE, *argv])
    if streamed is not None:  # before the files: if nobody reads, nothing is written
        _send(streamed, command, stream and stream.messages)
    write(outputs, command)


def _stream(sources, targets):
    """The array that comes through the pipe, if any; before all else, for it takes a file of samples with it."""
    from ..files import streams
    for direction, names in (("input", sources), ("output", targets)):
        if names.count(streams.STREAM) > 1:
            raise ValueError(f"'-': expected one {direction} in a stream, got {names.count(streams.STREAM)}")
    if streams.STREAM in sources:
        with _interruptible():
            return streams.read(sys.stdin.buffer)
    return None


def _send(array, command, messages):
    """Write to the pipe.  ValueError where nobody reads it."""
    from ..files import streams
    from ..toolbox.find_bart import version
    try:
        if messages is None:  # nothing came through a pipe: as the installed BART reads it
            messages = not (version() or "v1").startswith("v0.")
        with _interruptible():
            streams.write(sys.stdout.buffer, array, command, messages)
    except BrokenPipeError:
        _forget_stdout()
        raise ValueError("'-': the command that reads the output has ended; nothing was written") from None


def _combination(kspace, noise_scan, virtual_coils):
    """The matrix that combines the coils, or None.  ValueError for a noise scan of other coils."""
    from ..arrays.bart_dims import COIL
    from ..physics.coil_compression import by_coil, compression, mix, whitening
    matrix = None
    if noise_scan is not None:
        if noise_scan.shape[COIL] != kspace.shape[COIL]:
            raise ValueError(f"--whiten: expected noise of {kspace.shape[COIL]} coils,"
                             f" got {noise_scan.shape[COIL]}")
        matrix = whitening(by_coil(noise_scan))
    if virtual_coils is not None:
        compression = compression(kspace if matrix is None else mix(matrix, kspace), virtual_coils)
        matrix = compression if matrix is None else compression @ matrix
    return matrix


_signals, _waiting = [], []


def _interrupt(signum, frame):
    """Take note, and stop at the next iteration: an exception inside a compiled library's callback gets lost there."""
    _signals.append(signum)
    if _waiting or len(_signals) > 1:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _interruptible():
    """Where a pipe may make us wait, a signal stops at once."""
    _waiting.append(True)
    try:
        yield
    finally:
        _waiting.pop()


def _stop_if_told():
    if _signals:
        raise KeyboardInterrupt


def main(argv=None):
    """Entry of `bart pogmdm` and `bart-pogmdm`: exit code 0, or 1 after one line `ERROR: …`."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv and argv[0] in COMMANDS:
            module = import_module(f"bart_pogmdm.{COMMANDS[argv[0]]}")
            return getattr(module, argv[0])(argv[1:])
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, _interrupt)
        reconstruct(argv)
    except BrokenPipeError:  # `pogmdm -h | head`
        _forget_stdout()
        return 1
    except (Exception, KeyboardInterrupt) as error:  # the shell gets one line whatever happens
        if _debug_level(None) > DEBUG:
            raise
        print(f"ERROR: {_sentence(error)}", file=sys.stderr)
        return 1
    return 0


def _forget_stdout():
    """Nobody reads it: what is left in its buffer must not fail when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _sentence(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing was written"
    if isinstance(error, MemoryError):
        return str(error) or "not enough memory"
    known = isinstance(error, (ValueError, TypeError, OSError, ImportError))
    return str(error) if known else f"{type(error).__name__}: {error} (BART_DEBUG_LEVEL=4 shows where)"
