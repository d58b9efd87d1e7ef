"""Reconstruction of a volume: workers reconstruct the missing slices, and this process writes them to the output."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..arrays.array_types import Array
from ..arrays.doubts import doubt
from ..files.outputs import check_outputs
from ..reconstruction.doubts import by_sentence
from ..reconstruction.options import OptionKeywords, Unpack, options_of
from . import workers
from .manifest import Manifest
from .output import Output, target_of
from .plan import Plan, check_positive, make_plan
from .slices import Block, Job, SliceOutcome

# reconstruct_blocks(job, blocks, number of blocks) yields the outcomes of each block as soon as it is finished.
ReconstructBlocks: TypeAlias = Callable[[Job, Iterator[Block], int], Generator[list[SliceOutcome], None, None]]
Callback: TypeAlias = Callable[[int, int], object]


@dataclass(frozen=True)
class Report:
    """The result of `recon_volume`: the number of slices, {number: error} of the slices that failed, and warnings.

    warnings: {number: sentences} of the slices that may be wrong, see `ReconstructionWarning`; a doubt about the file
        concerns all slices.
    """

    slices: int
    failed: dict[int, str]
    warnings: dict[int, tuple[str, ...]] = field(default_factory=dict)


def recon_volume(source: str | Path, out: str | Path, *, measurement: str | None = None, mask: Array | None = None,
                 prior: Any = None, device: str | None = None, warm_start: int = 1, jobs: int | None = None,
                 scheduler: str | None = None, send: bool = False, restart: bool = False,
                 callback: Callback | None = None, **options: Unpack[OptionKeywords]) -> Report:
    """Reconstruct the slices of a file one by one, on many processes or machines, into a file.

    The slices are those over which `recon` loops: planes, or volumes of a 3-D scan.  Each result equals that of `recon`
    with shared_sens=0 to the last bit, on any number of processes.  A slice is read when its turn comes, written when
    it is done, and entered with its checksum in a manifest beside the output.  If a run was interrupted, the same call
    checks the finished slices and continues.

    source, measurement: name of a BART, npz, npy, fastMRI, ISMRMRD or TWIX file, as in `files.kspace.load`.
    out: name of the output: HDF5 if it ends in .h5, with image and std (slice, y, x) and sens (slice, coil, y, x), or
        z, y, x in place of y, x; else BART's files OUT, OUT_sens, OUT_std.  While slices are missing the names end in
        .partial.
    mask: as in `recon`; None: the mask in the file, if it has one.
    prior, device: as in `recon`.
    method, samples, iterations, noise_std, maps, voxel, normalize, seed, rules: as in `recon`.
    warm_start: size of the blocks of consecutive slices in which each slice, except the first, starts from the
        sensitivities of the slice before, to save time.  The result depends on it, but not on the number of processes.
    jobs: number of processes on this machine, which share its cores; None: one for each GPU if GPUs are used, else one
        for each core, as far as the memory has room.
    scheduler: address of a Dask scheduler, whose workers are used instead; "local": start one with `jobs` workers on
        this machine.
    send: send the k-space to Dask's workers, for machines that cannot read the file.
    restart: start again and overwrite the output.
    callback: called with the number of finished slices and of all slices, at the start and after each slice.

    Returns a Report.  A slice that cannot be reconstructed is NaN in the output; the same call tries it again.
    Doubts about the file and slices, also of earlier runs, are raised as ReconstructionWarning, each with its slices.
    Raises ValueError, TypeError, OSError or ImportError that names the reason.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"source: expected the name of a file, got {type(source).__name__}; arrays go to recon")
    if jobs is not None:
        check_positive("jobs", jobs)
    if send and scheduler is None:
        raise ValueError("send: goes with `scheduler`; the processes of this machine see the file")
    is_sampled = options_of(**options).samples is not None
    check_outputs([target_of(out, is_sampled, restart)],
                  [source, *([prior] if isinstance(prior, (str, Path)) else [])])
    plan = make_plan(source, measurement=measurement, mask=mask, prior=prior, device=device, warm_start=warm_start,
                     **options)
    return carry_out(plan, out, partial(on_workers, jobs=jobs, scheduler=scheduler), send=send, restart=restart,
                     callback=callback)


def carry_out(plan: Plan, out: str | Path, reconstruct_blocks: ReconstructBlocks, *, send: bool = False,
              restart: bool = False, callback: Callback | None = None) -> Report:
    """Reconstruct the slices of a plan that are missing in the output; the arguments are those of `recon_volume`."""
    count = len(plan.volume.places)
    report = callback or (lambda done, count: None)
    output = Output(out, plan.volume.source.shape, plan.is_sampled)
    with Manifest(output.manifest, plan.header, output.keys, restart) as manifest, output:
        output.prepare(anew=manifest.is_new)
        manifest.begin(plan.volume.warnings)
        missing = {number for number in range(count) if not _is_done(number, manifest, plan, output)}
        done = count - len(missing)
        report(done, count)
        if missing or not output.is_finished:
            output.reopen()
            starts = plan.starts(missing)
            blocks = plan.blocks(starts, send)
            with contextlib.closing(reconstruct_blocks(plan.job, blocks, len(starts))) as results:
                for outcome in (outcome for block in results for outcome in block if outcome.number in missing):
                    record = {"slice": outcome.number, "input": outcome.digest,
                              **output.write(outcome.number, outcome.arrays)}
                    manifest.add(record | _findings(outcome))
                    done += 1
                    report(done, count)
            plan.volume.check_unchanged()
            output.finish()
        found = [(number, manifest.records[number]) for number in range(count) if number in manifest.records]
    failed = {number: record["error"] for number, record in found if "error" in record}
    doubts = {number: sentences for number, record in found
              if (sentences := (*plan.volume.warnings, *record.get("warnings", ())))}
    for sentence, numbers in by_sentence(doubts).items():
        doubt(f"{sentence} (slices {_ranges(numbers)})" if count > 1 else sentence)
    return Report(count, failed, doubts)


def _findings(outcome: SliceOutcome) -> dict[str, Any]:
    """Return the entries of the manifest that say how the reconstruction of a slice went."""
    if outcome.error is not None:
        return {"error": outcome.error}
    return outcome.facts | ({"warnings": list(outcome.warnings)} if outcome.warnings else {})


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text, such as 0, 3-5."""
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    return ", ".join(str(start) if start == end else f"{start}-{end}" for start, end in zip(starts, ends))


def _is_done(number: int, manifest: Manifest, plan: Plan, output: Output) -> bool:
    """Return True if a slice in the output agrees with the manifest.  Raises ValueError if its k-space has changed."""
    record = manifest.records.get(number)
    if record is None or "error" in record:
        return False
    if plan.volume.digest(number) != record["input"]:
        raise ValueError(f"{plan.volume.name}: the k-space of slice {number} has changed since it was reconstructed;"
                         " `restart=True` begins anew")
    return all(record.get(name) == found for name, found in output.digests(number).items())


def on_workers(job: Job, blocks: Iterator[Block], count: int, *, jobs: int | None,
               scheduler: str | None) -> Generator[list[SliceOutcome], None, None]:
    """Yield the outcomes of each of `count` blocks from processes of this machine or the workers of a scheduler."""
    if not count:
        return
    if scheduler is None:
        yield from workers.on_processes(job, blocks, workers.environments(job, jobs, count))
    else:
        from . import cluster
        yield from cluster.on_dask(job, blocks, scheduler, min(count, jobs or workers.processes_that_fit(job.shape)))
