"""`bart-pogmdm compare`: methods side by side on the same data, as CSV, Markdown table, figures and one HTML page."""

import hashlib
import json
import re
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..files.atomic import write_file
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..toolbox.bart_call import BartError, BartMissingError
from . import metrics
from .competitors import COMPETITORS

COLUMNS = ("data", "mask", "method", "parameter", "psnr", "ssim", "nmse", "psnr_field", "psnr_spline", "coverage",
           "rank_correlation", "null_space", "seconds", "note")


def evaluate(case, method, parameter):
    """The row of the table, and the images, of one method with one parameter on one case."""
    row = dict.fromkeys(COLUMNS, "") | {"data": case.name, "mask": case.mask_name, "method": method}
    if parameter is not None:
        row["parameter"] = str(parameter) if COMPETITORS[method].needs_weights else parameter
    began = time.perf_counter()
    try:
        image, std, sens = COMPETITORS[method].run(case.kspace, case.mask, parameter)
    except BartError as error:
        return row | {"note": _reason(error.stderr)}, {}
    except BartMissingError:
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
                    write_file(path, lambda file, row=row, images=images: np.savez(file, row=json.dumps(row), **images))
                with np.load(path, allow_pickle=False) as file:
                    rows.append(json.loads(str(file["row"])) | {"file": str(path)})
    return rows


def _word(method, parameter):
    """What tells a parameter from others in a file name: of a file of weights, its content."""
    if not COMPETITORS[method].needs_weights:
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
