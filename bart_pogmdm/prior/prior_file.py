"""The prior's file: reading it, and refusing a damaged or foreign one."""

import json
import os
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..arrays.array_types import Array
from .pogmdm import SCHEMA, SHAPES, PoGMDM

DEFAULT_PRIOR = Path(__file__).with_name("data") / "prior.npz"


def load_prior(path: str | os.PathLike[str] | None = None) -> PoGMDM:
    """Return the prior from an npz file; the package's own by default.

    Schema 2, float32: `schema`, `name`, `lowpass` (9,) of sum 1, `directional` (17, 17) of absolute sum 1,
    `gains` (20,) >= 0, `weights` (20, L) on the simplex and symmetric, `means` (L,) equispaced and
    symmetric, `base_std`; `provenance`, a JSON object: data, licences, training, validation.
    Raises FileNotFoundError, or ValueError for a damaged or foreign file.
    """
    if not isinstance(path, (str, os.PathLike, type(None))):
        raise TypeError(f"prior: expected a PoGMDM or a path, got {type(path).__name__}")
    return _default() if path is None else _load(Path(path))


@lru_cache(maxsize=1)
def _default() -> PoGMDM:
    return _load(DEFAULT_PRIOR)


def _load(path: Path) -> PoGMDM:
    try:
        if not zipfile.is_zipfile(path) and path.exists():
            raise ValueError("no zip archive")
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"prior {path}: no such file") from None
    except (ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"prior {path}: not a readable npz file ({error})") from None
    if fault := _format_fault(content) or _value_fault(content):
        raise ValueError(f"prior {path}: {fault}")
    return PoGMDM(**{key: content[key] for key in SHAPES}, name=str(content["name"]),
                  provenance=json.loads(str(content["provenance"])))


def _format_fault(content: dict[str, Array]) -> str | None:
    """Return what is wrong with the names, types and shapes in a prior file, or None."""
    if missing := {"schema", "name", "provenance", *SHAPES} - set(content):
        return f"not a PoGMDM prior (missing {', '.join(sorted(missing))})"
    if content["schema"].shape != () or content["schema"] != SCHEMA:
        return f"expected schema {SCHEMA}, got {content['schema']}"
    for key, shape in SHAPES.items():
        array = content[key]
        if array.dtype.kind != "f" or len(array.shape) != len(shape) \
                or any(want not in (None, got) for want, got in zip(shape, array.shape)):
            return f"{key}: expected real numbers of shape {shape}, got {array.dtype} {array.shape}"
        if not np.isfinite(array).all():
            return f"{key} holds NaN or infinite numbers"
    for key in ("name", "provenance"):
        if content[key].shape != () or content[key].dtype.kind != "U":
            return f"{key}: expected a string, got {content[key].dtype} {content[key].shape}"
    try:
        if not isinstance(json.loads(str(content["provenance"])), dict):
            return "provenance: expected a JSON object"
    except ValueError as error:
        return f"provenance: expected a JSON object ({error})"
    weights, means = content["weights"], content["means"]
    if weights.shape[1] != means.size or means.size < 2:
        return f"weights and means must agree in their number of components, got {weights.shape[1]} and {means.size}"
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
    }
    return next((message for message, holds in checks.items() if not holds), None)
