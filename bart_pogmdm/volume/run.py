"""A volume as slices: what is missing of it is reconstructed, wherever that may be, and written here."""

import contextlib
import hashlib
import pickle
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import bart_dims
from ..files.cfl import paths_of
from ..files.kspace import open_kspace
from ..reconstruction import layout
from ..reconstruction.recon import check_options
from . import workers
from .manifest import Manifest
from .output import Output
from .slices import Job, Task, digest, versions


@dataclass(frozen=True)
class Report:
    """What `recon_volume` returns: the number of slices, and {number: what was wrong} of those that failed."""

    slices: int
    failed: dict


def recon_volume(source, out, *, mask=None, method=None, samples=None, prior=None, iterations=40, noise_std=None,
                 maps=1, normalize=True, seed=0, device=None, warm_start=1, jobs=None, scheduler=None, send=False,
                 restart=False, callback=None):
    """Reconstruct the slices of a file one by one, on many processes or machines, into a file.

    The slices are what `recon` loops over, and come out as there, to the last bit, however the work is shared.  Each is
    read when it is its turn, written once it is done, and entered with its checksum in a manifest beside the output.
    The same call again, after whatever ended the last one, checks what is there and does the rest.

    source: name of a BART, npz, npy, fastMRI or ISMRMRD file, as in `formats.load`.
    out: name of the output: HDF5 if it ends in .h5, with image and std (slice, y, x) and sens (slice, coil, y, x); else
        BART's files OUT, OUT_sens, OUT_std.  While slices are missing the names end in .partial.
    mask: as in `recon`; None: that of the file, if it has one.
    method, samples, prior, iterations, noise_std, maps, normalize, seed, device: as in `recon`.
    warm_start: size of the blocks of consecutive slices in which each slice, but for the first, starts from the
        sensitivities of the one before, to save time.  The result depends on it, but not on who does what.
    jobs: processes on this machine, which share its cores; None: one for each GPU that is used, or each core.
    scheduler: address of a Dask scheduler, whose workers are used instead; "local": one with `jobs` workers here.
    send: send the k-space to Dask's workers, where they do not see the file.
    restart: begin anew, whatever there is in the output.
    callback: called with the number of slices that are done and of all, at the start and after each.

    Returns a Report.  A slice that cannot be reconstructed is NaN in the output; the same call tries it again.
    Raises ValueError, TypeError, OSError or ImportError that says what is wrong.
    """
    method, samples, prior = check_options(method, samples, prior, iterations, noise_std, maps, normalize, seed)
    for name, number in (("jobs", 1 if jobs is None else jobs), ("warm_start", warm_start)):
        if not (isinstance(number, int) and number >= 1):
            raise ValueError(f"{name}: expected a positive integer, got {number!r}")
    if warm_start > 1 and maps > 1:
        raise ValueError(f"warm_start: goes with one set of maps, got {maps}")
    if send and scheduler is None:
        raise ValueError("send: goes with scheduler; the processes of this machine see the file")
    volume = _Volume.of(source, mask)
    options = {"method": method, "samples": samples, "iterations": int(iterations), "noise_std": noise_std,
               "maps": int(maps), "normalize": bool(normalize), "seed": int(seed), "device": device}
    job = Job(str(Path(source).resolve()), volume.shape, _pickled(prior), options, versions())
    header = {"source": Path(source).name, "shape": volume.shape, "mask": volume.mask_digest,
              "prior": f"{prior.name} {prior.digest}", "warm_start": warm_start,
              **{key: repr(value) for key, value in options.items()}, **job.versions}
    output = Output(out, volume.shape, samples is not None)
    output.check({Path(source), *paths_of(source)})
    with Manifest(output.manifest, header, restart) as manifest, output:
        output.prepare(anew=manifest.is_new)
        manifest.begin()
        missing = {number for number in range(len(volume.places)) if not _is_done(number, manifest, volume, output)}
        done, report = len(volume.places) - len(missing), callback or (lambda done, count: None)
        report(done, len(volume.places))
        if missing or not output.is_finished:
            output.reopen()
            starts = sorted({number - number % warm_start for number in missing})
            blocks = (volume.block(start, start + warm_start, send) for start in starts)
            with contextlib.closing(_results(job, blocks, len(starts), jobs, scheduler)) as results:
                for one in (one for block in results for one in block if one.number in missing):
                    record = {"slice": one.number, "input": one.digest, **output.write(one.number, one.arrays)}
                    manifest.add(record | (one.facts if one.error is None else {"error": one.error}))
                    done += 1
                    report(done, len(volume.places))
            output.finish()
        failed = {number: record["error"] for number, record in sorted(manifest.records.items()) if "error" in record}
    return Report(len(volume.places), failed)


@dataclass(frozen=True)
class _Volume:
    """The input: where its slices are, in the order in which `recon` counts them, and their masks (…, y, x)."""

    name: str
    source: Any
    shape: tuple
    places: list
    masks: np.ndarray | None
    mask_digest: str | None

    @classmethod
    def of(cls, name, mask):
        """From a file and what was given as a mask."""
        source = open_kspace(name)
        like = np.broadcast_to(np.complex64(0), source.shape)
        layout.check_kspace(like)
        mask = source.pattern if mask is None else mask
        masks = None if mask is None else layout.mask_slices(mask, like)[0]
        identity = None if mask is None else hashlib.sha256(np.packbits(np.asarray(mask) != 0)).hexdigest()
        return cls(name, source, source.shape, list(np.ndindex(source.shape[bart_dims.BEYOND:])), masks, identity)

    def task(self, number, send=True):
        """The Task of a slice."""
        place = self.places[number]
        mask = None if self.masks is None else np.array(self.masks[place])
        return Task(number, place, mask, self.source.slice(place) if send else None)

    def block(self, start, stop, send):
        """The Tasks of consecutive slices."""
        return tuple(self.task(number, send) for number in range(start, min(stop, len(self.places))))


def _is_done(number, manifest, volume, output):
    """Whether a slice is in the output as the manifest says.  ValueError where its k-space is another one by now."""
    record = manifest.records.get(number)
    if record is None or "error" in record:
        return False
    task = volume.task(number)
    if digest(task.kspace, task.mask) != record["input"]:
        raise ValueError(f"{volume.name}: slice {number} is not what it was when it was reconstructed;"
                         " --restart (restart=True) begins anew")
    return all(record.get(name) == found for name, found in output.digests(number).items())


def _pickled(prior):
    """The prior without what it has worked out so far."""
    try:
        return pickle.dumps(replace(prior) if is_dataclass(prior) else prior)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(f"prior: expected one that can be sent to other processes ({error})") from None


def _results(job, blocks, count, jobs, scheduler):
    """The Slices of each of `count` blocks, as they come; a generator."""
    if not count:
        return (block for block in ())
    if scheduler is None:
        return workers.run(job, blocks, workers.environments(jobs, job.options["device"])[:count])
    from . import cluster
    return cluster.run(job, blocks, scheduler, jobs)
