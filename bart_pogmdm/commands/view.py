"""`bart-pogmdm view`: draws reconstructions as a picture, the same as `Result.plot`."""

from collections.abc import Mapping
from pathlib import Path

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..files.atomic import write_bytes
from ..files.cfl import paths_of
from ..files.outputs import check_outputs, picture_target
from ..files.stored_arrays import KSPACE, read_any
from ..plot.montage import draw_montage
from ..plot.panels import png
from ..plot.reconstruction_picture import draw_reconstruction
from .parser import Parser


def roles(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return {"image" | "sens" | "std": array} of {name: array in BART's dimensions}, told apart by COIL.

    The array with more than one coil holds the sensitivities.  Of the others the first is the image and the last the
    standard deviation; three of them are image, sensitivities and standard deviation of one coil.  Raises ValueError
    for any other set of arrays.
    """
    found = {}
    single = [name for name, array in arrays.items() if array.shape[COIL] == 1]
    several = [name for name in arrays if name not in single]
    words: tuple[str, ...] = {1: ("image",), 2: ("image", "std"), 3: ("image", "sens", "std")}.get(len(single), ())
    if len(several) > 1:
        raise ValueError(f"expected one file with several coils (the sensitivities), got {', '.join(several)}")
    if len(words) != len(single) or ("sens" in words and several):
        raise ValueError(f"expected an image and at most one standard deviation, got {', '.join(single)}")
    for word, name in zip(("sens", *words), several + single) if several else zip(words, single):
        shape = arrays[name].shape
        if sum(n > 1 for n in shape[:COIL]) < 2:
            sizes = " x ".join(map(str, shape[:COIL]))
            raise ValueError(f"{name}: expected at least two of READ, PHS1, PHS2 longer than 1, got {sizes}")
        found[word] = arrays[name]
    return found


def _parser() -> Parser:
    parser = Parser(prog="bart-pogmdm view", description=(
        "Draw outputs of `bart pogmdm` as PNG: magnitude and phase of the image, the magnitude of each coil's "
        "sensitivity, and the standard deviation, turned as in `bart toimg`. Each slice has one row; each volume has "
        "three, the planes across READ, PHS1 and PHS2 through the centre of its energy. Voxels are drawn as squares. "
        "The file with several coils holds the sensitivities; of the others the first is the image, the last the "
        "standard deviation. With both, the last panel is the standard deviation over the magnitude, blank where the "
        "band of 90 % reaches zero: there the true value may be zero. Each scale ends at the 99.5 % "
        "quantile."))
    parser.add_argument("results", nargs="+", metavar="RESULT", help=(
        "One or more of image, sensitivities and standard deviation: BART's files, npy, npz, NIfTI, ISMRMRD or DICOM"))
    parser.take("--montage")
    parser.take("-o", metavar="FILE.png", help="Picture (default: the name of the first RESULT with .png, here)")
    return parser


def _images(name: str) -> Array:
    """Read images of any format.  Raises ValueError for k-space."""
    stored = read_any(name)
    if stored.kind == KSPACE:
        raise ValueError(f"{name}: expected images, got k-space")
    return stored.array


def view(argv: list[str]) -> int:
    """Draw the files that the arguments name.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    results = [str(Path(name)) for name in args.results]  # A folder of DICOM files may end in a slash.
    if len(set(results)) < len(results):
        raise ValueError(f"expected each file once, got {', '.join(results)}")
    out = picture_target(args.out, f"{paths_of(results[0])[0].stem}.png")
    check_outputs([out], results)
    arrays = {name: _images(name) for name in results}
    found = roles(arrays)
    if args.montage and "sens" in found:
        raise ValueError("--montage: expected an image and at most one standard deviation, got sensitivities in"
                         f" {next(name for name, array in arrays.items() if array is found['sens'])}")
    draw = draw_montage if args.montage else draw_reconstruction
    write_bytes(out.name, png(draw(**found)))
    print(f"picture: {out.name}")
    return 0
