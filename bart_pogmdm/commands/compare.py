"""`bart-pogmdm compare`: methods side by side on the same data, as CSV, Markdown table, figures and one HTML page."""

import csv
import io as memory
from pathlib import Path

from ..evaluate import masks, report
from ..evaluate.cases import cases, load
from ..evaluate.comparison import COLUMNS, best_of, run, tune
from ..evaluate.competitors import COMPETITORS
from ..files.atomic import write_file
from .parser import Parser


def _parser():
    parser = Parser(prog="bart-pogmdm compare", description=(
        "Reconstruct undersampled data by several methods and compare them with the fully sampled reference. "
        "Writes into DIR: results.csv, table.md, figures, index.html, and every image: an interrupted run goes on."))
    add = parser.add_argument
    add("data", nargs="+", metavar="DATA",
        help="npz (kspace, or images to be seen through simulated coils), fastMRI h5, cfl, ra")
    add("--masks", nargs="+", default=["cartesian4", "horizontal4", "radial24", "gaussian8"], metavar="MASK",
        help=f"kind and number ({', '.join(masks.KINDS)}), or an npz of masks (default: %(default)s)")
    add("--seeds", type=int, default=1, help="masks of each kind (default: %(default)s)")
    usual = [name for name, method in COMPETITORS.items() if not (method.needs_weights or name == "pogmdm-diffusion")]
    add("--methods", nargs="+", default=usual, metavar="METHOD",
        help=f"of {', '.join(COMPETITORS)} (default: {', '.join(usual)})")
    add("--weights", nargs="+", default=[], metavar="METHOD=FILE",
        help="weights of the networks: " + ", ".join(name for name, method in COMPETITORS.items() if method.needs_weights))
    add("--sweep", action="store_true", help="give every method the parameter that is best in each case")
    add("--tune", nargs="+", metavar="DATA", help="give every method the parameter that is best on these data")
    add("--coils", type=int, default=8, help="simulated coils (default: %(default)s)")
    add("--noise-std", type=float, default=0.005, help="simulated noise (default: %(default)s)")
    add("--out", required=True, type=Path, metavar="DIR")
    return parser


def _weights(words, methods):
    """{method: (file,)} of METHOD=FILE words.  Raises ValueError where one is wrong or missing."""
    weights = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in COMPETITORS or not COMPETITORS[name].needs_weights or not path:
            names = ", ".join(name for name, method in COMPETITORS.items() if method.needs_weights)
            raise ValueError(f"--weights: expected METHOD=FILE with a method of {names}, got {word!r}")
        if not Path(path).is_file():
            raise FileNotFoundError(f"--weights {word}: no such file")
        weights[name] = (path,)
    for name in methods:
        if COMPETITORS[name].needs_weights and name not in weights:
            raise ValueError(f"--methods: {name} needs its weights, as --weights {name}=FILE")
    return {name: weights[name] for name in methods if name in weights}


def compare(argv):
    """Run the comparison that the arguments ask for.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    if unknown := [name for name in args.methods if name not in COMPETITORS]:
        raise ValueError(f"--methods: expected some of {', '.join(COMPETITORS)}, got {', '.join(unknown)}")
    if args.seeds < 1:
        raise ValueError(f"--seeds: expected at least 1, got {args.seeds}")
    for word in args.masks:
        if not word.endswith(".npz"):
            masks.parse(word)
    weights = _weights(args.weights, args.methods)
    swept = {name: COMPETITORS[name].sweep for name in args.methods} | weights
    defaults = {name: (COMPETITORS[name].default,) for name in args.methods} | weights
    parameters = swept if args.sweep else defaults
    if args.tune:
        rows = run(cases(load(args.tune, args.coils, args.noise_std), args.masks, args.seeds), args.methods, swept,
                   args.out / "tuning")
        parameters = defaults | {name: (value,) for name, value in tune(rows).items() if len(swept[name]) > 1}
        for name, (parameter,) in parameters.items():
            print(f"{COMPETITORS[name].label}: {parameter}" if parameter is not None else COMPETITORS[name].label)
    rows = run(cases(load(args.data, args.coils, args.noise_std), args.masks, args.seeds), args.methods, parameters,
               args.out / "images")
    if not rows:
        raise ValueError("--masks: none for these data")
    rows = best_of(rows, ("data", "mask", "method"))
    table = memory.StringIO()
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_file(args.out / "results.csv", lambda file: file.write(table.getvalue().encode()))
    text = report.markdown(rows)
    write_file(args.out / "table.md", lambda file: file.write(text.encode()))
    report.write(rows, args.out)
    print(text)
    print(f"{args.out / 'index.html'}")
    return 0
