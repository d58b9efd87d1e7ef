"""The two ends of `pogmdm` in a shell pipeline, where the file name `-` stands for a stream."""

import sys
from collections.abc import Sequence

from ..arrays.array_types import Array
from ..files import streams
from ..toolbox.find_bart import in_shell, version, version_number
from .interruption import Interruption
from .shell import forget_stdout, stdout_bytes


def receive(sources: Sequence[str], targets: Sequence[str], interruption: Interruption) -> streams.Stream | None:
    """Read the stream from the pipe; return None if no source is `-`.

    It must be called before anything else can fail, because it removes the file of samples that comes with the stream.
    Raises ValueError if several sources or several targets are `-`.
    """
    for direction, names in (("input", sources), ("output", targets)):
        if names.count(streams.STREAM) > 1:
            raise ValueError(f"'-': expected one {direction} in a stream, got {names.count(streams.STREAM)}")
    if streams.STREAM not in sources:
        return None
    with interruption.at_once():
        return streams.read_stream(sys.stdin.buffer)


def has_messages(targets: Sequence[str], received: streams.Stream | None) -> bool:
    """Return True if the output has the form of BART 1.0: that of the received stream, or of the shell's BART.

    It is called before the reconstruction.  Raises ValueError or OSError if an output is `-` and that BART says no
    version.
    """
    if received is not None:
        return received.messages
    known = version(in_shell()) if streams.STREAM in targets else None
    return known is None or version_number(known) >= (1, 0)


def send(array: Array, command: str, messages: bool, interruption: Interruption) -> None:
    """Write an array to the pipe, in messages as BART 1.0, or with the header alone as earlier versions.

    Raises ValueError if no process reads the pipe.
    """
    try:
        with interruption.at_once(), stdout_bytes() as pipe:
            streams.write_stream(pipe, array, command, messages)
    except BrokenPipeError:
        forget_stdout()
        raise ValueError("'-': the command that reads the output has ended; nothing was written") from None
    except OSError as error:
        raise ValueError(f"'-': cannot write to standard output ({error.strerror}); nothing was written") from None
