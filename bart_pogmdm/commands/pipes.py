"""The pipes of `pogmdm`: standard input and output, which have the name `-`, and named pipes, as in BART 1.0."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from ..arrays.array_types import Array
from ..files.named_pipes import is_named_pipe, make_pipe, release_reader, remove_pipe
from ..files.streams import STREAM, Stream, label, read_stream, write_stream
from ..toolbox.find_bart import in_shell, version, version_number
from .interruption import SIGNALS, Interruption
from .shell import forget_stdout, stdout_bytes

FIRST_VERSION = 1, 0  # of BART that knows named pipes, and the messages in a stream
T = TypeVar("T")


def is_pipe_name(name: str) -> bool:
    """Return True if a file name stands for a pipe."""
    return name == STREAM or is_named_pipe(name)


@dataclass(frozen=True)
class Pipes:
    """The pipes among the names of inputs and outputs of one call.

    has_messages: True if standard output has the form of BART 1.0 where no stream comes in.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    interruption: Interruption
    has_messages: bool

    def receive(self) -> dict[str, Stream]:
        """Read all input pipes at the same time, because one process may write to several; return {name: stream}.

        It must be called before anything else can fail, because it removes the files of samples that come with streams.
        """
        with self.interruption.at_once():
            return _at_the_same_time({name: partial(_receive, name) for name in self.sources})

    def send(self, arrays: Mapping[str, Array], command: str, received: Mapping[str, Stream]) -> None:
        """Write all output pipes of {name: array} at the same time; each waits for its reader.

        Standard output has the form of the received stream, or else of the shell's BART.
        Raises ValueError if no process reads a pipe any more.
        """
        has_messages = received[STREAM].messages if STREAM in received else self.has_messages
        with self.interruption.at_once():
            _at_the_same_time({name: partial(_send, name, array, command, has_messages or name != STREAM)
                               for name, array in arrays.items()})


@contextmanager
def connected(sources: Sequence[str], targets: Sequence[str], interruption: Interruption) -> Iterator[Pipes]:
    """Make the named pipes that do not exist yet.  After an error these are removed, and no reader waits for ever.

    Raises ValueError if a pipe is named twice, if something else has its name, or if BART is too old for named pipes.
    """
    sources, targets = list(filter(is_pipe_name, sources)), list(filter(is_pipe_name, targets))
    for direction, names in (("input", sources), ("output", targets)):
        if names.count(STREAM) > 1:
            raise ValueError(f"'-': expected one {direction} in a stream, got {names.count(STREAM)}")
    named = [name for name in (*sources, *targets) if name != STREAM]
    places = [os.path.realpath(name) for name in named]
    for name, place in zip(named, places):
        if places.count(place) > 1:
            raise ValueError(f"{name}: expected a named pipe once in a call, got it {places.count(place)} times")
    old = _old_version() if named or (STREAM in targets and STREAM not in sources) else None
    if named and old:
        raise ValueError(f"{named[0]}: named pipes need BART 1.0, and this machine has {old}")
    pipes = Pipes(sources, targets, interruption, has_messages=old is None)
    made: list[str] = []
    try:
        for name in named:
            if make_pipe(name):
                made.append(name)
        yield pipes
    except BaseException:
        for name in pipes.targets:
            if name != STREAM:
                release_reader(name)
        for name in made:
            remove_pipe(name)
        raise


def _old_version() -> str | None:
    """Return the version of the shell's BART if it is one before 1.0.  ValueError or OSError if it says none."""
    found = version(in_shell())
    return None if found is None or version_number(found) >= FIRST_VERSION else found


def _receive(name: str) -> Stream:
    """Read one pipe.  When `open` returns, the writer has opened it, too, so that its name is not needed any more."""
    with open(0, "rb", closefd=False) if name == STREAM else open(name, "rb") as pipe:
        if name != STREAM:
            remove_pipe(name)
        return read_stream(pipe, name)


def _send(name: str, array: Array, command: str, has_messages: bool) -> None:
    try:
        with stdout_bytes() if name == STREAM else open(name, "wb") as pipe:
            write_stream(pipe, array, command, has_messages)
    except OSError as error:
        if name == STREAM:
            forget_stdout()
        reason = ("the command that reads the output has ended" if isinstance(error, BrokenPipeError)
                  else f"cannot write to {'standard output' if name == STREAM else 'the pipe'} ({error.strerror})")
        raise ValueError(f"{label(name)}: {reason}; nothing was written") from None


def _at_the_same_time(tasks: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """Return {name: result} of all tasks; raise the first error at once, whatever the others wait for.

    A thread may wait in a pipe for ever, so no one waits for the threads at the end of the process.
    """
    outcomes: SimpleQueue[tuple[str, Any, BaseException | None]] = SimpleQueue()

    def run(name: str, task: Callable[[], T]) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # They wake the main thread.
        try:
            outcomes.put((name, task(), None))
        except BaseException as error:
            outcomes.put((name, None, error))

    for name, task in tasks.items():
        threading.Thread(target=run, args=(name, task), daemon=True).start()
    results: dict[str, T] = {}
    for _ in tasks:
        name, result, error = outcomes.get()
        if error is not None:
            raise error
        results[name] = result
    return results
