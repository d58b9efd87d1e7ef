"""Slices on the workers of a Dask scheduler.  Lost workers, and which worker gets what, are Dask's affair."""

import contextlib
import uuid
from concurrent.futures import CancelledError

from ..arrays.threads import NUM_THREADS
from .slices import RefusalError, Slice, reconstruct

AHEAD = 2    # blocks under way for each thread of a worker: one that is done never waits for the next, no more pile up
RETRIES = 2  # of a block that failed for another reason than its slices: on another worker it may not
try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, as_completed
    from distributed.comm import CommClosedError
except ImportError:
    raise ImportError("scheduler: needs Dask (pip install 'bart_pogmdm[cluster]')") from None


def run(job, blocks, address, jobs):
    """Yield the Slices of each block, as they come.  address: of the scheduler, or "local" for `jobs` workers.

    Raises ConnectionError where there is no scheduler, or no longer.
    """
    settings = {"distributed.admin.large-graph-warning-threshold": "1GB"}  # k-space that is sent is meant to be
    with dask.config.set(settings), _client(address, jobs) as client:
        try:
            yield from _run(client, job, iter(blocks))
        except (CancelledError, CommClosedError, TimeoutError):
            raise ConnectionError(f"scheduler: the connection to {address} was lost") from None


def _run(client, job, blocks):
    name, under_way, completed = uuid.uuid4().hex, {}, as_completed()

    def submit():
        limit = AHEAD * max(1, sum(client.nthreads().values()))
        while len(under_way) < limit and (block := next(blocks, None)):
            future = client.submit(reconstruct, job, block, key=f"{name}-{block[0].number}", retries=RETRIES)
            under_way[future] = [task.number for task in block]
            completed.add(future)

    submit()
    for future in completed:
        numbers = under_way.pop(future)
        try:
            outcome = future.result()
        except KilledWorker as error:
            outcome = [Slice(number, error=f"the workers that reconstructed it were killed ({error})")
                       for number in numbers]
        except (ImportError, RuntimeError, AttributeError) as error:  # it could not even be sent
            raise RefusalError("scheduler: expected this version of bart_pogmdm there and on the workers,"
                               f" got {' '.join(str(error).split())}") from None
        del future  # the worker need not keep the result
        yield outcome
        submit()


@contextlib.contextmanager
def _client(address, jobs):
    if address == "local":
        jobs = jobs or NUM_THREADS
        threads = {"distributed.nanny.pre-spawn-environ.OMP_NUM_THREADS": max(1, NUM_THREADS // jobs)}
        try:
            with dask.config.set(threads):
                cluster = LocalCluster(jobs, threads_per_worker=1, dashboard_address="127.0.0.1:0")
        except RuntimeError as error:
            raise ConnectionError(f"scheduler: the local cluster did not start ({error})") from None
        with cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise ConnectionError(f"scheduler: cannot connect to {address} ({error})") from None
    with client:
        yield client
