"""Checks of options."""

import numbers
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def is_integer(value: Any, least: int) -> bool:
    """Return True for an integer of Python or NumPy of at least some size."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def check_fields(record: Any, integers: dict[str, int], positive: Sequence[str] = (), parts: Sequence[str] = (),
                 fractions: Sequence[str] = ()) -> None:
    """Raise ValueError unless fields are integers of at least some size, others numbers > 0, and parts also <= 1.

    Fractions are numbers from 0 to 1.  Raises TypeError for anything but a record of the same class in place of one.
    """
    for field in fields(record):
        value, usual = getattr(record, field.name), field.default
        if is_dataclass(usual) and not isinstance(value, type(usual)):
            raise TypeError(f"{field.name}: expected {type(usual).__name__}, got {type(value).__name__}")
    for name, least in integers.items():
        value = getattr(record, name)
        if not is_integer(value, least):
            raise ValueError(f"{name}: expected an integer >= {least}, got {value!r}")
    for name in (*positive, *parts):
        value = getattr(record, name)
        if not (isinstance(value, numbers.Real) and 0 < float(value) < np.inf):
            raise ValueError(f"{name}: expected a number > 0, got {value!r}")
        if name in parts and float(value) > 1:
            raise ValueError(f"{name}: expected a number <= 1, got {value!r}")
    for name in fractions:
        value = getattr(record, name)
        if not (isinstance(value, numbers.Real) and 0 <= float(value) <= 1):
            raise ValueError(f"{name}: expected a number from 0 to 1, got {value!r}")
