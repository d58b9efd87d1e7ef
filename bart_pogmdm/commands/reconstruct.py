"""The work of `bart pogmdm`: read the files, reconstruct, write the results."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from ..algorithms.diffusion import Diffusion
from ..algorithms.state import State
from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import BATCH, BEYOND, COIL, pad_dims
from ..arrays.doubts import doubt
from ..arrays.memory import size_text
from ..files.cfl import read
from ..files.image_origin import IMAGE, SAMPLES, SENS, STD, Origin, Style
from ..files.image_outputs import check_images, image_target, write_images
from ..files.kspace import open_kspace, read_whole
from ..files.outputs import check_outputs
from ..physics.coil_compression import by_coil, compression, lost_part, mix, whitening
from ..reconstruction.coil_combination import of_all_coils
from ..reconstruction.layout import check_kspace, sampled
from ..reconstruction.options import Options
from ..reconstruction.recon import recon
from ..reconstruction.result import Result, provenance_of
from ..reconstruction.trajectory_layout import components
from .argument_order import check_order
from .bart_help import POSITIONAL, USAGE
from .bart_meanings import MEANINGS
from .interruption import Interruption
from .option_table import POGMDM
from .parser import given
from .pipes import connected, is_pipe_name
from .shell import DEBUG, INFO, debug_level, wants_gpu

LOST = 0.05  # Part of the signal: where 0.07 of it was left out, the error of an image rose from 5 to 12 %.


def reconstruct_files(args: Namespace, command: str, interruption: Interruption) -> None:
    """Reconstruct as the options and file names say; `command` is noted in the headers of the outputs.

    Raises ValueError, TypeError, OSError, MemoryError or ImportError with one sentence, and KeyboardInterrupt after a
    signal.
    """
    source, *targets = args.files
    named = {option.dest: name for option in POGMDM
             if option.is_array and not option.is_output and (name := getattr(args, option.dest)) is not None}
    others = [name for name in (args.keep, args.sens_std) if name is not None]
    with connected([source, *named.values()], targets + others, interruption) as pipes:
        received = pipes.receive()
        method, dims = _method(args), _dims(args.dims)
        _check_names(args)
        with interruption.at_once():
            if source in received:
                kspace, known_pattern, origin = received[source].array, None, Origin()
            else:
                file = open_kspace(source, args.measurement)
                (kspace, known_pattern), args.voxel = read_whole(file), args.voxel or file.voxel
                origin = Origin(file.geometry, file.tags)
            arrays = {dest: received[name].array if name in received else read_array(dest, name)
                      for dest, name in named.items()}
        style = Style(**given(args, "part", "largest", "anonymous"))
        roles = dict(zip(targets, (IMAGE, SENS, STD)))
        roles |= {name: role for name, role in ((args.keep, SAMPLES), (args.sens_std, SENS)) if name is not None}
        shape = pad_dims(kspace.shape)
        # The sizes along a trajectory do not matter here, but for those of 1.
        grid = shape[:COIL] if args.traj is None else (2, 2, components(arrays["traj"]) - 1)
        _check_images({name: role for name, role in roles.items() if not is_pipe_name(name)},
                      (*grid, *shape[COIL:]), origin, style)
        result = _reconstruct(args, kspace, {"mask": known_pattern} | arrays, method, dims, interruption)
        outputs: dict[str, Any] = dict(zip(targets, (result.image, result.sens, result.std)))
        outputs |= {name: array for name, array in ((args.keep, result.samples), (args.sens_std, result.sens_std))
                    if name is not None}
        # The pipes are served before the files, so that nothing is written if no process reads them.
        pipes.send({name: outputs.pop(name) for name in pipes.targets}, command, received)
        write_images({name: (roles[name], array) for name, array in outputs.items()},
                     replace(origin, provenance=provenance_of(result.info)), style, command)


def _reconstruct(args: Namespace, kspace: Array, arrays: dict[str, Any], method: Diffusion | str | None,
                 dims: tuple[int, ...] | None, interruption: Interruption) -> Result:
    """Return the result for k-space and {argument: array} of the options."""
    noise_scan, is_cartesian = arrays.pop("noise_scan", None), "traj" not in arrays
    check_kspace(kspace, is_cartesian)
    if not is_pipe_name(args.files[1]):
        check_order(args.files[1], kspace.shape, is_cartesian)
    _check_coils(arrays, kspace.shape[COIL])
    combination = None
    if args.virtual_coils is not None or noise_scan is not None:
        measured = sampled(kspace, arrays["mask"]) if is_cartesian else by_coil(kspace)
        if not np.isfinite(measured).all():
            raise ValueError("kspace: expected finite samples, got NaN or infinite ones")
        arrays["mask"] = _common(arrays["mask"])
        combination = _combination(measured, noise_scan, args.virtual_coils)
        with np.errstate(all="ignore"):  # Samples outside the mask may be anything.
            kspace = mix(combination, kspace)
        if "sens" in arrays:
            arrays["sens"] = mix(combination, arrays["sens"])
    if args.sens_std is not None and ("sens" in arrays or kspace.shape[COIL] == 1):
        raise ValueError("sens_std: goes with several coils whose sensitivities are not known")
    options = given(args, "iterations", "samples", "prior", "noise_std", "maps", "shared_sens", "temporal",
                    "sms", "voxel", "normalize", "seed")
    level = debug_level(args.debug_level)
    with tqdm(desc=USAGE, leave=False, disable=level < INFO or not sys.stderr.isatty()) as bar:
        def advance(state: State) -> None:
            interruption.check()
            bar.total = state.info.iterations
            bar.update(state.info.iteration - bar.n)

        result = recon(kspace, dims=dims, method=method, keep_samples=args.keep is not None,
                       device="gpu" if wants_gpu() else args.device, callback=advance, **arrays, **options)
    interruption.check()
    if level >= DEBUG:
        facts = {**result.info, "memory": size_text(result.info["memory"])}
        del facts["warnings"]  # They are printed where they arise.
        print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n", file=sys.stderr)
    if combination is None:
        return result
    return of_all_coils(result, combination, normalize=options.get("normalize", Options.normalize))


def read_array(dest: str, name: str) -> Array:
    """Read the array of an option.  Raises FileNotFoundError or ValueError that names the option and the file."""
    try:
        return read(name)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"{dest}: {error}") from None


def _check_names(args: Namespace) -> None:
    """Raise ValueError or OSError if an output would overwrite another file or cannot be written."""
    source, *targets = args.files
    sources = [source]
    for option in POGMDM:
        if option.kind == "<file>" and (name := getattr(args, option.dest)) is not None:
            (targets if option.is_output else sources).append(name)
    check_outputs([image_target(name) for name in targets if not is_pipe_name(name)],
                  [name for name in sources if not is_pipe_name(name)])


def _check_images(roles: Mapping[str, str], sens: Shape, origin: Origin, style: Style) -> None:
    """Raise ValueError or ImportError if an output of {name: role} cannot hold what the reconstruction will give.

    sens: shape of the sensitivities.
    """
    grid = sens[:COIL]
    shapes = {SENS: sens, SAMPLES: (*grid, 1, *sens[BEYOND:BATCH], 2)}
    check_images({name: shapes.get(role, (*grid, 1, *sens[BEYOND:])) for name, role in roles.items()},
                 origin.geometry, style)


def _check_coils(arrays: Mapping[str, Any], coils: int) -> None:
    """Raise ValueError for sensitivities of other coils than those of k-space, and for a start image with coils."""
    for dest, flag, expected, meaning in (("sens", "--sens", coils, None), ("start", "-I", 1, MEANINGS["-I"])):
        if dest in arrays and (found := arrays[dest].shape[COIL]) != expected:
            raise ValueError(f"{flag}: expected an array of {expected} coil{'s' if expected > 1 else ''}, got {found}"
                             + (f" ({meaning})" if meaning else ""))


def _method(args: Namespace) -> Diffusion | str | None:
    """Return the method for `recon`: a name or Algorithm 1 with its options; None for the default.

    Raises ValueError for options and outputs that the method does not have.
    """
    options = given(args, "num_levels", "num_corrector", "come_closer")
    if options and args.method != "diffusion":
        name = next(iter(options))
        hint = {"num_levels": f" ({MEANINGS['-N']})", "num_corrector": f" ({MEANINGS['-K']})"}.get(name, "")
        raise ValueError(f"{name}: goes with `method=diffusion`{hint}")
    sampled_outputs = [*["<std>"] * (len(args.files) == len(POSITIONAL)), *given(args, "keep", "sens_std")]
    if args.method == "map" and sampled_outputs:
        raise ValueError(f"{sampled_outputs[0]}: goes with `method=gibbs` or diffusion, got map")
    if args.method is None and sampled_outputs:
        return "gibbs"
    return Diffusion(**options) if args.method == "diffusion" else args.method


def _dims(text: str | None) -> tuple[int, ...] | None:
    """Return the sizes in x:y:z, x:y:1 or x:y, or None if they are not given.  Raises ValueError if wrong."""
    if text is None:
        return None
    sizes = text.split(":")
    found = tuple(int(size) if size.isdecimal() else 0 for size in sizes)
    found = found[:2] if found[2:] == (1,) else found
    if len(found) not in (2, 3) or min(found) < 2:
        raise ValueError(f"dims: expected x:y or x:y:z, each at least 2 (z also 1), as 192:192:1, got {text!r}")
    return found


def _common(pattern: Array | None) -> Array | None:
    """Return the pattern that all coils share.  Raises ValueError if they have patterns of their own."""
    if pattern is None or pattern.ndim <= COIL:
        return pattern
    if not bool((pattern != pattern[:, :, :, :1]).any()):
        return pattern[:, :, :, :1]
    raise ValueError(f"-p: expected one pattern for all coils with --whiten or --cc, which mix them, got"
                     f" {pattern.shape[COIL]}")


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
        whitened = matrix @ samples
        matrix = compression(whitened, virtual_coils) @ matrix
        if lost_part(whitened, virtual_coils) > LOST:
            doubt(f"--cc: {virtual_coils} virtual coils leave out a part of the signal: the image is darker and less"
                  " accurate than with more")
    return matrix
