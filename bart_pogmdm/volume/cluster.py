"""Slices on the workers of a Dask scheduler, which assigns the work and copes with lost workers."""

import contextlib
import uuid
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError
from typing import Any

from ..arrays.threads import NUM_THREADS
from .slices import Block, Job, RefusalError, SliceOutcome, reconstruct_block

# Number of blocks that are submitted for each thread of the workers.  With two a thread never waits for the next block,
# and no more blocks than necessary are in memory.
AHEAD = 2
# Number of retries of a block whose worker failed: another worker may succeed.
RETRIES = 2
try:
    import dask
    from distributed import Client, KilledWorker, LocalCluster, as_completed
    from distributed.comm import CommClosedError
except ImportError:
    raise ImportError("scheduler: needs Dask (pip install 'bart_pogmdm[cluster]')") from None


def on_dask(job: Job, blocks: Iterator[Block], address: str,
            jobs: int) -> Generator[list[SliceOutcome], None, None]:
    """Yield the outcomes of each block as soon as it is finished.

    address: address of the scheduler, or "local" for `jobs` workers on this machine.
    Raises ConnectionError if there is no scheduler or the connection is lost.
    """
    # Dask warns of large arguments, but here k-space is sent on purpose.
    settings = {"distributed.admin.large-graph-warning-threshold": "1GB"}
    with dask.config.set(settings), _client(address, jobs) as client:
        try:
            yield from _outcomes(client, job, blocks)
        except (CancelledError, CommClosedError, TimeoutError):
            raise ConnectionError(f"scheduler: the connection to {address} was lost") from None


def _outcomes(client: Any, job: Job, blocks: Iterator[Block]) -> Generator[list[SliceOutcome], None, None]:
    name, completed = uuid.uuid4().hex, as_completed()
    under_way: dict[Any, list[int]] = {}

    def submit() -> None:
        try:
            limit = AHEAD * max(1, sum(client.nthreads().values()))
        except OSError as error:  # The client was connecting anew when it was asked.
            raise CommClosedError(str(error)) from None
        while len(under_way) < limit and (block := next(blocks, None)):
            future = client.submit(reconstruct_block, job, block, key=f"{name}-{block[0].number}", retries=RETRIES)
            under_way[future] = [task.number for task in block]
            completed.add(future)

    submit()
    for future in completed:
        numbers = under_way.pop(future)
        try:
            outcomes = future.result()
        except KilledWorker as error:
            outcomes = [SliceOutcome(number, error=f"the workers that reconstructed it were killed ({error})")
                        for number in numbers]
        except (ImportError, RuntimeError, AttributeError) as error:  # The other side cannot read the task.
            raise RefusalError("scheduler: expected this version of bart_pogmdm there and on the workers,"
                               f" got {' '.join(str(error).split())}") from None
        del future  # The worker need not keep the result any longer.
        yield outcomes
        submit()


@contextlib.contextmanager
def _client(address: str, jobs: int) -> Iterator[Any]:
    if address == "local":
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
