"""Scores of the compared methods, one row for each method, parameter and case, and the choice of the best parameter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

import numpy as np

Parameter: TypeAlias = float | str | None  # A weight, a number of steps, the file of a network's weights, or none.


@dataclass(frozen=True)
class Row:
    """The scores of one method with one parameter on one case; a score that the method does not have is None.

    psnr (inside the object), psnr_field (whole field of view) and psnr_spline (after a fit of the intensities): dB.
    coverage and rank_correlation: of the standard deviation.  null_space: of the sensitivities of several coils.
    seconds: wall-clock time.  note: the reason, for a method that did not run.  warnings: what it says about doubts.
    file: the npz of the images, if any.
    """

    data: str
    mask: str
    method: str
    parameter: Parameter
    psnr: float | None = None
    ssim: float | None = None
    nmse: float | None = None
    psnr_field: float | None = None
    psnr_spline: float | None = None
    coverage: float | None = None
    rank_correlation: float | None = None
    null_space: float | None = None
    seconds: float | None = None
    note: str = ""
    warnings: str = ""
    file: str = ""

    def cells(self) -> dict[str, Any]:
        """Return the values of COLUMNS, with empty text for None, as in results.csv and the stored results."""
        values = asdict(self)
        return {name: "" if values[name] is None else values[name] for name in COLUMNS}

    @classmethod
    def from_cells(cls, cells: Mapping[str, Any], file: str) -> Row:
        """Make a row from its cells and the name of its file."""
        values: dict[str, Any] = {name: None if value == "" else value for name, value in cells.items()}
        values |= {name: cells[name] for name in ("note", "warnings")}
        return cls(**values, file=file)


COLUMNS = tuple(field.name for field in fields(Row) if field.name != "file")


def best_of(rows: Iterable[Row]) -> list[Row]:
    """Choose for each method and case the row of the highest PSNR, or a row without PSNR if there is no other."""
    best: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = row.data, row.mask, row.method
        if key not in best or (row.psnr or -1) > (best[key].psnr or -1):
            best[key] = row
    return list(best.values())


def tune(rows: Iterable[Row]) -> dict[str, Parameter]:
    """Return {method: parameter of the highest mean PSNR over all cases}, among those that ran on the most cases."""
    scores: dict[str, dict[Parameter, list[float]]] = {}
    for row in rows:
        if row.psnr:
            scores.setdefault(row.method, {}).setdefault(row.parameter, []).append(row.psnr)
    best = {}
    for method, found in scores.items():
        merits = {parameter: (len(values), float(np.mean(values))) for parameter, values in found.items()}
        best[method] = max(merits, key=merits.__getitem__)
    return best
