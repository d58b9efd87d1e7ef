"""`bart-pogmdm export`: writes a prior as a denoiser, with which `bart sample` of BART 1.0 draws samples."""

from pathlib import Path

from ..arrays.array_types import Shape
from ..arrays.extras import optional
from ..files.outputs import Target, check_outputs
from ..prior.prior_file import load_prior
from .parser import Parser


def export(argv: list[str]) -> int:
    """Write a prior as TorchScript.  Raises ValueError, OSError or ImportError with one sentence."""
    parser = Parser(prog="bart-pogmdm export", description=(
        "Write a prior as a denoiser in TorchScript, for images of one size: bart sample --external-graph prior.pt. "
        "It is for images of maximum about 1. It needs a BART from 1.0 on that was built with PyTorch."))
    parser.add_argument("out", metavar="prior.pt", help="Output")
    parser.take("--size", required=True)
    parser.take("--prior")
    args = parser.parse_args(argv)
    size = _size(args.size)
    if not args.out.endswith(".pt"):  # By this ending BART knows TorchScript.
        raise ValueError(f"output {args.out}: expected a name that ends in .pt (--prior names the prior)")
    check_outputs([Target(args.out, (Path(args.out),))], [args.prior] if args.prior else [])
    prior = load_prior(args.prior)
    optional("torch", "export needs")
    from ..train.denoiser import export_denoiser
    export_denoiser(prior, size, args.out)
    print(f"{args.out}: prior {prior.name} for images of {size[0]} x {size[1]}")
    return 0


def _size(text: str) -> Shape:
    """Return the two sizes in y:x.  Raises ValueError for other texts."""
    sizes = text.split(":")
    if len(sizes) != 2 or not all(size.isdecimal() and int(size) >= 2 for size in sizes):
        raise ValueError(f"--size: expected y:x, two numbers from 2 on, as 256:192, got {text!r}")
    return tuple(map(int, sizes))
