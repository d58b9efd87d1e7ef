"""`bart-pogmdm compare`: compares methods on the same data; writes CSV, a Markdown table, figures and a HTML page."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from ..arrays.doubts import doubt
from ..evaluate import masks, report
from ..evaluate.cases import cases, load_scans
from ..evaluate.comparison import run_comparison
from ..evaluate.competitors import COMPETITORS, Competitor
from ..evaluate.conditions import Condition
from ..evaluate.rows import COLUMNS, Parameter, Row, best_of, tune
from ..files.outputs import IsOwn, Target, check_outputs, is_own_picture
from .option_table import OPTIONS
from .parser import Parser, given

MASKS = ("cartesian4", "horizontal4", "radial24", "gaussian8")  # Lines in both directions, spokes, and points.
USUAL = ("zero-filled", "joint-tv", "nlinv", "pics-tv", "pics-wavelet", "pics-l2", "ecalib2-tv", "pogmdm",
         "pogmdm-mean")  # The others are slow, need more than BART, or are for special cases.


def _networks(competitors: Mapping[str, Competitor]) -> list[str]:
    """Return the methods that need weights from the user."""
    return [name for name, method in competitors.items() if method.needs_weights]


def _parser(competitors: Mapping[str, Competitor]) -> Parser:
    parser = Parser(prog="bart-pogmdm compare", description=(
        "Reconstruct undersampled data by several methods and compare them with the fully sampled reference. "
        "Writes into DIR: results.csv, table.md, figures, index.html, and every image: an interrupted run goes on."))
    parser.add_argument("data", nargs="+", metavar="DATA", help=(
        "npz (kspace, or images for simulated coils), fastMRI h5, cfl, ra"))
    networks = _networks(competitors)
    usual = [name for name in competitors if name in USUAL]
    words = {"kinds": ", ".join(masks.KINDS), "masks": " ".join(MASKS), "methods": ", ".join(competitors),
             "usual": ", ".join(usual), "networks": ", ".join(networks)}
    for flag, default in (("--masks", MASKS), ("--methods", usual), ("--weights", ())):
        parser.take(flag, default=default, help=OPTIONS[flag].meaning.format(**words))
    parser.take("--seeds", default=1)
    parser.take("--sweep", "--tune", "--coils", "--noise-std", "--zero-pad")
    parser.take("-o", required=True, metavar="DIR", help="Folder of the results")
    return parser


def _weights(words: Sequence[str], methods: Sequence[str], networks: Sequence[str]) -> dict[str, tuple[Parameter, ...]]:
    """Return {method: (file,)} of METHOD=FILE words.  Raises ValueError or FileNotFoundError for a wrong one."""
    weights: dict[str, tuple[Parameter, ...]] = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in networks or not path:
            raise ValueError(f"--weights: expected METHOD=FILE with a method of {', '.join(networks)}, got {word!r}")
        if not Path(path).is_file():
            raise FileNotFoundError(f"--weights {word}: no such file")
        weights[name] = (path,)
    for name in methods:
        if name in networks and name not in weights:
            raise ValueError(f"--methods: {name} needs its weights, as --weights {name}=FILE")
    return {name: weights[name] for name in methods if name in weights}


def _target(folder: Path) -> Target:
    """Return the folder of a comparison as output; results.csv, written first, tells an earlier comparison.

    The names of the figures depend on the data, so that all pictures in their folder count.
    """
    results = folder / "results.csv"

    def is_own(_: Path) -> bool:
        return results.is_file() and results.read_bytes().startswith(",".join(COLUMNS[:4]).encode())

    beside: dict[Path, IsOwn] = dict.fromkeys((results, folder / "table.md", folder / "index.html"), is_own)
    figures = dict.fromkeys((folder / report.FIGURES).glob("*.png"), is_own_picture)
    return Target(str(folder), beside=beside | figures, makes_folders=True)


def compare(argv: list[str], competitors: Mapping[str, Competitor] = COMPETITORS) -> int:
    """Compare methods as the arguments say.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser(competitors).parse_args(argv)
    if unknown := [name for name in args.methods if name not in competitors]:
        raise ValueError(f"--methods: expected some of {', '.join(competitors)}, got {', '.join(unknown)}")
    if not all(map(find_spec, ("matplotlib", "skimage"))):  # before hours of reconstructions
        raise ImportError("compare needs matplotlib and scikit-image: pip install 'bart_pogmdm[compare]'")
    if args.sweep and args.tune:
        raise ValueError("--sweep: it takes the parameters that are best in each case, and --tune those that are best"
                         " on other data: give one of them")
    if args.seeds < 1:
        raise ValueError(f"--seeds: expected at least 1, got {args.seeds}")
    for word in args.masks:
        if not word.endswith(".npz"):
            masks.parse(word)
    weights = _weights(args.weights, args.methods, _networks(competitors))
    chosen = {name: competitors[name] for name in args.methods}
    swept = {name: method.sweep for name, method in chosen.items()} | weights
    parameters = {name: (method.default,) for name, method in chosen.items()} | weights
    folder = Path(args.out)
    conditions = [Condition(**given(args, "coils", "zero_pad"), noise_std=std) for std in args.noise_std or (None,)]
    check_outputs([_target(folder)], [*args.data, *(args.tune or ()), *(str(path) for path, in weights.values()),
                                      *(word for word in args.masks if word.endswith(".npz"))])

    def rows_of(data: Sequence[str], tried: Mapping[str, Sequence[Parameter]], images: str) -> list[Row]:
        scans = chain.from_iterable(load_scans(data, condition) for condition in conditions)
        all_cases = cases(scans, args.masks, args.seeds)
        try:
            return run_comparison(all_cases, tried, folder / images, competitors)
        except KeyboardInterrupt:
            raise ValueError("compare: interrupted; the same command goes on") from None

    if args.tune:
        tuned = tune(rows_of(args.tune, swept, "tuning"))
        parameters |= {name: (value,) for name, value in tuned.items() if len(swept[name]) > 1}
        for name, (parameter,) in parameters.items():
            label = competitors[name].label
            print(f"{label}: {parameter}" if parameter is not None else label)
    elif args.sweep:
        parameters = swept
    rows = rows_of(args.data, parameters, "images")
    if not rows:
        raise ValueError("--masks: none for these data")
    best = best_of(rows)
    print(report.write_report(best, folder))
    print(f"{folder / 'index.html'}")
    if doubtful := sum(bool(row.warnings) for row in best):
        doubt(f"{doubtful} of {len(best)} reconstructions may be wrong; the notes below the table say why")
    return 0
