"""`bart-pogmdm compare`: methods side by side on the same data, as CSV, Markdown table, figures and one HTML page."""

import csv
import hashlib
import io as memory
import json
import re
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .. import bridge
from ..io import central_slices, from_bart, read, replace
from ..operators import ifft2c, rss
from ..parser import Parser
from . import masks, metrics, report, simulate
from .methods import METHODS

FASTMRI_WIDTHS = (368, 372)  # only volumes of one of these, as in the paper
COLUMNS = ("data", "mask", "method", "parameter", "psnr", "ssim", "nmse", "psnr_field", "psnr_spline", "coverage",
           "rank_correlation", "null_space", "seconds", "note")
Case = namedtuple("Case", "name kspace reference mask_name mask")


def load(paths, coils=8, noise_std=0.005):
    """(name, kspace (J, ny, nx), reference (ny, nx)) of files: npz with kspace or images, fastMRI h5, cfl, ra.

    The reference is the array of that name, or the RSS of the k-space, which must then be fully sampled; `images`
    are seen through simulated coils in noise.  Raises ValueError for a file without data or without reference.
    """
    for path in map(Path, paths):
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            if "images" in arrays:
                for number, image in enumerate(arrays["images"]):
                    image = image / np.abs(image).max()
                    yield f"{path.stem}-{number}", simulate.kspace(image, coils, noise_std, number), np.abs(image)
            elif "kspace" in arrays:
                yield path.stem, arrays["kspace"], _reference(path, arrays["kspace"], arrays.get("reference"))
            else:
                raise ValueError(f"{path}: expected an array kspace or images, got {', '.join(arrays) or 'none'}")
        elif path.suffix == ".h5":
            yield from _fastmri(path)
        else:
            kspace = from_bart(read(path))
            yield path.stem, kspace, _reference(path, kspace, None)


def _fastmri(path):
    import h5py
    with h5py.File(path) as file:
        if "kspace" not in file:
            raise ValueError(f"{path}: expected a fastMRI file with kspace")
        volume = file["kspace"]
        if volume.shape[-1] not in FASTMRI_WIDTHS:
            widths = " or ".join(map(str, FASTMRI_WIDTHS))
            raise ValueError(f"{path}: expected a width of {widths}, got {volume.shape[-1]}")
        for number in central_slices(volume):
            kspace = volume[number].astype(np.complex64)
            kspace = kspace[None] if kspace.ndim == 2 else kspace
            yield f"{path.stem}-{number}", kspace / np.abs(kspace).max(), _reference(path, kspace, None)


def _reference(path, kspace, reference):
    """The reference of the data, of maximum 1."""
    if reference is None:
        if (kspace == 0).all(0).mean() > 0.05:
            raise ValueError(f"{path}: expected a reference or fully sampled k-space, got neither")
        reference = rss(ifft2c(kspace))
    return (reference / reference.max()).astype(np.float32)


def cases(data, words, seeds):
    """Every data set with every mask: words of `masks.named`, or npz files with masks named <data>__<mask>__<seed>."""
    for name, kspace, reference in data:
        for word in words:
            if word.endswith(".npz"):
                with np.load(word) as file:
                    for key in sorted(key for key in file if key.split("__")[0] == name):
                        yield Case(name, kspace, reference, "-".join(key.split("__")[1:]), file[key])
            else:
                for seed in range(seeds):
                    yield Case(name, kspace, reference, f"{word}-{seed}", masks.named(word, reference.shape, seed))


def evaluate(case, method, parameter):
    """The row of the table, and the images, of one method with one parameter on one case."""
    row = dict.fromkeys(COLUMNS, "") | {"data": case.name, "mask": case.mask_name, "method": method}
    if parameter is not None:
        row["parameter"] = str(parameter) if METHODS[method].needs_weights else parameter
    began = time.perf_counter()
    try:
        image, std, sens = METHODS[method].run(case.kspace, case.mask, parameter)
    except bridge.BartError as error:
        return row | {"note": _reason(error.stderr)}, {}
    except bridge.BartMissingError:
        return row | {"note": "BART is not installed"}, {}
    seconds, reference = time.perf_counter() - began, case.reference
    row |= {"psnr": metrics.psnr(image, reference), "ssim": metrics.ssim(image, reference),
            "nmse": metrics.nmse(image, reference), "psnr_field": metrics.psnr_of_field(image, reference),
            "psnr_spline": metrics.psnr(metrics.fit_intensity(image, reference), reference), "seconds": seconds}
    if std is not None:
        row |= {"coverage": metrics.coverage(image, std, reference),
                "rank_correlation": metrics.rank_correlation(image, std, reference)}
    scale = metrics.fit_scale(image, reference)
    images = {"image": scale * np.abs(image)}
    if std is not None:
        images["std"] = scale * std
    if sens is not None and len(sens) > 1:
        coil_images = ifft2c(case.kspace)
        row["null_space"] = metrics.null_space_residual(sens, coil_images, reference)
        images["unexplained"] = metrics.fit_scale(rss(coil_images), reference) * metrics.unexplained(sens, coil_images)
    return row, {name: array.astype(np.float32) for name, array in images.items()}


