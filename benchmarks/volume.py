"""Slices per minute for several splits of a machine into processes and threads, and the memory of a worker over time.

Nothing else may run on the machine.  The volume has 12 slices of 16 coils, 640 x 372.
"""

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from records import Cases, Places, Row, alone
from speed import kspace, lines

from bart_pogmdm.arrays.threads import NUM_THREADS
from bart_pogmdm.volume import workers
from bart_pogmdm.volume.plan import make_plan
from bart_pogmdm.volume.run import carry_out

SLICES, COILS, SHAPE, REPEATS = 12, 16, (640, 372), 3


def make_volume(path, count):
    """Write slices like those of `speed.py`, with sampled lines, as an HDF5 file like fastMRI's."""
    rng = np.random.default_rng(0)
    mask = lines(SHAPE, rng)[0]
    with h5py.File(path, "w") as file:
        file["mask"] = mask
        volume = file.create_dataset("kspace", (count, COILS, *SHAPE), np.complex64)
        for number in range(count):
            volume[number] = (kspace(SHAPE, COILS, rng) * mask).astype(np.complex64)


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


def measured(jobs, threads) -> Row:
    """Return the medians of slices per minute, and of the memory of a worker after two slices and after all."""
    with tempfile.TemporaryDirectory() as folder:
        make_volume(Path(folder, "volume.h5"), SLICES)
        runs = [run(Path(folder, "volume.h5"), Path(folder, "out.h5"), jobs, threads) for _ in range(REPEATS)]
    rate, early, late = map(median, zip(*runs))
    least, most = (end(one[0] for one in runs) for end in (min, max))
    return {"jobs": jobs, "threads": threads, "rate": round(rate, 2), "least": round(least, 2), "most": round(most, 2),
            "early": round(early), "late": round(late)}


def processes(places: Places) -> Cases:
    """Return the splits of this machine."""
    counts = [2**i for i in range(8) if 2**i <= NUM_THREADS]
    splits = sorted({(jobs, threads) for jobs in counts for threads in counts if jobs * threads <= NUM_THREADS}
                    | {(2 * NUM_THREADS, 1)})
    return {f"{jobs} x {threads}": partial(measured, jobs, threads) for jobs, threads in splits}


if __name__ == "__main__":
    alone(processes)
