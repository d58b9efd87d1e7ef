"""Checks of options."""

import numbers
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def is_integer(value: Any, least: int) -> bool:
    """Return True for an integer of Python or NumPy of at least some size."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def check_fields(record: Any, parts: Collection[str] = (), **least: float) -> None:
    """Raise ValueError unless the integers of a record are at least 1, and its other numbers finite and above 0.

    parts: fields that are also at most 1; least: other least values of fields, which these may have.  None passes where
    it is the default.  Raises TypeError for anything but a record of the same class in place of one.
    """
    for field in fields(record):
        name, value, usual = field.name, getattr(record, field.name), field.default
        kind = getattr(field.type, "__name__", field.type)  # a text, as the annotation, or a type
        if is_dataclass(usual) and not isinstance(value, type(usual)):
            raise TypeError(f"{name}: expected {type(usual).__name__}, got {type(value).__name__}")
        if value is None and usual is None:
            continue
        if kind.startswith("int") and not is_integer(value, int(least.get(name, 1))):
            raise ValueError(f"{name}: expected an integer >= {least.get(name, 1)}, got {value!r}")
        if kind.startswith("float"):
            number = float(value) if isinstance(value, numbers.Real) else np.nan
            if not (least.get(name, 0) <= number < np.inf and (number > 0 or name in least)
                    and (number <= 1 or name not in parts)):
                bounds = (f">= {least[name]}" if name in least else "> 0") + " and <= 1" * (name in parts)
                raise ValueError(f"{name}: expected a number {bounds}, got {value!r}")
