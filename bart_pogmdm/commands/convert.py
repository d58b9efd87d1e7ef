"""`bart-pogmdm convert`: k-space and images from one format into another, without a reconstruction."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL, SLICE
from ..arrays.doubts import doubt
from ..files import cfl
from ..files.atomic import write_all
from ..files.image_origin import IMAGE, Content, Origin, Style
from ..files.image_outputs import check_images, format_of, image_target, write_images
from ..files.ismrmrd_output import encode_kspace
from ..files.kspace import open_kspace
from ..files.numpy_files import in_numpy_order, save_npy, save_npz
from ..files.outputs import check_outputs
from ..files.stored_arrays import KSPACE, StoredArray, read_any
from ..reconstruction.layout import pattern_like
from .option_table import IMAGES
from .parser import Parser, given

KSPACE_ENDINGS = (".npy", ".npz", ".mrd")  # and BART's files


def _parser() -> Parser:
    parser = Parser(prog="bart-pogmdm convert", description=(
        "Write k-space or images in another format, without a reconstruction. k-space comes from any file that pogmdm "
        "reads and goes to BART's files, npy, npz or ISMRMRD (mrd); images come from and go to BART's files, npy, npz, "
        "NIfTI (nii, nii.gz), ISMRMRD (mrd), DICOM (dcm, or a folder, whose name ends in a slash)."))
    parser.add_argument("input", metavar="IN", help="k-space or images; the content of the file decides")
    parser.add_argument("output", metavar="OUT", help="Output; its ending decides about the format")
    parser.take("--like", "--kspace", "--measurement")
    parser.take_all(IMAGES)
    return parser


def convert(argv: list[str]) -> int:
    """Convert as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    inside = sorted(map(str, Path(args.input).iterdir())) if Path(args.input).is_dir() else []
    check_outputs([image_target(args.output)], [str(Path(args.input)), *inside, *([args.like] if args.like else [])])
    style, stored = Style(**given(args, "part", "largest", "anonymous")), read_any(args.input, args.measurement)
    if args.kspace:
        if stored.kind == IMAGE:
            raise ValueError(f"--kspace: goes with files that do not say what they hold, and {args.input} holds images")
        stored = replace(stored, kind=KSPACE)
    if args.like:
        stored = replace(stored, origin=_origin_like(args.like, stored))
    if stored.kind == KSPACE:
        _check_kspace(args.input, args.output, style)
        write_all(_kspace_files(args.output, stored))
        return 0
    if style.part != Style.part and stored.array.dtype.kind != "c":
        raise ValueError(f"--{style.part}: goes with complex images, and {args.input} holds real ones")
    check_images({args.output: stored.array.shape}, stored.origin.geometry, style)
    if stored.kind != IMAGE and format_of(args.output) and (coils := stored.array.shape[COIL]) > 1:
        doubt(f"{args.input} has {coils} coils and is written as images: give --kspace if it is k-space")
    write_images({args.output: (IMAGE, stored.array)}, stored.origin, style)
    return 0


def _origin_like(name: str, stored: StoredArray) -> Origin:
    """Return the origin of the raw data in a file.  Raises ValueError for data of other sizes than the array's."""
    file = open_kspace(name)
    axes = (*range(COIL), SLICE)
    mine, theirs = ([shape[axis] for axis in axes] for shape in (stored.array.shape, file.shape))
    if mine != theirs:
        sizes = [" x ".join(map(str, one)) for one in (theirs, mine)]
        raise ValueError(f"--like {name}: expected READ, PHS1, PHS2 and SLICE of the input, {sizes[1]}, got {sizes[0]}")
    return Origin(file.geometry, file.tags)


def _check_kspace(source: str, target: str, style: Style) -> None:
    """Raise ValueError where k-space cannot be written so."""
    if format_of(target) and not target.lower().endswith(KSPACE_ENDINGS):
        raise ValueError(f"output {target}: its format holds images, and {source} holds k-space; `bart-pogmdm {source}"
                         f" {target}` reconstructs them")
    if style.options:
        raise ValueError(f"{style.options[0]}: goes with images, and {source} holds k-space")


def _kspace_files(name: str, stored: StoredArray) -> Iterator[Content]:
    """Yield the files of an output with k-space.  Formats that have no mask get zeros outside it.

    Raises ValueError for weights in these formats.
    """
    ending, kspace, pattern = Path(name).suffix.lower(), stored.array.astype("c8", copy=False), None
    if ending == ".npz":
        arrays: dict[str, Array] = {"kspace": in_numpy_order(kspace)}
        if stored.pattern is not None:
            arrays["mask"] = in_numpy_order(stored.pattern)
        yield name, Path(name), partial(save_npz, arrays=arrays)
        return
    if stored.pattern is not None:
        pattern = pattern_like(stored.pattern, kspace)
        if pattern.dtype != bool:
            raise ValueError(f"output {name}: its format has no weights, which the input has; .npz has them")
        kspace = np.where(pattern, kspace, 0)
    if ending == ".mrd":
        yield from encode_kspace(name, kspace, pattern, stored.origin.geometry)
    elif ending == ".npy":
        yield name, Path(name), partial(save_npy, array=in_numpy_order(kspace))
    else:
        yield from cfl.contents(name, kspace, None)

