"""`bart-pogmdm show`: shows a prior as a picture and as text."""

import json
from pathlib import Path

import numpy as np

from ..files.atomic import write_bytes
from ..files.outputs import check_outputs, picture_target
from ..plot.panels import png
from ..plot.prior_picture import draw_prior
from ..prior.pogmdm import PoGMDM
from ..prior.prior_file import load_prior
from ..prior.shearlets import NUM_FILTERS
from .parser import Parser


def show(argv: list[str]) -> int:
    """Print a prior as text, and draw it.  Raises ValueError, OSError or ImportError with one sentence."""
    parser = Parser(prog="bart-pogmdm show", description="Show a prior: filters with gains, potentials at several "
                     "noise levels, and weights as PNG; numbers and provenance as text.")
    parser.add_argument("prior", nargs="?", metavar="prior.npz", help="Prior (default: the one of the package)")
    parser.take("-o", metavar="FILE.png", help="Picture (default: the name of the prior with .png, here)")
    args = parser.parse_args(argv)
    prior = load_prior(args.prior)
    out = picture_target(args.out, f"{Path(args.prior).stem if args.prior else prior.name}.png")
    check_outputs([out], [args.prior] if args.prior else [])
    write_bytes(out.name, png(draw_prior(prior)))
    print(describe(prior))
    print(f"picture: {out.name}")
    return 0


def describe(prior: PoGMDM) -> str:
    """Name, size, filters and provenance of a prior, as lines of text."""
    parameters = sum(np.size(array) for array in (prior.lowpass, prior.directional, prior.gains))
    parameters += NUM_FILTERS * ((prior.means.size + 1) // 2)  # the weights are symmetric
    lines = [f"{prior.name}  ({prior.digest})",
             f"{NUM_FILTERS} filters, {prior.means.size} components from {prior.means[0]:g} to {prior.means[-1]:g},"
             f" {parameters} parameters",
             f"rules  {', '.join(f'{name} {number:g}' for name, number in prior.rules.numbers.items())}",
             f"lowpass h  {' '.join(f'{value:.4f}' for value in prior.lowpass)}",
             "filter  gain    weight at 0  rms of the means"]
    spread = np.sqrt(prior.weights @ prior.means**2)
    lines += [f"{k + 1:6d}  {prior.gains[k]:.4f}  {prior.weights[k, prior.means.size // 2]:11.4f}  {spread[k]:.4f}"
              for k in range(NUM_FILTERS)]
    if prior.provenance:
        lines.append(json.dumps(prior.provenance, indent=1, ensure_ascii=False))
    return "\n".join(lines)
