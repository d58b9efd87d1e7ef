"""The plan of a run: the slices of the input, and everything that determines the result."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import BEYOND
from ..arrays.doubts import ReconstructionWarning
from ..arrays.rounding import as_pattern
from ..files.kspace import KspaceFile, open_kspace
from ..reconstruction import layout
from ..reconstruction.options import OptionKeywords, Options, Unpack, options_of
from ..reconstruction.priors import planes_of, prior_of
from ..version import library_versions
from .slices import Block, FileStatus, Job, SliceTask, file_status, input_digest


@dataclass(frozen=True)
class VolumeInput:
    """The slices of a file.

    source: the open file.  status: its status when it was opened.
    places: the indices of each slice, in the order of the slices in `recon`.
    masks: (…, 1, *grid), or None.  mask_digest: SHA-256 of the given mask.
    warnings: sentences of doubt about the file.
    """

    name: str | Path
    source: KspaceFile
    status: FileStatus
    places: list[tuple[int, ...]]
    masks: Array | None
    mask_digest: str | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, name: str | Path, mask: Array | None, measurement: str | None) -> VolumeInput:
        """Open a measurement in a file; the mask is as in `recon`, or None for the mask in the file."""
        status = file_status(name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReconstructionWarning)
            source = open_kspace(name, measurement)
        like = np.broadcast_to(np.complex64(0), source.shape)
        layout.check_kspace(like)
        mask = source.pattern if mask is None else mask
        masks = None if mask is None else layout.patterns(mask, like)[0]
        coils = 1 if masks is None else masks.shape[-1 - len(layout.grid_of(source.shape))]
        if coils > 1:
            raise ValueError(f"mask: expected one for all coils of a volume, got one for each of {coils}")
        bits = None if mask is None else as_pattern(np.asarray(mask), "mask")
        bits = None if bits is None else np.packbits(bits) if bits.dtype == bool else np.ascontiguousarray(bits)
        identity = None if bits is None else hashlib.sha256(bits.tobytes()).hexdigest()
        places = list(np.ndindex(source.shape[BEYOND:]))
        sentences = tuple(dict.fromkeys(str(warning.message) for warning in caught))
        return cls(name, source, status, places, masks, identity, sentences)

    def task(self, number: int, send: bool) -> SliceTask:
        """Return the task of a slice, with its k-space if `send` is set."""
        place = self.places[number]
        return SliceTask(number, place, self._mask(number), self.source.slice(place) if send else None)

    def digest(self, number: int) -> str:
        """Return the SHA-256 of k-space and mask of a slice."""
        return input_digest(self.source.slice(self.places[number]), self._mask(number))

    def check_unchanged(self) -> None:
        """Raise ValueError if the file has been replaced or written since it was opened."""
        if file_status(self.name) != self.status:
            raise ValueError(f"{self.name}: the file has changed during the run; the same command compares it with the"
                             " slices that are finished")

    def _mask(self, number: int) -> Array | None:
        return None if self.masks is None else np.array(self.masks[self.places[number]][0])


@dataclass(frozen=True)
class Plan:
    """Everything that determines the result: the input, the job, and the size of the blocks of slices.

    prior_name: name and digest of the prior.
    """

    volume: VolumeInput
    job: Job
    warm_start: int
    prior_name: str

    @property
    def header(self) -> dict[str, Any]:
        """The first line of the manifest: a run with another header would have another result.

        The method and the rules come last, because their text is long and repeats the number of iterations: a refusal
        names the first entry that differs.
        """
        options = {field.name: repr(getattr(self.job.options, field.name)) for field in fields(Options)}
        method, rules, _ = options.pop("method"), options.pop("rules"), options.pop("keep_samples")
        return {"source": Path(self.volume.name).name, "measurement": self.job.measurement,
                "shape": self.volume.source.shape, "mask": self.volume.mask_digest, "prior": self.prior_name,
                "warm_start": self.warm_start, **options, "device": repr(self.job.device),
                "method": method, "rules": rules, **self.job.versions}

    @property
    def is_sampled(self) -> bool:
        """True if the method draws samples, so that there is a standard deviation."""
        return self.job.options.samples is not None

    def starts(self, missing: Collection[int]) -> list[int]:
        """Return the number of the first slice of each block in which slices are missing."""
        return sorted({number - number % self.warm_start for number in missing})

    def blocks(self, starts: Collection[int], send: bool) -> Iterator[Block]:
        """Yield each block as the tasks of its slices."""
        count = len(self.volume.places)
        for start in starts:
            yield tuple(self.volume.task(number, send) for number in range(start, min(start + self.warm_start, count)))


def make_plan(source: str | Path, *, measurement: str | None = None, mask: Array | None = None, prior: Any = None,
              device: str | None = None, warm_start: int = 1, **keywords: Unpack[OptionKeywords]) -> Plan:
    """Check the arguments of `recon_volume` and open the input.

    Raises ValueError, TypeError or OSError that names the wrong argument or file.
    """
    options = options_of(**keywords)
    prior = prior_of(prior, options.method)
    if not (hasattr(prior, "name") and hasattr(prior, "digest")):  # by which a later run knows the same prior
        raise TypeError(f"prior: a volume needs one with name and digest, which {type(prior).__name__} has not")
    check_positive("warm_start", warm_start)
    for name in ("sms", "shared_sens", "temporal"):
        if keywords.get(name):
            raise ValueError(f"{name}: goes with recon; the slices of a file are solved one by one")
    options = replace(options, shared_sens=0)
    if options.keep_samples:
        raise ValueError("keep_samples: goes with recon; a volume has image, sens and std only")
    if warm_start > 1 and options.maps == 2:
        raise ValueError(f"warm_start: goes with one set of maps, got {options.maps}")
    volume = VolumeInput.of(source, mask, measurement)
    options = replace(options, voxel=options.voxel or volume.source.voxel)
    if len(layout.grid_of(volume.source.shape)) > 2:
        planes_of(prior, options)
    elif options.voxel:
        raise ValueError("voxel: goes with volumes, and k-space is 2-D")
    job = Job(str(Path(source).resolve()), measurement, volume.source.shape, _pickled(prior), options, device,
              library_versions())
    return Plan(volume, job, warm_start, f"{prior.name} {prior.digest}")


def check_positive(name: str, number: Any) -> None:
    """Raise ValueError unless an argument is a positive integer."""
    if not (isinstance(number, int) and number >= 1):
        raise ValueError(f"{name}: expected a positive integer, got {number!r}")


def _pickled(prior: Any) -> bytes:
    """Pickle the prior, without the arrays that it has computed so far."""
    try:
        return pickle.dumps(replace(prior) if is_dataclass(prior) and not isinstance(prior, type) else prior)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"prior: expected one that can be sent to other processes ({error})") from None
