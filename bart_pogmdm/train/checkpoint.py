"""Checkpoints of a training run: reading one, and refusing a damaged one before any of it is used."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..files.reading import check_bytes, reading

KEYS = ("config", "step", "rows", "twin", "average", "optimizer")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint: tensors, numbers and texts, but no other objects.

    Raises FileNotFoundError, or ValueError for a file that is no checkpoint or lacks a part.
    """
    with reading(path):
        with zipfile.ZipFile(path) as archive:
            check_bytes(sum(member.file_size for member in archive.infolist()), path)
        state = torch.load(path, weights_only=True, map_location="cpu")
        if not isinstance(state, dict) or not set(KEYS) <= set(state) or not isinstance(state["config"], dict):
            raise ValueError(f"expected a checkpoint with {', '.join(KEYS)}")
    return state


def check_like(there: Any, here: Any, name: str) -> None:
    """Raise ValueError unless a part of a checkpoint has the form of that of this run.

    Mappings have the same keys, tensors the same shape and finite numbers, and integers are not negative.
    """
    if isinstance(here, Mapping):
        if not isinstance(there, Mapping) or set(there) != set(here):
            found = f"{', '.join(map(str, there)) or 'nothing'}" if isinstance(there, Mapping) else type(there).__name__
            raise ValueError(f"{name}: expected {', '.join(map(str, here))}, got {found}")
        for key, value in here.items():
            check_like(there[key], value, f"{name}.{key}")
    elif isinstance(here, torch.Tensor):
        if not isinstance(there, torch.Tensor) or there.shape != here.shape or there.dtype != here.dtype:
            found = f"{there.dtype} {tuple(there.shape)}" if isinstance(there, torch.Tensor) else type(there).__name__
            raise ValueError(f"{name}: expected {here.dtype} {tuple(here.shape)}, got {found}")
        if not there.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite numbers")
    elif not isinstance(there, int) or there < 0:
        raise ValueError(f"{name}: expected an integer >= 0, got {there!r}")
