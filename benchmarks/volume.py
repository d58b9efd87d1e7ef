"""Slices per minute for several splits of a machine into processes and threads, and the memory of a worker over time.

usage: volume.py [SLICES] [REPEATS]    Nothing else may run on the machine.  It prints medians; repeats are interleaved.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from speed import COILS, SHAPE, kspace, masks

from bart_pogmdm.arrays.threads import NUM_THREADS
from bart_pogmdm.volume import workers
from bart_pogmdm.volume.plan import make_plan
from bart_pogmdm.volume.run import carry_out


def make_volume(path, count):
    """Write slices like those of `speed.py`, with sampled lines, as an HDF5 file like fastMRI's."""
    rng = np.random.default_rng(0)
    mask = masks(rng)["lines, 30 in the centre"][0]
    with h5py.File(path, "w") as file:
        file["mask"] = mask
        volume = file.create_dataset("kspace", (count, COILS, *SHAPE), np.complex64)
        for number in range(count):
            volume[number] = (kspace(rng)[0] * mask).astype(np.complex64)


def peaks():
    """Return the peak memory of each of our workers so far, in MiB."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        for child in (Path("/proc", number) for number in task.read_text().split()):
            if "volume.workers" in (child / "cmdline").read_text():
                found.append(int((child / "status").read_text().split("VmHWM:")[1].split()[0]) // 1024)
    return found


def run(source, out, jobs, threads):
    """Return slices per minute with start-up, and the peak memory of a worker after two slices each and after all."""
    moments, memory = [], []

    def look(done, count):
        moments.append(time.perf_counter())
        memory.append(max(peaks(), default=0))

    def on_processes(job, blocks, count):
        environment = workers.environments(job, 1, count)[0] | {"OMP_NUM_THREADS": str(threads)}
        return workers.on_processes(job, blocks, [environment] * jobs)

    carry_out(make_plan(source), out, on_processes, restart=True, callback=look)
    return 60 * (len(moments) - 1) / (moments[-1] - moments[0]), memory[min(2 * jobs, len(memory) - 1)], memory[-1]


def main(count=12, repeats=3):
    counts = [2**i for i in range(8) if 2**i <= NUM_THREADS]
    splits = sorted({(jobs, threads) for jobs in counts for threads in counts if jobs * threads <= NUM_THREADS}
                    | {(2 * NUM_THREADS, 1)})
    print(f"{NUM_THREADS} cores; {count} slices of {COILS} x {SHAPE[0]} x {SHAPE[1]}, median of {repeats}")
    found, contents = {split: [] for split in splits}, set()
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "volume.h5"), Path(folder, "out.h5")
        make_volume(source, count)
        for _ in range(repeats):
            for split in splits:
                found[split].append(run(source, out, *split))
                contents.add(out.read_bytes())
    assert len(contents) == 1, "the bytes differ"
    alone = median(rate for rate, _, _ in found[1, 1])
    print("jobs x threads  slices/min  times 1 x 1  MiB of a worker after two slices, after all")
    for (jobs, threads), runs in found.items():
        rate, early, late = map(median, zip(*runs))
        print(f"{jobs:4} x {threads:<7} {rate:11.2f} {rate / alone:12.2f} {early:12.0f} {late:6.0f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
