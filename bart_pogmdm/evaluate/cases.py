"""The cases of a comparison: every data set with every sampling mask."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..arrays.array_types import Array
from ..files.references import read_masks, read_references
from ..physics.fourier import resize
from . import masks
from .conditions import AS_IT_IS, Condition, Scan


class Case(NamedTuple):
    """k-space (coil, y, x) of a data set, its reference image (y, x) of maximum 1, and a sampling mask (y, x)."""

    name: str
    kspace: Array
    reference: Array
    mask_name: str
    mask: Array


def load_scans(paths: Iterable[str | Path], condition: Condition = AS_IT_IS) -> Iterator[Scan]:
    """Yield the scans of files under a condition: npz with kspace or images, fastMRI h5, cfl, ra.

    For images, k-space of several coils with noise is simulated.
    Raises ValueError for a file without data or without reference.
    """
    for path in map(Path, paths):
        yield from map(condition.apply, read_references(path))


def cases(scans: Iterable[Scan], words: Sequence[str], seeds: int) -> Iterator[Case]:
    """Yield every scan with every mask.

    A word is one of those of `masks.named`, for which a mask is made with each of the seeds 0 to `seeds` - 1, or the
    name of an npz file with masks as arrays named <data>__<mask>__<seed>.
    Raises ValueError if two cases have the same name, because one would take the place of the other in the report.
    """
    seen: set[tuple[str, str]] = set()
    for scan in scans:
        for word in words:
            for mask_name, mask in read_masks(word, scan.source) if word.endswith(".npz") else (
                    (f"{word}-{seed}", masks.named(word, scan.measured, seed)) for seed in range(seeds)):
                if (scan.name, mask_name) in seen:
                    raise ValueError(f"data: two data sets have the name {scan.name} and a mask {mask_name};"
                                     " rename a file")
                seen.add((scan.name, mask_name))
                if mask.shape == scan.measured:  # Zero-padding was not measured.
                    mask = resize(mask, scan.reference.shape)
                yield Case(scan.name, scan.kspace, scan.reference, mask_name, mask)
