"""Slices on processes of this machine.

Each worker is a plain process with a pipe of its own, which has one block at a time: it is known which slices a process
that was killed had, nothing runs before its environment is set, and the caller's main module is not imported again.
"""

import contextlib
import os
import signal
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe, wait

from ..arrays.devices import choose
from ..arrays.threads import NUM_THREADS
from .slices import RefusalError, Slice, reconstruct

ATTEMPTS = 3  # a block whose worker was killed so often has failed, and so has a run whose workers do not start
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def environments(jobs, device):
    """What sets the workers apart, as many as there are jobs: on GPUs the device; everywhere their part of the cores.

    jobs None: one for each GPU or core.  Raises ValueError where there is no GPU.
    """
    gpus = _gpus(device) if device in ("gpu", "auto") else []
    jobs = jobs or len(gpus) or NUM_THREADS
    threads = dict.fromkeys(BLAS_THREADS, "1") | {"OMP_NUM_THREADS": str(max(1, NUM_THREADS // jobs))}
    return [threads | ({"CUDA_VISIBLE_DEVICES": gpus[i % len(gpus)]} if gpus else {}) for i in range(jobs)]


def _gpus(device):
    """What CUDA_VISIBLE_DEVICES can be, one for each GPU; none where "auto" finds none."""
    xp = choose(device, None)
    if not hasattr(xp, "cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(i) for i in range(xp.cuda.runtime.getDeviceCount())]


class Worker:
    """A process that does one block after the other; it ends with us."""

    def __init__(self, job, environment):
        self.connection, theirs = Pipe()
        self.environment, self.is_ready, self.block, self.attempt = environment, False, None, 0
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve({theirs.fileno()})"
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()],
                                             env=os.environ | environment, stdin=subprocess.DEVNULL,
                                             stdout=subprocess.DEVNULL)
        self._send(job)

    def _send(self, what):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then there is nothing to receive, either
            self.connection.send(what)

    def begin(self, block, attempt):
        """Have it reconstruct a block."""
        self.block, self.attempt = block, attempt
        self._send(block)

    def end(self):
        """Now, whatever it does."""
        self.connection.close()
        self._process.kill()
        self._process.wait()


def serve(descriptor):
    """The process: say that it is there, then give the Slices of each block, or the error that concerns them all."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # for the one who started us to decide
    connection = Connection(descriptor)

    def stop_if_alone(_):
        if connection.poll():  # nobody sends while we work: it is the end of the pipe
            sys.exit()

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        job = connection.recv()
        connection.send(None)
        while True:
            block = connection.recv()
            try:
                outcome = reconstruct(job, block, stop_if_alone)
            except RefusalError as error:
                outcome = error
            connection.send(outcome)


def run(job, blocks, environments):
    """Yield the Slices of each block, as they come, from one worker for each environment."""
    workers = [Worker(job, environment) for environment in environments]
    idle, lost, stillborn = list(workers), [], 0
    blocks = ((block, 1) for block in blocks)
    try:
        while True:
            while idle and (following := lost.pop() if lost else next(blocks, None)):
                idle.pop().begin(*following)
            if len(idle) == len(workers):
                return
            ready = wait([worker.connection for worker in workers if worker.block])
            for worker in [worker for worker in workers if worker.connection in ready]:
                block, attempt = worker.block, worker.attempt
                try:
                    outcome = worker.connection.recv()
                except (EOFError, OSError):  # it was killed
                    worker.end()
                    fresh = Worker(job, worker.environment)
                    workers[workers.index(worker)] = fresh
                    idle.append(fresh)
                    stillborn += not worker.is_ready
                    if stillborn == ATTEMPTS:
                        raise RefusalError(f"workers: {ATTEMPTS} processes ended before they were ready") from None
                    attempt += worker.is_ready
                    if attempt <= ATTEMPTS:
                        lost.append((block, attempt))
                    else:
                        yield [Slice(task.number, error=f"{ATTEMPTS} processes that reconstructed it were killed"
                                                        " (not enough memory?)") for task in block]
                    continue
                if isinstance(outcome, RefusalError):
                    raise outcome
                if not worker.is_ready:
                    worker.is_ready, stillborn = True, 0
                    continue
                worker.block = None
                idle.append(worker)
                yield outcome
    finally:
        for worker in workers:
            worker.end()
