"""What a worker does: reconstruct slices, each as `recon` of the whole volume would."""

import hashlib
import pickle
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from .. import __version__
from ..files.cfl import paths_of
from ..files.kspace import open_kspace
from ..reconstruction.recon import recon

FACTS = ("noise_std", "scale", "residual_std", "rhat", "ess", "seconds")  # of a result's info, for the manifest


class RefusalError(ValueError):
    """What is wrong with a worker or with the whole run, and not with one slice."""


def versions():
    """Of what decides about the last bit of a result."""
    return {"bart_pogmdm": __version__, **{name: version(name) for name in ("numpy", "scipy", "numba")}}


@dataclass(frozen=True)
class Job:
    """What is the same for all slices.

    source: name of the file, of k-space `shape`; prior: the object, pickled, because another machine may not have its
    file; options: the other arguments of `recon`; versions: of the client.
    """

    source: str
    shape: tuple
    prior: bytes
    options: dict
    versions: dict


@dataclass(frozen=True)
class Task:
    """A slice to be reconstructed: its number, where it is in the dimensions beyond COIL, its mask (y, x) or None, and
    its k-space where that is sent, None where the worker reads it.
    """

    number: int
    place: tuple
    mask: np.ndarray | None
    kspace: np.ndarray | None


@dataclass(frozen=True)
class Slice:
    """What became of one.  digest: SHA-256 of its k-space and mask, None where it could not be read; arrays: {name:
    array} as `recon` returns them, None after an error; facts: its info.
    """

    number: int
    digest: str | None = None
    arrays: dict | None = None
    facts: dict = field(default_factory=dict)
    error: str | None = None


def digest(kspace, mask):
    """SHA-256 of the input of a slice."""
    sha = hashlib.sha256(kspace.tobytes(order="F"))
    if mask is not None:
        sha.update(np.asarray(mask, bool).tobytes())
    return sha.hexdigest()


def reconstruct(job, block, callback=None):
    """The Slice of each Task in a block; each starts from the sensitivities of the one before.

    What is wrong with a slice, it says itself; RefusalError is for what concerns all.
    """
    if (mine := versions()) != job.versions:
        name = next(name for name in mine if mine[name] != job.versions.get(name))
        raise RefusalError(f"worker: expected {name} {job.versions.get(name)} as the client has, got {mine[name]}")
    source, neighbour, slices = None if block[0].kspace is not None else _source(job), None, []
    for task in block:
        one, neighbour = _reconstruct(job, task, source, neighbour, callback)
        slices.append(one)
    return slices


def _reconstruct(job, task, source, neighbour, callback):
    """The Slice, and the coefficients of its sensitivities."""
    identity = None
    try:
        kspace = source.slice(task.place) if source else task.kspace
        identity = digest(kspace, task.mask)
        result = recon(kspace, task.mask, prior=_prior(job.prior), first=task.number, neighbour=neighbour,
                       callback=callback, **job.options)
    except Exception as error:  # whatever it is, it must not stop the other slices
        known = isinstance(error, (ValueError, TypeError, OSError, MemoryError)) and str(error)
        return Slice(task.number, identity, error=known or f"{type(error).__name__}: {error}"), None
    facts = {key: float(result.info[key]) for key in FACTS if key in result.info}
    arrays = {"image": result.image, "sens": result.sens, "std": result.std}
    return Slice(task.number, identity, arrays, facts), result.coefficients


@lru_cache(maxsize=1)
def _prior(pickled):
    """Once for all slices: what is known about a prior at an image size is kept with the object."""
    return pickle.loads(pickled)


def _source(job):
    """The k-space, as the client saw it."""
    try:
        files = (path for path in (Path(job.source), *paths_of(job.source)) if path.is_file())
        status = tuple((path.stat().st_ino, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
        source = _opened(job.source, status)
    except (OSError, ValueError, ImportError) as error:
        raise RefusalError(f"worker: cannot read the input ({error})") from None
    if source.shape != job.shape:
        raise RefusalError(f"worker: expected k-space {job.shape} in {job.source}, got {source.shape}")
    return source


@lru_cache(maxsize=1)
def _opened(name, status):
    """The file; opened again where it is another one by now: Dask's workers see more than one run."""
    return open_kspace(name)
