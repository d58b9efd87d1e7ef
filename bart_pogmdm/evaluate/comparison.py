"""Runs every method on every case and stores the results, so that an interrupted comparison can continue."""

import hashlib
import inspect
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..arrays.array_types import Array
from ..arrays.doubts import without_doubts
from ..files.atomic import write_file
from ..files.npz import read_npz
from ..files.reading import reading
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..toolbox.bart_call import BartError, BartMissingError
from ..toolbox.find_bart import version as bart_version
from ..version import library_versions
from . import metrics
from .cases import Case
from .competitors import COMPETITORS, Competitor
from .estimate import DoesNotApply
from .rows import Parameter, Row

PACKAGE = Path(__file__).parents[1]
KEY_DIGITS = 12  # Digits of the key in the name of a file, which holds the whole key.


def evaluate(case: Case, competitor: Competitor, parameter: Parameter) -> tuple[Row, dict[str, Array]]:
    """Run one method with one parameter on one case, and return its scores and images.

    The images are float32 (ny, nx) in the scale of the reference: image, std if the method has one, and unexplained
    (`metrics.unexplained`) for several coils.  There are none if the method did not run.
    """
    row = Row(case.name, case.mask_name, competitor.name, parameter)
    began = time.perf_counter()
    try:
        with without_doubts():  # They are kept in the row.
            estimate = competitor.run(case.kspace, case.mask, parameter)
    except BartError as error:
        return replace(row, note=_reason(error.stderr)), {}
    except DoesNotApply as reason:
        return replace(row, note=str(reason)), {}
    except BartMissingError:
        return replace(row, note="BART is not installed"), {}
    seconds = time.perf_counter() - began
    image, std, sens, reference = estimate.image, estimate.std, estimate.sens, case.reference
    row = replace(row, psnr=metrics.psnr(image, reference), ssim=metrics.ssim(image, reference),
                  nmse=metrics.nmse(image, reference), psnr_field=metrics.psnr_of_field(image, reference),
                  psnr_spline=metrics.psnr(metrics.fit_intensity(image, reference), reference), seconds=seconds,
                  warnings=" ".join(estimate.warnings))
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
    """Return the last line of BART's messages that is not empty."""
    lines = [line.strip() for line in stderr.splitlines()]
    return next((line for line in reversed(lines) if line), "failed")


def run_comparison(cases: Iterable[Case], parameters: Mapping[str, Sequence[Parameter]], folder: Path,
                   competitors: Mapping[str, Competitor] = COMPETITORS, compute: bool = True) -> list[Row]:
    """Return the rows of all cases and methods; results of an earlier run in `folder` are not computed again.

    parameters: {method: parameters to try}.  Each result is one npz file, whose name states the data, the mask, the
    method and the parameter, with a digest of all that the result depends on.  A method that did not run leaves no
    file, so that the next run tries it again.  Without `compute`, only the rows of earlier runs are returned.
    """
    rows, programs = [], program_versions()
    for case in tqdm(cases, disable=None if compute and cases else True):
        for name, choices in parameters.items():
            for parameter in choices:
                key = key_of(case, competitors[name], parameter, programs)
                word = Path(parameter).stem if isinstance(parameter, str) else parameter
                path = folder / f"{case.name}__{case.mask_name}__{name}__{word}__{key[:KEY_DIGITS]}.npz"
                row = _stored(path, key)
                if row is None and compute:
                    row = _computed(path, key, case, competitors[name], parameter)
                rows += [] if row is None else [row]
    return rows


def program_versions() -> dict[str, str]:
    """Return the versions of the programs, and the digest of this package's code, on which results depend."""
    code, versions = hashlib.sha256(), library_versions()
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".cu", ".npz")):
        code.update(path.read_bytes())
    return {**versions, "torch": _version_of("torch"), "code": code.hexdigest(), "bart": bart_version() or "none"}


def _version_of(package: str) -> str:
    """Return the version of an optional package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def key_of(case: Case, competitor: Competitor, parameter: Parameter, programs: Mapping[str, str]) -> str:
    """Return a digest of everything on which the scores and images of a method depend.

    The options of a method are in the text of its function, a partial one; a file of weights counts by its content.
    A method of other programs depends on these, on the module of its function, and on the metrics.
    """
    if competitor.needs_weights:
        parameter = hashlib.sha256(Path(str(parameter)).read_bytes()).hexdigest()
    if competitor.programs:
        sources = (module_of(competitor.run), Path(metrics.__file__))
        programs = {name: programs["bart"] if name == "bart" else _version_of(name) for name in competitor.programs} | {
            source.stem: hashlib.sha256(source.read_bytes()).hexdigest() for source in sources}
    words = [competitor.name, options_text(competitor.run), parameter, dict(programs)]
    digest = hashlib.sha256(json.dumps(words).encode())
    for array in (case.kspace, case.mask, case.reference):
        digest.update(f"{array.shape} {array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def options_text(function: Any) -> str:
    """Return the name of a function, with the arguments that are bound to it."""
    bound = (function.func, *function.args, *sorted(function.keywords.items())) if isinstance(function, partial) else (
        function,)
    return " ".join(getattr(value, "__qualname__", repr(value)) for value in bound)


def module_of(function: Any) -> Path:
    """Return the file of the module that defines a function, or the function that a partial one calls."""
    return Path(inspect.getfile(function.func if isinstance(function, partial) else function))


def _stored(path: Path, key: str) -> Row | None:
    """Return the row of an earlier run; None if there is none of this key, or if its file is damaged."""
    try:
        content = read_npz(path)  # Every array is read, so that a damaged one is noticed here.
        with reading(path):
            row = Row.from_cells(json.loads(str(content["row"])), str(path))
    except (FileNotFoundError, ValueError):
        return None
    return row if content.get("key") == key else None


def _computed(path: Path, key: str, case: Case, competitor: Competitor, parameter: Parameter) -> Row:
    """Return the row of `evaluate`; store it with its images and the reference if the method ran."""
    row, images = evaluate(case, competitor, parameter)
    if not images:
        return row
    content: dict[str, Any] = {"key": key, "row": json.dumps(row.cells()), **images, "reference": case.reference}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, lambda file: np.savez(file, **content))
    return replace(row, file=str(path))
