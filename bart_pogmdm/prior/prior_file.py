"""The prior's file: reading it, and refusing a damaged or foreign one."""

import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..files.npz import read_npz
from .calibration import POWERS
from .pogmdm import SCHEMA, SHAPES, PoGMDM
from .rules import NUMBERS, OF_CALIBRATION, PriorRules

DEFAULT_PRIOR = Path(__file__).with_name("data") / "prior.npz"
TEXTS = ("name", "provenance")
MEMBERS = {"schema", *TEXTS, *SHAPES, *NUMBERS}  # Other arrays of the file are not read.
# The rules that earlier schemas lack, at least in part.
LACKING: dict[int, tuple[str, ...]] = {2: NUMBERS, **dict.fromkeys((3, 4, 5), OF_CALIBRATION)}
BORROWED = "those of the shipped prior, because a file of schema {} does not hold them"
MOST_COMPONENTS = 256    # Their numbers are stored in a byte when samples are drawn.
LARGEST = 1e6            # Of a parameter; squares of much larger or smaller ones leave the range of single precision.
MOST = {"quantile": 1}   # Of a rule, where it is not LARGEST.
LEAST = dict.fromkeys(POWERS, 0)  # Of a rule, where it is not 1 / LARGEST.
LARGEST_BYTES = 1 << 24  # Of all arrays, hundreds of times those of the package's own.


def load_prior(path: str | os.PathLike[str] | None = None) -> PoGMDM:
    """Return the prior from an npz file; the package's own by default.

    Schema 6, float32: `schema`, `name`, `lowpass` (9,) of sum 1, `directional` (17, 17) of absolute sum 1,
    `gains` (20,) >= 0, `weights` (20, L) on the simplex and symmetric, `means` (L,) equispaced and
    symmetric, `base_std`; `provenance`, a JSON object: data, licences, training, validation, origin of the rules.
    float64 > 0, the numbers of `PriorRules`, its `ImageScale` and its `Calibration`: `exponent`, `fine_gain`,
    `noise_gain`, `ridge`; `quantile`, `most_peak`, `start`; `std_factor`, and >= 0 `acceleration_power`,
    `coil_power`.  Schema 2 lacks these, and schemas 3 to 5 have another calibration.  Such a prior gets those of the
    shipped one, and its provenance says so.
    Raises FileNotFoundError, or ValueError for a damaged or foreign file.
    """
    if not isinstance(path, (str, os.PathLike, type(None))):
        raise TypeError(f"prior: expected a PoGMDM, a path or PlugAndPlay(denoiser), got {type(path).__name__}")
    return _default() if path is None else _load(Path(path))


@lru_cache(maxsize=1)
def _default() -> PoGMDM:
    return _load(DEFAULT_PRIOR)


@np.errstate(all="ignore")  # Damaged numbers are an error, in one sentence.
def _load(path: Path) -> PoGMDM:
    try:
        content = read_npz(path, MEMBERS.__contains__, LARGEST_BYTES)
    except (FileNotFoundError, ValueError) as error:
        if path.suffix != ".npz" and path.is_file() and not zipfile.is_zipfile(path):
            raise ValueError(f"prior {path}: expected a prior (.npz), got another kind of file") from None
        raise type(error)(f"prior {error}") from None
    if fault := _format_fault(content) or _value_fault(content):
        raise ValueError(f"prior {path}: {fault}")
    parameters: dict[str, Any] = {key: content[key] for key in SHAPES}
    provenance, schema = json.loads(str(content["provenance"])), int(content["schema"])
    rules = PriorRules.of(PriorRules().numbers | {name: float(content[name]) for name in _numbers_of(schema)})
    if schema in LACKING:
        provenance["rules" if LACKING[schema] == NUMBERS else "calibration"] = BORROWED.format(schema)
    return PoGMDM(**parameters, name=str(content["name"]), provenance=provenance, rules=rules)


def _numbers_of(schema: Any) -> tuple[str, ...]:
    """Return the names of the rules that a file of a schema holds."""
    return tuple(name for name in NUMBERS if name not in LACKING.get(int(schema), ()))


def _format_fault(content: dict[str, Array]) -> str | None:
    """Return what is wrong with the names, types and shapes in a prior file, or None."""
    is_known = "schema" in content and content["schema"].shape == () and content["schema"] in (*LACKING, SCHEMA)
    numbers = _numbers_of(content["schema"]) if is_known else ()
    if missing := {"schema", *TEXTS, *SHAPES, *numbers} - set(content):
        return f"not a PoGMDM prior (missing {', '.join(sorted(missing))})"
    if not is_known:
        return f"expected schema {', '.join(map(str, LACKING))} or {SCHEMA}, got {content['schema']}"
    for key, shape in {**SHAPES, **dict.fromkeys(numbers, ())}.items():
        array = content[key]
        if array.dtype.kind != "f" or len(array.shape) != len(shape) \
                or any(want not in (None, got) for want, got in zip(shape, array.shape)):
            return f"{key}: expected real numbers of shape {shape}, got {array.dtype} {array.shape}"
        if not np.isfinite(array).all():
            return f"{key} holds NaN or infinite numbers"
    for key in TEXTS:
        if content[key].shape != () or content[key].dtype.kind != "U":
            return f"{key}: expected a string, got {content[key].dtype} {content[key].shape}"
    try:
        text, _ = (str(content[key]) for key in ("provenance", "name"))
        if not isinstance(json.loads(text), dict):
            return "provenance: expected a JSON object"
    except (ValueError, RecursionError) as error:
        return f"provenance: expected a JSON object, and name text ({error})"
    weights, means = content["weights"], content["means"]
    if weights.shape[1] != means.size or not 2 <= means.size <= MOST_COMPONENTS:
        return (f"weights and means must agree in their number of components, 2 to {MOST_COMPONENTS},"
                f" got {weights.shape[1]} and {means.size}")
    return None


def _value_fault(content: dict[str, Array]) -> str | None:
    """Return which constraint the parameters break, or None."""
    weights, means = content["weights"], content["means"]
    checks = {
        "lowpass must sum to 1": abs(content["lowpass"].sum() - 1) < 1e-3,
        "directional must have absolute sum 1": abs(np.abs(content["directional"]).sum() - 1) < 1e-3,
        "gains must not be negative, nor all zero": (content["gains"] >= 0).all() and content["gains"].any(),
        "weights must lie on the simplex": (weights >= 0).all() and np.allclose(weights.sum(1), 1, atol=1e-3),
        "weights must be symmetric": np.allclose(weights, weights[:, ::-1], atol=1e-4),
        "means must be equispaced, ascending and symmetric":
            means[-1] > 0 and np.allclose(means, np.linspace(-means[-1], means[-1], means.size), atol=1e-4 * means[-1]),
        "base_std must be positive": content["base_std"] > 0,
        f"gains, means and base_std must not exceed {LARGEST:g}, nor base_std and means fall below {1 / LARGEST:g}":
            max(content["gains"].max(), means[-1], content["base_std"]) <= LARGEST
            and min(means[-1], content["base_std"]) >= 1 / LARGEST,
        **{f"{name} must lie between {LEAST.get(name, 1 / LARGEST):g} and {MOST.get(name, LARGEST):g}":
           LEAST.get(name, 1 / LARGEST) <= content[name] <= MOST.get(name, LARGEST)
           for name in _numbers_of(content["schema"])},
    }
    return next((message for message, holds in checks.items() if not holds), None)
