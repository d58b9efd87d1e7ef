"""`bart-pogmdm info`: what a file of k-space holds, and what a reconstruction will do with it."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..algorithms.chains import solver_memory
from ..arrays.array_types import Array
from ..arrays.bart_dims import BEYOND, COIL, DIMS, index_of
from ..arrays.memory import size_text
from ..files.geometry import Geometry
from ..files.ismrmrd import IsmrmrdKspace
from ..files.ismrmrd_flags import FLAGS, Effect, has
from ..files.kspace import KspaceFile, open_kspace
from ..files.twix import TwixAcquisitions
from ..reconstruction import layout
from ..reconstruction.options import Options
from .parser import Parser

PLANES = ("sagittal", "coronal", "axial")  # The planes across the axes of LPS.
REGULAR = 0.75  # Part of the gaps between lines that are the same where the lines count as regular.
STRAIGHT = 0.9999  # The cosine of a normal that is along an axis; otherwise the plane is oblique.
# Seconds of one thread: at the start, and in each iteration for each voxel and plane of the prior, or each coil.  They
# are those of scans of 64 to 256 pixels and 1 to 32 coils; others may take a third or three times as long.
START, SECONDS_OF_A_PLANE, SECONDS_OF_A_COIL = 2.0, 0.9e-6, 0.4e-6


def info(argv: list[str]) -> int:
    """Print what a file holds.  Raises ValueError, OSError or ImportError with one sentence."""
    parser = Parser(prog="bart-pogmdm info", description=(
        "Print what a file of k-space holds: sizes, channels, the place in the patient, sampling, calibration lines "
        "and noise scan, and what a reconstruction will do, with estimates of its memory and time."))
    parser.add_argument("input", metavar="FILE", help="k-space in any format that pogmdm reads")
    parser.take("--measurement")
    args = parser.parse_args(argv)
    file = open_kspace(args.input, args.measurement)
    layout.check_kspace(np.broadcast_to(np.complex64(0), file.shape))
    for word, text in facts(args.input, file):
        print(f"{word + ':':14}{text}")
    return 0


def facts(name: str | Path, file: KspaceFile) -> Iterator[tuple[str, str]]:
    """Yield (word, text) of the facts about a file."""
    shape, sizes = file.shape, [n for n in file.shape[:COIL] if n > 1]
    loops = [f"{DIMS[axis]} {n}" for axis, n in enumerate(shape) if axis > COIL and n > 1]
    yield "file", str(name)
    if isinstance(file, IsmrmrdKspace) and isinstance(file.source, TwixAcquisitions):
        yield "measurement", "{} of {}".format(*file.source.measurement)
    yield "matrix", " x ".join(map(str, sizes)) + (f", {', '.join(loops)}" if loops else "")
    if shape[0] == 1:
        yield "layout", "READ is 1: taken as Cartesian, but samples along a trajectory (-t) have READ 1, too"
    yield "channels", str(shape[COIL])
    yield from _place(file)
    yield from _sampling(file)
    if isinstance(file, IsmrmrdKspace):
        yield from _acquisitions(file)
    yield "to be done", _work(file)
    yield "memory", f"about {size_text(_memory(file))} (an estimate from the sizes)"
    yield "time", f"about {_seconds(file):.2g} s on one core (an estimate from the sizes)"


def _place(file: KspaceFile) -> Iterator[tuple[str, str]]:
    if not file.geometry:
        yield "place", "not known: images in a viewer have voxels of 1 mm along its axes"
        return
    first, grid = file.geometry[0], file.shape[:COIL]
    yield "view", f"{' x '.join(f'{side:.4g}' for side in first.field_of_view(grid))} mm"
    yield "voxel", f"{' x '.join(f'{side:.4g}' for side in first.voxel)} mm"
    yield "plane", _plane(first)
    centres = [f"({', '.join(f'{value:.2f}' for value in one.position)})" for one in file.geometry]
    yield "centre", f"{centres[0]}{f' to {centres[-1]}' if len(centres) > 1 else ''} mm in LPS"


def _plane(geometry: Geometry) -> str:
    normal = np.abs(geometry.directions[2])
    names = PLANES[int(np.argmax(normal))]
    return names if normal.max() > STRAIGHT else f"oblique, nearest to {names}"


def _sampling(file: KspaceFile) -> Iterator[tuple[str, str]]:
    pattern = _pattern(file)
    lines, read = np.asarray(pattern.any(0)), np.asarray(pattern.any((1, 2)))
    has_lines = bool((pattern == read[:, None, None] & lines).all())
    found, word = (lines, "lines") if has_lines else (pattern, "samples")
    count = int(found.sum())
    yield "sampling", f"{count} of {found.size} {word} in the first image" + (
        f", R = {found.size / count:.3g}" if count else "") + _spacing(lines) * has_lines
    if has_lines and count < found.size:
        runs = [_run(lines[:, lines.shape[1] // 2]), _run(lines[lines.shape[0] // 2])]
        yield "calibration", f"{' x '.join(str(run) for run in runs[:sum(n > 1 for n in lines.shape)])} lines without" \
                             " gaps about the centre"
    if has_lines and not read.all():
        yield "readout", f"{int(read.sum())} of {read.size} samples (asymmetric echo)"


def _spacing(lines: Array) -> str:
    """Return the words for the distance of lines (PHS1, PHS2) along PHS1 where most have the same, above 1."""
    steps = np.diff(np.flatnonzero(lines.any(1)))
    counts = np.bincount(steps[steps > 1])
    is_regular = counts.sum() > 1 and counts.max() >= REGULAR * counts.sum()
    return f", every {counts.argmax()} lines outside the calibration" if is_regular else ""


def _run(is_acquired: Array) -> int:
    """Return the number of lines without gaps that hold the centre n // 2; 0 if that is missing."""
    centre = len(is_acquired) // 2
    after = np.flatnonzero(~is_acquired[centre:])
    before = np.flatnonzero(~is_acquired[centre::-1])
    return int((after[0] if len(after) else len(is_acquired) - centre)
               + max(0, (before[0] if len(before) else centre + 1) - 1))


