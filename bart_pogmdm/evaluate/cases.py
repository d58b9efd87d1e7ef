"""The cases of a comparison: every data set with every sampling mask."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arrays.array_types import Array
from ..files.references import ReferenceScan, read_masks, read_references
from . import masks, simulate


class Case(NamedTuple):
    """k-space (coil, y, x) of a data set, its reference image (y, x) of maximum 1, and a sampling mask (y, x)."""

    name: str
    kspace: Array
    reference: Array
    mask_name: str
    mask: Array


def load_scans(paths: Iterable[str | Path], coils: int = 8,
               noise_std: float = 0.005) -> Iterator[tuple[str, Array, Array]]:
    """Yield (name, kspace (coil, y, x), reference (y, x)) of files: npz with kspace or images, fastMRI h5, cfl, ra.

    For images, noisy k-space of `coils` coils is simulated.  The reference has maximum 1.
    Raises ValueError for a file without data or without reference.
    """
    for path in map(Path, paths):
        for found in read_references(path):
            if isinstance(found, ReferenceScan):
                yield found.name, found.kspace, found.reference
            else:
                kspace = simulate.kspace(found.image, coils, noise_std, seed=found.number)
                yield found.name, kspace, np.abs(found.image)


def cases(data: Iterable[tuple[str, Array, Array]], words: Sequence[str], seeds: int) -> Iterator[Case]:
    """Yield every data set with every mask.

    A word is one of those of `masks.named`, for which a mask is made with each of the seeds 0 to `seeds` - 1, or the
    name of an npz file with masks as arrays named <data>__<mask>__<seed>.
    Raises ValueError if two cases have the same name, because one would take the place of the other in the report.
    """
    seen: set[tuple[str, str]] = set()
    for name, kspace, reference in data:
        for word in words:
            for mask_name, mask in read_masks(word, name) if word.endswith(".npz") else (
                    (f"{word}-{seed}", masks.named(word, reference.shape, seed)) for seed in range(seeds)):
                if (name, mask_name) in seen:
                    raise ValueError(f"data: two data sets have the name {name} and a mask {mask_name}; rename a file")
                seen.add((name, mask_name))
                yield Case(name, kspace, reference, mask_name, mask)
