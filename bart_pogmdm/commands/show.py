"""`bart-pogmdm show`: shows a prior as a picture and as text."""

from pathlib import Path

from ..files.atomic import write_bytes
from ..files.outputs import check_outputs, picture_target
from ..plot.panels import png
from ..plot.prior_picture import draw_prior
from ..prior.description import describe
from ..prior.prior_file import load_prior
from .parser import Parser


def show(argv: list[str]) -> int:
    """Print a prior as text, and draw it.  Raises ValueError, OSError or ImportError with one sentence."""
    parser = Parser(prog="bart-pogmdm show", description="Show a prior: filters with gains, potentials at several "
                     "noise levels, and weights as PNG; numbers and provenance as text.")
    parser.add_argument("prior", nargs="?", metavar="prior.npz", help="Prior (default: the one of the package)")
    parser.take("-o", metavar="FILE.png", help="Picture (default: the name of the prior with .png, here)")
    args = parser.parse_args(argv)
    out = picture_target(args.out, Path(args.prior or "prior.npz").with_suffix(".png").name)
    check_outputs([out], [args.prior] if args.prior else [])
    prior = load_prior(args.prior)
    write_bytes(out.name, png(draw_prior(prior)))
    print(describe(prior))
    print(f"picture: {out.name}")
    return 0
