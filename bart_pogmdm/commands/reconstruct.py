"""The work of `bart pogmdm`: read the files, reconstruct, write the results."""

import sys
from argparse import Namespace
from typing import Any

import numpy as np
from tqdm import tqdm

from ..algorithms.diffusion import Diffusion
from ..algorithms.state import State
from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..files import streams
from ..files.cfl import locate, read, write
from ..files.kspace import load
from ..files.outputs import bart_target, check_outputs
from ..physics.coil_compression import by_coil, compression, mix, whitening
from ..reconstruction.coil_combination import of_all_coils
from ..reconstruction.layout import check_kspace, sampled
from ..reconstruction.options import Options
from ..reconstruction.recon import recon
from . import standard_streams
from .bart_help import POSITIONAL, USAGE
from .interruption import Interruption
from .option_table import POGMDM
from .parser import given
from .shell import DEBUG, INFO, debug_level, wants_gpu


def reconstruct_files(args: Namespace, command: str, interruption: Interruption) -> None:
    """Reconstruct as the options and file names say; `command` is noted in the headers of the outputs.

    Raises ValueError, TypeError, OSError, MemoryError or ImportError with one sentence, and KeyboardInterrupt after a
    signal.
    """
    source, *targets = args.files
    kept = [args.keep] if args.keep else []
    sources = [name for name in (source, args.mask, args.traj, args.start, args.noise_scan) if name]
    stream = standard_streams.receive(sources, targets + kept, interruption)
    has_messages = standard_streams.has_messages(targets + kept, stream)
    method = _method(args)
    _check_names(args)
    with interruption.at_once():
        kspace, known_pattern = (stream.array, None) if stream and source == streams.STREAM else load(source)
        pattern, traj, start, noise_scan = (
            None if name is None else stream.array if stream and name == streams.STREAM else read(name)
            for name in (args.mask, args.traj, args.start, args.noise_scan))
    pattern = known_pattern if pattern is None else pattern
    check_kspace(kspace, is_cartesian=traj is None)
    _check_order(targets[0], kspace)
    combination = None
    if args.virtual_coils is not None or noise_scan is not None:
        measured = by_coil(kspace) if traj is not None else sampled(kspace, pattern)
        if not np.isfinite(measured).all():
            raise ValueError("kspace: expected finite samples, got NaN or infinite ones")
        combination = _combination(measured, noise_scan, args.virtual_coils)
        with np.errstate(all="ignore"):  # Samples outside the mask may be anything.
            kspace = mix(combination, kspace)
    options = given(args, "iterations", "samples", "prior", "noise_std", "maps", "normalize", "seed")
    level = debug_level(args.debug_level)
    with tqdm(desc=USAGE, leave=False, disable=level < INFO or not sys.stderr.isatty()) as bar:
        def advance(state: State) -> None:
            interruption.check()
            bar.total = state.info.iterations
            bar.update()

        result = recon(kspace, pattern, traj=traj, dims=_dims(args.dims), method=method, start=start,
                       keep_samples=bool(kept), device="gpu" if wants_gpu() else args.device, callback=advance,
                       **options)
    interruption.check()
    if level >= DEBUG:
        print(*(f"{key}: {value}" for key, value in result.info.items()), sep="\n", file=sys.stderr)
    if combination is not None:
        result = of_all_coils(result, combination, normalize=options.get("normalize", Options.normalize))
    outputs: dict[str, Any] = dict(zip(targets, (result.image, result.sens, result.std)))
    outputs |= dict.fromkeys(kept, result.samples)
    streamed = outputs.pop(streams.STREAM, None)
    if streamed is not None:  # The stream is sent before the files, so that nothing is written if no process reads it.
        standard_streams.send(streamed, command, has_messages, interruption)
    write(outputs, command)


def _check_names(args: Namespace) -> None:
    """Raise ValueError or OSError if an output would overwrite another file or cannot be written."""
    options = {option.dest: option for option in POGMDM if option.kind == "<file>" and getattr(args, option.dest)}
    source, *targets = args.files
    targets += [getattr(args, name) for name, option in options.items() if option.is_output]
    sources = [source, *(getattr(args, name) for name, option in options.items() if not option.is_output)]
    check_outputs([bart_target(name) for name in targets if name != streams.STREAM],
                  [name for name in sources if name != streams.STREAM])


def _check_order(target: str, kspace: Array) -> None:
    """Raise ValueError if the image would replace sensitivities: `pics` takes them before its output."""
    try:
        coils = locate(target).shape[COIL]
    except (OSError, ValueError):  # There is no such array yet.
        return
    if coils == kspace.shape[COIL] > 1:
        raise ValueError(f"output {target}: it exists and holds {coils} coils, like sensitivities of this k-space;"
                         f" expected the order {USAGE} kspace image sens (if it is not needed, remove it)")


def _method(args: Namespace) -> Diffusion | str | None:
    """Return the method for `recon`: a name or Algorithm 1 with its options; None for the default.

    Raises ValueError for options and outputs that the method does not have.
    """
    options = given(args, "num_levels", "num_corrector", "come_closer")
    if options and args.method != "diffusion":
        raise ValueError("--levels, -K and --come-closer go with --method diffusion")
    wants_samples = args.keep or len(args.files) == len(POSITIONAL)
    if wants_samples and args.method == "map":
        raise ValueError("<std> and --keep go with --method gibbs or diffusion, got map")
    if args.method is None and wants_samples:
        return "gibbs"
    return Diffusion(**options) if args.method == "diffusion" else args.method


def _dims(text: str | None) -> tuple[int, ...] | None:
    """Return the two sizes in y:x, or None for None.  Raises ValueError for other texts."""
    if text is None:
        return None
    sizes = text.split(":")
    if len(sizes) != 2 or not all(size.isdecimal() for size in sizes):
        raise ValueError(f"--dims: expected y:x, as 192:192, got {text!r}")
    return tuple(map(int, sizes))


def _combination(samples: Array, noise_scan: Array | None, virtual_coils: int | None) -> Array:
    """Return the matrix (out, coil) that prewhitens and compresses coils, one of which is asked for.

    samples: the measured samples of each coil, (coil, n).
    Raises ValueError for noise of another number of coils.
    """
    matrix: Array = np.eye(len(samples))
    if noise_scan is not None:
        if noise_scan.shape[COIL] != len(samples):
            raise ValueError(f"--whiten: expected noise of {len(samples)} coils,"
                             f" got {noise_scan.shape[COIL]}")
        matrix = whitening(by_coil(noise_scan))
    if virtual_coils is not None:
        matrix = compression(matrix @ samples, virtual_coils) @ matrix
    return matrix
