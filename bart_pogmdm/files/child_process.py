"""Reading by a library in a child process: on a damaged file it can loop for ever, crash, or take all memory.

The kernel limits the child's time on the processor and its memory.  This process waits for the result, and can be
interrupted at any moment, which it could not be inside a library.
"""

import contextlib
import faulthandler
import gc
import os
import pickle
import resource
import select
import signal
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar

from ..arrays.memory import size_text
from .reading import most_bytes, reading

# Seconds on the processor for a file: a few, and more for each byte.  Waiting for a slow disk does not count.
LEAST_SECONDS = 5
BYTES_PER_SECOND = 2 << 20
OUT_OF_MEMORY = 3  # The exit code of a child that met its limit of memory: it may have sent a part of its result.
ENDS = {-signal.SIGXCPU: "damaged: reading it came to no end",
        -signal.SIGKILL: "the process that read it was killed; not enough memory?"}
Outcome = TypeVar("Outcome")


def read_in_child(path: Path, read: Callable[[], Outcome]) -> Outcome:
    """Return `read()`, called in a child process; its result is pickled.

    This guards against hangs, crashes and memory that runs out; it is no sandbox.
    Raises FileNotFoundError, or ValueError with the name of the file if it is damaged, or if `read` fails.
    """
    with reading(path):
        seconds, memory = LEAST_SECONDS + path.stat().st_size // BYTES_PER_SECOND, most_bytes(path)
        succeeded, outcome = _in_child(read, seconds, memory)
        if not succeeded:
            raise ValueError(outcome)
        result: Outcome = outcome
    return result


def fork() -> int:
    """Fork this process; 0 in the copy.  Its libraries are prepared for that, but Python warns of their threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _in_child(call: Callable[[], Any], seconds: int, memory: int) -> tuple[bool, Any]:
    """Return (True, result) of a call in a child process; if it failed or met its limits, (False, reason)."""
    (receiving, sending), (waiting, starting) = os.pipe(), os.pipe()
    with (open(receiving, "rb") as results, open(sending, "wb") as pipe, open(waiting, "rb") as gate,
          open(starting, "wb", buffering=0) as key, _signals_wait() as handle_signals):
        child = fork()
        if child == 0:
            results.close()  # Without a reader the child ends, also where this process was killed.
            key.close()
            _serve(call, pipe, gate, handle_signals, seconds, memory)
        pipe.close()
        gate.close()
        status, outcome = 0, None
        try:
            key.write(b"1")  # A signal that another thread took may end this process before; the child then ends, too.
            handle_signals()
            _wait_for(results)
            outcome = pickle.load(results)
        except (EOFError, pickle.UnpicklingError):
            pass  # The child ended before it had sent everything.
        finally:
            os.kill(child, signal.SIGKILL)  # It has ended, or this process was interrupted.
            with contextlib.suppress(ChildProcessError):
                status = os.waitpid(child, 0)[1]
    if outcome is None:
        ends = ENDS | {OUT_OF_MEMORY: f"it needs more than {size_text(memory)} of memory"}
        return False, ends.get(os.waitstatus_to_exitcode(status), "damaged: reading it crashed")
    return bool(outcome[0]), outcome[1]


def _wait_for(pipe: BinaryIO) -> None:
    """Wait until a pipe can be read, and handle signals on the way.

    A signal just before a call that blocks does not end it, so that no call here lasts longer than a tenth of a second.
    """
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while not poll.poll(100):
        pass


@contextlib.contextmanager
def _signals_wait() -> Iterator[Callable[[], Any]]:
    """Let signals to this thread wait until the end of the block, or until the yielded function is called."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # Can raise what came before it.
        yield partial(signal.pthread_sigmask, signal.SIG_SETMASK, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(call: Callable[[], Any], pipe: BinaryIO, gate: BinaryIO, handle_signals: Callable[[], Any], seconds: int,
           memory: int) -> NoReturn:
    """Send the outcome of a call within limits, and end this process, which is a copy of the other one.

    The call begins with a byte from the gate, which says that the other process knows of this one.
    """
    try:
        if not gate.read(1):
            os._exit(0)
        gc.disable()  # Nothing of the other process may be finalized here.
        faulthandler.disable()  # A crash is an error of the other process, in one sentence.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
            if signal.getsignal(signum) is not signal.SIG_IGN:  # Workers of a volume ignore what ends their parent.
                signal.signal(signum, signal.SIG_DFL)
        handle_signals()
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, seconds)
        with contextlib.suppress(FileNotFoundError), open("/proc/self/statm", encoding="ascii") as statm:
            _limit(resource.RLIMIT_AS, int(statm.read().split()[0]) * resource.getpagesize() + memory)
        try:
            pickle.dump((True, call()), pipe, protocol=pickle.HIGHEST_PROTOCOL)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:
            pickle.dump((False, str(error) or type(error).__name__), pipe)
        pipe.flush()
    finally:
        os._exit(0)


def _limit(kind: int, value: int) -> None:
    """Lower the soft limit of this process."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
