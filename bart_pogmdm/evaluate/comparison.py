"""Runs every method on every case and stores the results, so that an interrupted comparison can continue."""

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..arrays.array_types import Array
from ..files.atomic import write_file
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..toolbox.bart_call import BartError, BartMissingError
from . import metrics
from .cases import Case
from .competitors import COMPETITORS, Competitor
from .rows import Parameter, Row


def evaluate(case: Case, competitor: Competitor, parameter: Parameter) -> tuple[Row, dict[str, Array]]:
    """Run one method with one parameter on one case, and return its scores and images.

    The images are float32 (ny, nx) in the scale of the reference: image, std if the method has one, and unexplained
    (`metrics.unexplained`) for several coils.  There are none if the method did not run.
    """
    row = Row(case.name, case.mask_name, competitor.name, parameter)
    began = time.perf_counter()
    try:
        estimate = competitor.run(case.kspace, case.mask, parameter)
    except BartError as error:
        return replace(row, note=_reason(error.stderr)), {}
    except BartMissingError:
        return replace(row, note="BART is not installed"), {}
    seconds = time.perf_counter() - began
    image, std, sens, reference = estimate.image, estimate.std, estimate.sens, case.reference
    row = replace(row, psnr=metrics.psnr(image, reference), ssim=metrics.ssim(image, reference),
                  nmse=metrics.nmse(image, reference), psnr_field=metrics.psnr_of_field(image, reference),
                  psnr_spline=metrics.psnr(metrics.fit_intensity(image, reference), reference), seconds=seconds)
    scale = metrics.fit_scale(image, reference)
    images = {"image": scale * np.abs(image)}
    if std is not None:
        row = replace(row, coverage=metrics.coverage(image, std, reference),
                      rank_correlation=metrics.rank_correlation(image, std, reference))
        images["std"] = scale * std
    if sens is not None and len(sens) > 1:
        coil_images = ifft2c(case.kspace)
        row = replace(row, null_space=metrics.null_space_residual(sens, coil_images, reference))
        images["unexplained"] = metrics.fit_scale(rss(coil_images), reference) * metrics.unexplained(sens, coil_images)
    return row, {name: array.astype(np.float32) for name, array in images.items()}


def _reason(stderr: str) -> str:
    """Return the last line of BART's messages that is not empty, without colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in stderr.splitlines()]
    return next((line for line in reversed(lines) if line), "failed")


def run_comparison(cases: Iterable[Case], parameters: Mapping[str, Sequence[Parameter]], folder: Path,
                   competitors: Mapping[str, Competitor] = COMPETITORS) -> list[Row]:
    """Return the rows of all cases and methods; results of an earlier run in `folder` are not computed again.

    parameters: {method: parameters to try}.  Each result is one npz file, whose name states the data, the mask, the
    method and the parameter.  A method that did not run leaves no file, so that the next run tries it again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in tqdm(cases):
        digest = hashlib.sha256((case.kspace * case.mask).tobytes()).hexdigest()[:8]
        for name, choices in parameters.items():
            for parameter in choices:
                path = folder / (f"{case.name}__{case.mask_name}__{digest}__{name}"
                                 f"__{_word(competitors[name], parameter)}.npz")
                rows.append(_stored(path) if path.exists() else _computed(path, case, competitors[name], parameter))
    return rows


def _stored(path: Path) -> Row:
    with np.load(path, allow_pickle=False) as file:
        return Row.from_cells(json.loads(str(file["row"])), str(path))


def _computed(path: Path, case: Case, competitor: Competitor, parameter: Parameter) -> Row:
    """Return the row of `evaluate`; store it with its images and the reference if the method ran."""
    row, images = evaluate(case, competitor, parameter)
    if not images:
        return row
    content: dict[str, Any] = {"row": json.dumps(row.cells()), **images, "reference": case.reference}
    write_file(path, lambda file: np.savez(file, **content))
    return replace(row, file=str(path))


def _word(competitor: Competitor, parameter: Parameter) -> str:
    """Return the part of a file name for a parameter; for a file of weights it contains a hash of its content."""
    if not competitor.needs_weights:
        return str(parameter)
    path = Path(str(parameter))
    return f"{path.stem}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
