"""Seconds of a training step with tabulated experts and with the dense mixture, in one run with interleaved repeats.

usage: training.py [REPEATS]
"""

import sys
import time

import numpy as np
import torch

from bart_pogmdm.train.images import Series
from bart_pogmdm.train.loop import TrainingRun, loss_of
from bart_pogmdm.train.patches import draw_batch
from bart_pogmdm.train.recipe import Config


def seconds(twin, batch, dense):
    began = time.perf_counter()
    loss_of(twin, batch, dense=dense).backward()
    return time.perf_counter() - began


def main(repeats):
    torch.set_num_threads(1)  # As in `train_prior`, because the compiled step has its own threads.
    rng = np.random.default_rng(0)
    blocks = [np.kron(rng.random((16, 16)), np.ones((12, 12))).astype(np.float32) for _ in range(8)]
    config = Config(patch=96)
    batch = draw_batch([Series(tuple(blocks), "blocks", "CC0")], config, 0)
    run = TrainingRun(config, "cpu")
    times = {"table": [], "dense, one thread": [], "dense, all threads": []}
    seconds(run.twin, batch, False)
    for _ in range(repeats):
        for name, taken in times.items():
            torch.set_num_threads(torch.get_num_interop_threads() if "all" in name else 1)
            taken.append(seconds(run.twin, batch, name != "table"))
    medians = {name: np.median(taken) for name, taken in times.items()}
    print(f"gradient of the loss, batch {config.batch} of {config.patch} x {config.patch}, median of {repeats}")
    for name, median in medians.items():
        print(f"  {name:20} {1e3 * median:8.0f} ms   this / table {median / medians['table']:.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
