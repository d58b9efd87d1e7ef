"""`bart-pogmdm train`: learns a prior from one's own images."""

import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..arrays.extras import optional
from ..files.outputs import Target, check_outputs
from ..files.training_images import find_image_files
from ..prior.pogmdm import PoGMDM
from ..prior.prior_file import load_prior
from ..train.recipe import DEFAULT_RECIPE, DEFAULT_SEARCH, Config, Recipe, RuleSearch
from .option_table import OPTIONS
from .parser import Parser, given

LOG_START = b"step,loss,"  # The first line of a log begins with these names of columns.
LEAST_VALUES = {"steps": 1, "batch": 2, "patch": 65, "seed": 0}  # A patch of 65 pixels holds a filter.


def _parser(recipe: Recipe) -> Parser:
    parser = Parser(prog="bart-pogmdm train", description=(
        "Learn a prior from magnitude images, then choose its image scale, fine gains and calibration by "
        "reconstructions of validation images. Writes OUT, and beside it OUT.ckpt to resume from and OUT.csv, the log. "
        "Under torchrun all processes share each step."))
    parser.take("--images", required=True)
    parser.take("-o", required=True, metavar="FILE.npz", help="The prior")
    parser.take("--validation", help=OPTIONS["--validation"].meaning.format(held_out=recipe.validation.held_out))
    parser.take("--acquisition", metavar=None, choices=("CORPD", "CORPDFS"))
    parser.take("--steps", "--batch", "--patch", "--phase", "-s", "--device", "--name", "--resume",
                "--keep-rules")
    return parser


def train(argv: list[str], recipe: Recipe = DEFAULT_RECIPE, search: RuleSearch = DEFAULT_SEARCH) -> int:
    """Learn a prior as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser(recipe).parse_args(argv)
    _check(args)
    out = Path(args.out)
    checkpoint = _check_files(out, args)
    optional("torch", "training needs")
    from ..train import images, loop
    from ..train.processes import join_processes, leave_processes
    from ..train.rule_search import learn_rules
    from ..train.validation import sentence, validation_images
    rank, device = join_processes(args.device or "cpu")
    config = Config(**given(args, "steps", "batch", "patch", "seed", "phase"))
    series, skipped = images.load_series(args.images, config.patch, args.acquisition)
    if args.validation:
        validation, others = images.load_series(args.validation, 2)
        skipped = {**skipped, **others}
    else:
        series, validation = images.hold_out(series, recipe.validation.held_out)
    if rank == 0:
        for name, reason in skipped.items():
            say(f"left out: {name}: {reason}")
        count, held_out = (sum(len(one.images) for one in some) for some in (series, validation))
        say(f"{count} images in {len(series)} series, {held_out} for validation, {len(skipped)} left out")
    try:
        prior, psnr = loop.train_prior(config, series, validation, checkpoint, resume=bool(args.resume), device=device,
                                       callback=_Progress(config, is_quiet=rank > 0), recipe=recipe)
        leave_processes()
        if rank > 0:
            return 0
        if args.keep_rules:
            prior = replace(prior, provenance={"rules": "those of the shipped prior, by --keep-rules"})
        else:
            prior = learn_rules(prior, validation_images(validation, recipe.validation), search, report=say)
    except KeyboardInterrupt:
        state = "the same command with --resume goes on" if checkpoint.exists() else "before the first checkpoint"
        raise ValueError(f"train: interrupted; {state}") from None
    provenance = {"config": asdict(config), "device": device, "torch": version("torch"), "revision": _revision(),
                  "validation_psnr": {str(level): round(value, 3) for level, value in psnr.items()},
                  **prior.provenance,
                  "data": sources(series)}
    if recipe != DEFAULT_RECIPE:
        provenance["recipe"] = asdict(recipe)
    write_prior(replace(prior, name=args.name or out.stem, provenance=provenance), out)
    say(f"{out}: {sentence(psnr)}")
    return 0


def say(sentence: str) -> None:
    """Print a sentence beside the output."""
    print(sentence, file=sys.stderr)


def sources(series: Iterable[Any]) -> list[dict[str, Any]]:
    """Return source, licence and number of the images of each series, for the provenance of a prior."""
    return [{"source": one.source, "licence": one.licence, "images": len(one.images)} for one in series]


def _check(args: Namespace) -> None:
    """Raise ValueError for a number out of its range."""
    for name, value in given(args, *LEAST_VALUES).items():
        if value < LEAST_VALUES[name]:
            raise ValueError(f"--{name}: expected at least {LEAST_VALUES[name]}, got {value}")
    if args.batch is not None and args.batch % 2:
        raise ValueError(f"--batch: expected an even number, got {args.batch}")
    if args.phase is not None and not 0 <= args.phase <= 1:
        raise ValueError(f"--phase: expected a number from 0 to 1, got {args.phase}")


def _check_files(out: Path, args: Namespace) -> Path:
    """Return the checkpoint beside an output.

    Raises ValueError or OSError if a file cannot be written or would overwrite another one, and unless the checkpoint
    exists just when a run is to be resumed.
    """
    if out.suffix != ".npz":
        raise ValueError(f"--out: expected a name that ends in .npz, got {out}")
    checkpoint = out.with_suffix(".ckpt")
    check_outputs([Target(str(out), (out, checkpoint), beside={out.with_suffix(".csv"): _is_log})],
                  find_image_files([*args.images, *(args.validation or ())]))
    if not args.resume and checkpoint.exists():
        raise ValueError(f"--out: {checkpoint} is from an earlier run; give --resume to go on with it, or remove it")
    if args.resume and not checkpoint.exists():
        raise ValueError(f"--resume: {checkpoint} does not exist")
    return checkpoint


def write_prior(prior: PoGMDM, out: Path) -> None:
    """Write a prior.  Raises ValueError, and writes nothing, if the file could not be loaded again."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, out.name)
        prior.save(trial)
        try:
            load_prior(trial)
        except ValueError as error:
            reason = str(error).replace(str(trial), str(out))
            raise ValueError(f"{out}: the prior is not usable, so that nothing was written ({reason})") from None
    prior.save(out)


def _is_log(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(LOG_START)) == LOG_START


def _revision() -> str:
    """Return the git revision of the code, or "unknown"."""
    run = subprocess.run(["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
                         capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


class _Progress:
    """The callback of the loop: a bar with loss, images per second and time left, and a line for each validation."""

    def __init__(self, config: Config, is_quiet: bool) -> None:
        from tqdm import tqdm
        self.config, self.is_quiet = config, is_quiet
        self.bar: Any = tqdm(total=config.steps, desc="train", unit="step", leave=False,
                             disable=is_quiet or not sys.stderr.isatty())
        self.began = time.perf_counter()
        self.first: int | None = None

    def __call__(self, step: int, loss: float, psnr: Mapping[float, float] | None) -> None:
        """Show the state after a step."""
        if self.first is None:
            self.first = self.bar.initial = self.bar.n = step - 1
        rate = self.config.batch * (step - self.first) / (time.perf_counter() - self.began)
        self.bar.update(step - self.bar.n)
        self.bar.set_postfix_str(f"loss {loss:.4f}, {rate:.0f} images/s", refresh=False)
        if psnr and not self.is_quiet:
            from ..train.validation import sentence
            self.bar.write(f"step {step}: loss {loss:.4f}, {sentence(psnr)}, {rate:.0f} images/s", file=sys.stderr)
