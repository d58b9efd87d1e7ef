"""Arrays in a pipe, as BART sends and reads them: the file name `-`, and with BART 1.0 names that end in `.fifo`.

BART 1.0 sends a header and messages (see `stream_messages`).  BART 0.8 and 0.9 send the text of a .hdr file that names
a file of samples.  In both forms the reader removes that file.
"""

import contextlib
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import pad_dims
from .cfl import SAMPLE_BYTES, column_major_bytes, read_samples
from .header import HEADER_LIMIT, dims_of, header_text
from .stream_messages import (
    STREAM_MAGIC,
    StreamSlice,
    header_of_messages,
    read_exactly,
    read_header,
    read_slices,
    slice_messages,
)

STREAM = "-"


@dataclass(frozen=True)
class Stream:
    """An array that came through a pipe; `messages` is True for the form of BART 1.0 and False for that of 0.8."""

    array: Array
    messages: bool


def read_stream(file: BinaryIO, name: str = STREAM) -> Stream:
    """Read the array in a stream of this name.  No file of samples stays behind, even after an error.

    Raises ValueError if the data are no stream of BART or end early, and OSError if the file of samples cannot be read.
    """
    try:
        return _read(file)
    except ValueError as error:
        raise ValueError(f"{label(name)}: {error}") from None
    except OSError as error:
        raise OSError(error.errno, f"{label(name)}: {error.strerror}") from None


def label(name: str) -> str:
    """Return the name of a stream for messages to the user."""
    return "'-'" if name == STREAM else name


def _read(file: BinaryIO) -> Stream:
    start = read_exactly(file, len(STREAM_MAGIC), "the header")
    if start != STREAM_MAGIC:
        return _read_file_form(start + file.read(HEADER_LIMIT))
    text = _text(read_header(file))
    path = _data_file(text)
    if path is None:
        return Stream(_read_binary(file, dims_of(text, "header")), True)
    with _samples_file(path) as samples:
        shape = dims_of(text, "header")
        for _ in read_slices(file, shape, binary=False):
            pass  # The samples are complete only once all slices have been announced.
        return Stream(read_samples(samples, shape, path), True)


def write_stream(file: BinaryIO, array: Array, command: str, messages: bool) -> None:
    """Send an array through a pipe, in the form of BART 1.0 if `messages` is set, and otherwise in that of 0.8.

    Raises BrokenPipeError if no process reads the pipe; then no file of samples stays behind.
    """
    shape = pad_dims(array.shape, "output")
    samples = column_major_bytes(array, shape)
    if not messages:
        _write_file_form(file, shape, samples, command)
        return
    before, after = slice_messages(len(samples))
    file.write(header_of_messages(header_text(shape, command)) + before)
    file.write(samples)
    file.write(after)
    file.flush()


def _read_file_form(head: bytes) -> Stream:
    """Read the form of BART 0.8 and 0.9, in which only the text of a .hdr file comes through the pipe."""
    text = _text(head)
    path = _data_file(text)
    if path is None:
        raise ValueError("expected a stream of BART, got other data" if "# Dimensions" not in text
                         else "expected '# Data' and a file name in the stream's header")
    with _samples_file(path) as samples:
        return Stream(read_samples(samples, dims_of(text, "header"), path), False)


def _write_file_form(file: BinaryIO, shape: Shape, samples: memoryview, command: str) -> None:
    folder = tempfile.gettempdir()
    if len(folder.split()) != 1:  # BART reads a name up to the first blank.
        folder = ""  # The working directory, where BART puts its own file and looks for this one.
    path = os.path.join(folder, f"bart-{os.urandom(3).hex()}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as data:
            data.write(samples)
        file.write(header_text(shape, command, data=path).encode(errors="surrogateescape"))
        file.flush()
    except BaseException:
        os.unlink(path)
        raise


def _text(head: bytes) -> str:
    if b"\0" in head:
        raise ValueError("expected a stream of BART, got other data")
    return head.decode(errors="surrogateescape")


def _data_file(text: str) -> str | None:
    """Return the path below '# Data', or None if there is none."""
    found = re.search(r"^# Data\n([^\n]+)$", text, re.MULTILINE)
    return found and found[1]


@contextlib.contextmanager
def _samples_file(path: str) -> Iterator[BinaryIO]:
    """Open a file of samples and remove it from its folder at once, so that it cannot stay behind.

    Raises ValueError, and removes nothing, if the name does not have the form that BART gives to such files.
    """
    if not re.fullmatch(r"bart-[A-Za-z0-9]{6}", os.path.basename(path)):
        raise ValueError(f"expected a file bart-XXXXXX of samples, got {path!r}")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # A named pipe would wait for a writer.
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ValueError(f"expected a file of samples, got {path}, which is none")
        os.unlink(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot take the samples from {path} ({error.strerror})") from None
    with open(descriptor, "rb") as file:
        yield file


def _read_binary(file: BinaryIO, shape: Shape) -> Array:
    """Read the slices whose samples come through the pipe, each after its messages.

    The array is made when all have come, because a header can state any size.
    """
    samples: list[tuple[StreamSlice, Array]] = []
    for part in read_slices(file, shape, binary=True):
        count = math.prod(n for axis, n in enumerate(shape) if axis not in part.axes)
        if part.size != SAMPLE_BYTES * count:
            raise ValueError(f"a slice of the stream has {part.size} bytes, which do not fit its dimensions")
        samples.append((part, np.frombuffer(read_exactly(file, part.size, "a slice"), "<c8")))
    array = np.empty(shape, np.complex64, order="F")
    while samples:  # The memory of each slice is given back at once.
        part, values = samples.pop()
        view = array[part.place(shape)]
        view[...] = values.reshape(view.shape, order="F")
    return array