def _pattern(file: KspaceFile) -> Array:
    """Return the sampling pattern (READ, PHS1, PHS2) of the first image."""
    place = (0,) * (len(DIMS) - BEYOND)
    if file.pattern is None:
        return (file.slice(place) != 0).any(COIL)
    pattern: Array = layout.pattern_like(file.pattern, np.broadcast_to(np.complex64(0), file.shape)) != 0
    return pattern[index_of((slice(None), *place))].any(COIL)


def _acquisitions(file: IsmrmrdKspace) -> Iterator[tuple[str, str]]:
    flags, lines = file.source.heads["flags"], file.lines
    counts = {name: int((flags >> np.uint64(number - 1) & np.uint64(1)).sum())
              for number, (name, effect) in FLAGS.items() if effect not in (Effect.NONE, Effect.UNKNOWN)}
    others = ", ".join(f"{count} {name.lower().replace('_', ' ')}" for name, count in counts.items() if count)
    yield "lines", f"{len(lines.numbers)} of {len(flags)} are the image's" + (f" (flags: {others})" if others else "")
    noise = int(has(flags, Effect.NOISE).sum())
    yield "noise scan", f"{noise} lines" if noise else "none"
    if lines.width > lines.size:
        yield "oversampling", f"{lines.width / lines.size:.3g} in the readout"


def _work(file: KspaceFile) -> str:
    """Return what a reconstruction without options does."""
    steps = []
    if isinstance(file, IsmrmrdKspace):
        steps += ["prewhitening by the noise scan"] * (file.prewhitening is not None)
        steps += ["oversampling of the readout removed"] * (file.lines.width > file.lines.size)
    images = math.prod(file.shape[BEYOND:])
    what = "image" if len(layout.grid_of(file.shape)) == 2 else "volume"
    shared = Options.shared_sens
    series = math.prod(n for axis, n in enumerate(file.shape) if axis >= BEYOND and shared >> axis & 1)
    steps.append(f"method {Options.method.name}, {images} {what}{'s' * (images > 1)} in about {Options.iterations}"
                 " iterations"
                 + (f", {series} with the same sensitivities" if series > 1 else ""))
    return "; ".join(steps)


def _memory(file: KspaceFile) -> float:
    whole = 2 * math.prod(file.shape) * np.dtype(np.complex64).itemsize
    return solver_memory((file.shape[COIL], *layout.grid_of(file.shape)), np.complex64, 1) + whole


def _seconds(file: KspaceFile) -> float:
    voxels, planes = math.prod(file.shape[:COIL]), 1 if len(layout.grid_of(file.shape)) == 2 else 3
    of_a_voxel = planes * SECONDS_OF_A_PLANE + file.shape[COIL] * SECONDS_OF_A_COIL
    return START + math.prod(file.shape[BEYOND:]) * Options.iterations * voxels * of_a_voxel
