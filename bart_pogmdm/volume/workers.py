"""Slices on processes of this machine.

Each worker is a plain process with its own pipe, and has one block at a time.  Thus the slices of a killed process are
known, nothing runs before its environment is set, and the main module of the caller is not imported again.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

import numpy as np

from ..algorithms.chains import solver_memory
from ..arrays.array_types import Shape
from ..arrays.bart_dims import COIL
from ..arrays.devices import available_memory, num_gpus
from ..arrays.threads import NUM_THREADS
from ..reconstruction import layout
from .slices import Block, Job, RefusalError, SliceOutcome, reconstruct_block

# A block fails if its workers were killed this many times; a run fails if this many workers in a row did not start.
ATTEMPTS = 3
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def environments(job: Job, jobs: int | None, count: int) -> list[dict[str, str]]:
    """Return the environment variables of each worker for `count` blocks: its share of the cores and its GPU.

    jobs: number of workers; None: one for each GPU, or for each core as far as the memory has room.  There are no more
    than blocks.  Raises ValueError if there is no GPU.
    """
    gpus = _gpus(job.device) if job.device in ("gpu", "auto") else []
    jobs = min(count, jobs or len(gpus) or processes_that_fit(job.shape))
    threads = dict.fromkeys(BLAS_THREADS, "1") | {"OMP_NUM_THREADS": str(max(1, NUM_THREADS // jobs))}
    return [threads | ({"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {}) for i in range(jobs)]


def processes_that_fit(shape: Shape) -> int:
    """Return for how many processes the machine has cores and memory, at least one, each with a slice of k-space."""
    needed = solver_memory((shape[COIL], *layout.grid_of(shape)), np.complex64, chains=1)
    return int(max(1, min(NUM_THREADS, available_memory() / needed)))


def _gpus(device: str | None) -> list[str]:
    """Return the value of CUDA_VISIBLE_DEVICES for each GPU; the list is empty if "auto" finds no GPU."""
    count, visible = num_gpus(device), os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:count] if visible else [str(i) for i in range(count)]


class Worker:
    """A process that reconstructs one block after the other; it ends when this process ends."""

    def __init__(self, job: Job, environment: dict[str, str], executable: str) -> None:
        self.connection, theirs = Pipe()
        self.environment, self.is_ready = environment, False
        self.block: Block = ()
        self.attempt = 0
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({theirs.fileno()})"
        with theirs:
            self._process = subprocess.Popen([executable, "-c", code], pass_fds=[theirs.fileno()],
                                             env=os.environ | environment, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL)
        self._send(job)

    def _send(self, message: Any) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # Receiving will show that it has ended.
            self.connection.send(message)

    def begin(self, block: Block, attempt: int) -> None:
        """Send the worker a block to reconstruct."""
        self.block, self.attempt = block, attempt
        self._send(block)

    def end(self) -> None:
        """Kill the worker."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor: int) -> None:
    """Serve as a worker process: report the start, then send the outcomes of each block or a RefusalError."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # The parent process handles the signals.
    connection = Connection(descriptor)

    def stop_if_alone(_: object) -> None:
        if connection.poll():  # The parent sends nothing during the work, so this is the end of the pipe.
            sys.exit()

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        job = connection.recv()
        connection.send(None)
        while True:
            block = connection.recv()
            outcomes: list[SliceOutcome] | RefusalError
            try:
                outcomes = reconstruct_block(job, block, stop_if_alone)
            except RefusalError as error:
                outcomes = error
            connection.send(outcomes)


class _Crew:
    """The workers of a run, and the blocks of killed workers."""

    def __init__(self, job: Job, environments: Sequence[dict[str, str]], executable: str) -> None:
        self._job, self._executable = job, executable
        self._workers = [Worker(job, environment, executable) for environment in environments]
        self._idle = list(self._workers)
        self._lost: list[tuple[Block, int]] = []
        self._stillborn = 0

    def hand_out(self, blocks: Iterator[Block]) -> None:
        """Give each idle worker a block: one that was lost, or the next one."""
        while self._idle:
            if self._lost:
                self._idle.pop().begin(*self._lost.pop())
            elif block := next(blocks, None):
                self._idle.pop().begin(block, 1)
            else:
                return

    @property
    def is_idle(self) -> bool:
        """True if no worker has a block."""
        return len(self._idle) == len(self._workers)

    def ready(self) -> list[Worker]:
        """Wait until workers have sent something, and return these workers."""
        connections = wait([worker.connection for worker in self._workers if worker.block])
        return [worker for worker in self._workers if worker.connection in connections]

    def receive(self, worker: Worker) -> list[SliceOutcome]:
        """Return the outcomes of the block of a worker.

        The list is empty if the worker has only reported its start, or was killed and its block gets another attempt.
        Raises RefusalError if the whole run must end.
        """
        try:
            outcomes = worker.connection.recv()
        except (EOFError, OSError):
            return self._replace(worker)
        if isinstance(outcomes, RefusalError):
            raise outcomes
        if not worker.is_ready:
            worker.is_ready, self._stillborn = True, 0
            return []
        worker.block = ()
        self._idle.append(worker)
        return outcomes

    def _replace(self, killed: Worker) -> list[SliceOutcome]:
        """Replace a killed worker; return the outcomes of its block if the block has failed for good, else none."""
        killed.end()
        fresh = Worker(self._job, killed.environment, self._executable)
        self._workers[self._workers.index(killed)] = fresh
        self._idle.append(fresh)
        self._stillborn += not killed.is_ready
        if self._stillborn == ATTEMPTS:
            raise RefusalError(f"workers: {ATTEMPTS} processes ended before they were ready")
        attempt = killed.attempt + killed.is_ready
        if attempt <= ATTEMPTS:
            self._lost.append((killed.block, attempt))
            return []
        return [SliceOutcome(task.number, error=f"{ATTEMPTS} processes that reconstructed it were killed"
                                                " (not enough memory?)") for task in killed.block]

    def end(self) -> None:
        """Kill all workers."""
        for worker in self._workers:
            worker.end()


def on_processes(job: Job, blocks: Iterator[Block], environments: Sequence[dict[str, str]],
                 executable: str = sys.executable) -> Generator[list[SliceOutcome], None, None]:
    """Yield the outcomes of each block as soon as it is finished, from one worker for each environment.

    executable: the Python interpreter of the workers.  Raises RefusalError if the whole run must end.
    """
    crew = _Crew(job, environments, executable)
    try:
        while True:
            crew.hand_out(blocks)
            if crew.is_idle:
                return
            for worker in crew.ready():
                if outcomes := crew.receive(worker):
                    yield outcomes
    finally:
        crew.end()
