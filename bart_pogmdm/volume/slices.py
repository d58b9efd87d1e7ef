"""The work of a worker: it reconstructs slices with the same result as `recon` of the whole volume."""

import hashlib
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.doubts import ReconstructionWarning, without_doubts
from ..files.cfl import paths_of
from ..files.kspace import KspaceFile, open_kspace
from ..reconstruction.inputs import Inputs
from ..reconstruction.options import Options
from ..reconstruction.recon import reconstruct
from ..version import library_versions

FileStatus: TypeAlias = tuple[tuple[int, int, int], ...]  # Inode, size and time of change of each file.
# Entries of the info of a result that go into the manifest.
FACTS = ("noise_std", "scale", "residual_std", "maps", "rhat", "ess", "seconds")


class RefusalError(ValueError):
    """An error that concerns a worker or the whole run, and not one slice."""


@dataclass(frozen=True)
class Job:
    """The part of the work that is the same for all slices.

    source, measurement: name of the file and the measurement in it, with k-space of `shape`.
    prior: the pickled prior, because another machine may not have its file.
    options, device: as in `recon`.
    versions: the library versions of the client.
    """

    source: str
    measurement: str | None
    shape: Shape
    prior: bytes
    options: Options
    device: str | None
    versions: dict[str, str]


@dataclass(frozen=True)
class SliceTask:
    """A slice to be reconstructed.

    place: its indices in the dimensions beyond COIL.  mask: (y, x) or (z, y, x), or None.
    kspace: its k-space if that is sent; None if the worker reads it from the file.
    """

    number: int
    place: tuple[int, ...]
    mask: Array | None
    kspace: Array | None


Block: TypeAlias = tuple[SliceTask, ...]


@dataclass(frozen=True)
class SliceOutcome:
    """The outcome for one slice.

    digest: SHA-256 of its k-space and mask; None if it could not be read.
    arrays: {name: array} as `recon` returns them; None after an error.
    facts: entries of its info.  warnings: sentences of doubt about it.
    """

    number: int
    digest: str | None = None
    arrays: dict[str, Array | None] | None = None
    facts: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None


def input_digest(kspace: Array, mask: Array | None) -> str:
    """Return the SHA-256 of k-space and mask of a slice."""
    sha = hashlib.sha256(kspace.ravel(order="F").data)  # no copy of what is column-major, as most files are
    if mask is not None:
        sha.update(np.asarray(mask).tobytes())
    return sha.hexdigest()


def reconstruct_block(job: Job, block: Block, callback: Callable[[Any], object] | None = None) -> list[SliceOutcome]:
    """Reconstruct the slices of a block; each starts from the sensitivities of the slice before.

    An error of a slice becomes its outcome.  RefusalError is raised for an error that concerns all slices.
    """
    if (mine := library_versions()) != job.versions:
        name = next(name for name in mine if mine[name] != job.versions.get(name))
        raise RefusalError(f"worker: expected {name} {job.versions.get(name)} as the client has, got {mine[name]}")
    with without_doubts():  # Those about slices travel in the outcomes; the plan has those about the file.
        source, neighbour, outcomes = None if block[0].kspace is not None else _source(job), None, []
        for task in block:
            outcome, neighbour = _reconstruct_slice(job, task, source, neighbour, callback)
            outcomes.append(outcome)
    return outcomes


def _reconstruct_slice(job: Job, task: SliceTask, source: KspaceFile | None, neighbour: Array | None,
                       callback: Callable[[Any], object] | None) -> tuple[SliceOutcome, Array | None]:
    """Reconstruct a slice, and return its outcome and the coefficients of its sensitivities."""
    identity = None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReconstructionWarning)
            kspace: Any = source.slice(task.place) if source else task.kspace
        identity = input_digest(kspace, task.mask)
        inputs = Inputs(kspace, task.mask, neighbour=neighbour, first=task.number)
        result, coefficients = reconstruct(inputs, _prior(job.prior), job.options, job.device, callback)
    except Exception as error:  # No error of a slice may stop the other slices.
        known = isinstance(error, (ValueError, TypeError, OSError, MemoryError)) and str(error)
        return SliceOutcome(task.number, identity, error=known or f"{type(error).__name__}: {error}"), None
    facts = {key: float(result.info[key]) for key in FACTS if key in result.info}
    arrays = {"image": result.image, "sens": result.sens, "std": result.std}
    doubts = *(str(warning.message) for warning in caught), *result.info["warnings"]
    return SliceOutcome(task.number, identity, arrays, facts, tuple(dict.fromkeys(doubts))), coefficients


@lru_cache(maxsize=1)
def _prior(pickled: bytes) -> Any:
    """Unpickle the prior; all slices get the same object, because it keeps its spectra and tables."""
    return pickle.loads(pickled)


def file_status(name: str | Path) -> FileStatus:
    """Return what changes if one of the files behind the name of an input is replaced or written."""
    files = (path for path in (Path(name), *paths_of(name)) if path.is_file())
    return tuple((path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _source(job: Job) -> KspaceFile:
    """Open the file with the k-space.  Raises RefusalError if it cannot be read or its shape is not that of the job."""
    try:
        source = _open_once(job.source, job.measurement, file_status(job.source))
    except (OSError, ValueError, ImportError) as error:
        raise RefusalError(f"worker: cannot read the input ({error})") from None
    if source.shape != job.shape:
        raise RefusalError(f"worker: expected k-space {job.shape} in {job.source}, got {source.shape}")
    return source


@lru_cache(maxsize=1)
def _open_once(name: str, measurement: str | None, status: FileStatus) -> KspaceFile:
    """Open a file, and open it again only if its status has changed: a worker of Dask may serve several runs."""
    return open_kspace(name, measurement)
