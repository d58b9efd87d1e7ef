"""`bart-pogmdm show`: shows a prior as a picture and as text."""

import io
from pathlib import Path

from ..files.atomic import write_file
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
    prior = load_prior(args.prior)
    out = Path(args.out or Path(args.prior or "prior.npz").with_suffix(".png").name)
    if not out.parent.is_dir():
        raise ValueError(f"--out: the folder {out.parent} does not exist")
    buffer = io.BytesIO()
    draw_prior(prior).savefig(buffer, format="png", dpi=100)
    write_file(out, lambda file: file.write(buffer.getvalue()))
    print(describe(prior))
    print(f"picture: {out}")
    return 0