def _reason(stderr):
    """The last line of BART's messages that says something, without colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in stderr.splitlines()]
    return next((line for line in reversed(lines) if line), "failed")


def run(all_cases, names, parameters, folder, progress=tqdm):
    """Rows of all cases and methods, each computed once: what lies in `folder` from an earlier run is taken as it is.

    parameters: {method: tuple of parameters to try}.  A file is named by what it was computed from, and written whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in progress(all_cases):
        digest = hashlib.sha256(np.ascontiguousarray(case.kspace * case.mask)).hexdigest()[:8]
        for name in names:
            for parameter in parameters[name]:
                path = folder / f"{case.name}__{case.mask_name}__{digest}__{name}__{_word(name, parameter)}.npz"
                if not path.exists():
                    row, images = evaluate(case, name, parameter)
                    if not images:  # it did not run: next time it may
                        rows.append(row)
                        continue
                    images["reference"] = case.reference
                    replace(path, lambda file, row=row, images=images: np.savez(file, row=json.dumps(row), **images))
                with np.load(path, allow_pickle=False) as file:
                    rows.append(json.loads(str(file["row"])) | {"file": str(path)})
    return rows


def _word(method, parameter):
    """What tells a parameter from others in a file name: of a file of weights, its content."""
    if not METHODS[method].needs_weights:
        return str(parameter)
    return f"{Path(parameter).stem}-{hashlib.sha256(Path(parameter).read_bytes()).hexdigest()[:8]}"


def best_of(rows, keys):
    """Of the rows that agree in the keys, the one of the highest PSNR; those that failed last."""
    best = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        if key not in best or (row["psnr"] or -1) > (best[key]["psnr"] or -1):
            best[key] = row
    return list(best.values())


def tune(rows):
    """{method: the parameter of the highest mean PSNR over all cases}."""
    scores = {}
    for row in rows:
        if row["psnr"]:
            scores.setdefault(row["method"], {}).setdefault(row["parameter"], []).append(row["psnr"])
    return {method: max(found, key=lambda parameter: (len(found[parameter]), np.mean(found[parameter])))
            for method, found in scores.items()}


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
    usual = [name for name, method in METHODS.items() if not (method.needs_weights or name == "pogmdm-diffusion")]
    add("--methods", nargs="+", default=usual, metavar="METHOD",
        help=f"of {', '.join(METHODS)} (default: {', '.join(usual)})")
    add("--weights", nargs="+", default=[], metavar="METHOD=FILE",
        help="weights of the networks: " + ", ".join(name for name, method in METHODS.items() if method.needs_weights))
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
        if name not in METHODS or not METHODS[name].needs_weights or not path:
            names = ", ".join(name for name, method in METHODS.items() if method.needs_weights)
            raise ValueError(f"--weights: expected METHOD=FILE with a method of {names}, got {word!r}")
        if not Path(path).is_file():
            raise FileNotFoundError(f"--weights {word}: no such file")
        weights[name] = (path,)
    for name in methods:
        if METHODS[name].needs_weights and name not in weights:
            raise ValueError(f"--methods: {name} needs its weights, as --weights {name}=FILE")
    return {name: weights[name] for name in methods if name in weights}


def compare(argv):
    """Run the comparison that the arguments ask for.  Raises ValueError, OSError or ImportError with one sentence."""
    args = _parser().parse_args(argv)
    if unknown := [name for name in args.methods if name not in METHODS]:
        raise ValueError(f"--methods: expected some of {', '.join(METHODS)}, got {', '.join(unknown)}")
    if args.seeds < 1:
        raise ValueError(f"--seeds: expected at least 1, got {args.seeds}")
    for word in args.masks:
        if not word.endswith(".npz"):
            masks.parse(word)
    weights = _weights(args.weights, args.methods)
    swept = {name: METHODS[name].sweep for name in args.methods} | weights
    defaults = {name: (METHODS[name].default,) for name in args.methods} | weights
    parameters = swept if args.sweep else defaults
    if args.tune:
        rows = run(cases(load(args.tune, args.coils, args.noise_std), args.masks, args.seeds), args.methods, swept,
                   args.out / "tuning")
        parameters = defaults | {name: (value,) for name, value in tune(rows).items() if len(swept[name]) > 1}
        for name, (parameter,) in parameters.items():
            print(f"{METHODS[name].label}: {parameter}" if parameter is not None else METHODS[name].label)
    rows = run(cases(load(args.data, args.coils, args.noise_std), args.masks, args.seeds), args.methods, parameters,
               args.out / "images")
    if not rows:
        raise ValueError("--masks: none for these data")
    rows = best_of(rows, ("data", "mask", "method"))
    table = memory.StringIO()
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace(args.out / "results.csv", lambda file: file.write(table.getvalue().encode()))
    text = report.markdown(rows)
    replace(args.out / "table.md", lambda file: file.write(text.encode()))
    report.write(rows, args.out)
    print(text)
    print(f"{args.out / 'index.html'}")
    return 0
