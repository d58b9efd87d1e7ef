"""`bart-pogmdm train`: a prior from one's own images."""

import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from .parser import Parser

HELD_OUT = 20  # without --validation, one image in so many is kept aside


def _parser():
    parser = Parser(prog="bart-pogmdm train", description=(
        "Learn a prior from magnitude images. Writes OUT, and beside it OUT.ckpt to resume from and OUT.csv, the log. "
        "Under torchrun all processes share each step."))
    add = parser.add_argument
    add("--images", nargs="+", required=True, metavar="PATH",
        help="files or folders: HDF5 (any nesting, or fastMRI volumes), npy, npz, cfl, ra")
    add("--out", required=True, type=Path, metavar="FILE.npz", help="the prior")
    add("--validation", nargs="+", metavar="PATH", help=f"other images (default: one in {HELD_OUT} of the images)")
    add("--acquisition", choices=("CORPD", "CORPDFS"), help="use only fastMRI volumes of this kind")
    add("--steps", type=int, default=100_000, help="default: %(default)s")
    add("--batch", type=int, default=8, help="patches in a step, an even number (default: %(default)s)")
    add("--patch", type=int, default=128, help="side of a patch, at least 65 (default: %(default)s)")
    add("--phase", type=float, default=0.0,
        help="part of the patches that gets a smooth random phase (default: %(default)s)")
    add("--seed", type=int, default=0, help="default: %(default)s")
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--name", help="name of the prior (default: that of OUT)")
    add("--resume", action="store_true", help="go on from OUT.ckpt")
    return parser


def train(argv):
    """Learn a prior as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    for name, least in (("steps", 1), ("batch", 2), ("patch", 65), ("seed", 0)):
        if getattr(args, name) < least:
            raise ValueError(f"--{name}: expected at least {least}, got {getattr(args, name)}")
    if args.batch % 2:
        raise ValueError(f"--batch: expected an even number, got {args.batch}")
    if not 0 <= args.phase <= 1:
        raise ValueError(f"--phase: expected a number from 0 to 1, got {args.phase}")
    if args.out.suffix != ".npz":
        raise ValueError(f"--out: expected a name that ends in .npz, got {args.out}")
    if not args.out.parent.is_dir():
        raise ValueError(f"--out: the folder {args.out.parent} does not exist")
    checkpoint, log = args.out.with_suffix(".ckpt"), args.out.with_suffix(".csv")
    if not args.resume and checkpoint.exists():
        raise ValueError(f"--out: {checkpoint} is from an earlier run; give --resume to go on with it, or remove it")
    if args.resume and not checkpoint.exists():
        raise ValueError(f"--resume: {checkpoint} does not exist")
    try:
        import torch
    except ImportError:
        raise ImportError("training needs torch: pip install 'bart_pogmdm[train]'") from None
    from ..train import images, loop
    rank, device = loop.join_processes(args.device)
    config = loop.Config(args.steps, args.batch, args.patch, args.seed, phase=args.phase)
    series, skipped = images.load(args.images, args.patch, args.acquisition)
    validation, others = images.load(args.validation, 2) if args.validation else (None, {})
    if validation is None:
        series, validation = _hold_out(series)
    count = sum(len(one.images) for one in series)
    if rank == 0:
        for name, why in {**skipped, **others}.items():
            print(f"left out: {name}: {why}", file=sys.stderr)
        print(f"{count} images in {len(series)} series, {len(skipped) + len(others)} left out", file=sys.stderr)
    progress = _Progress(config, rank)
    try:
        prior, psnr = loop.train(config, series, validation, checkpoint, log, name=args.name or args.out.stem,
                                 resume=args.resume, device=device, callback=progress)
    except KeyboardInterrupt:
        state = "the same command with --resume goes on" if checkpoint.exists() else "before the first checkpoint"
        raise ValueError(f"train: interrupted; {state}") from None
    if rank == 0:
        provenance = {"config": asdict(config), "device": device, "torch": torch.__version__, "revision": _revision(),
                      "validation_psnr": dict(zip(map(str, loop.LEVELS), (round(value, 3) for value in psnr))),
                      "data": [{"source": one.source, "licence": one.licence, "images": len(one.images)}
                               for one in series]}
        replace(prior, provenance=provenance).save(args.out)
        print(f"{args.out}: {loop.sentence(psnr)}", file=sys.stderr)
    loop.leave_processes()
    return 0


def _hold_out(series):
    """(training, validation): every HELD_OUT-th image of all, counted from the first, is kept aside."""
    kept, aside, position = [], [], 0
    for one in series:
        places = range(position, position + len(one.images))
        position += len(one.images)
        for target, wanted in ((kept, False), (aside, True)):
            if chosen := tuple(image for i, image in zip(places, one.images) if (i % HELD_OUT == 0) == wanted):
                target.append(replace(one, images=chosen))
    if not kept:
        raise ValueError("images: only one image is left, and that is needed for validation; give --validation")
    return kept, aside


def _revision():
    """The git revision of the code, or "unknown"."""
    run = subprocess.run(["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
                         capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


class _Progress:
    """The callback of the loop: a bar with loss, images per second and time left, and a line per validation."""

    def __init__(self, config, rank):
        from tqdm import tqdm
        self.config, self.bar = config, tqdm(total=config.steps, desc="train", unit="step", leave=False,
                                             disable=rank > 0 or not sys.stderr.isatty())
        self.quiet, self.began, self.first = rank > 0, time.perf_counter(), None

    def __call__(self, step, loss, psnr):
        from ..train import loop
        if self.first is None:
            self.first = self.bar.initial = self.bar.n = step - 1
        rate = self.config.batch * (step - self.first) / (time.perf_counter() - self.began)
        self.bar.update(step - self.bar.n)
        self.bar.set_postfix_str(f"loss {loss:.4f}, {rate:.0f} images/s", refresh=False)
        if psnr and not self.quiet:
            self.bar.write(f"step {step}: loss {loss:.4f}, {loop.sentence(psnr)}, {rate:.0f} images/s", file=sys.stderr)
