"""The protocol of BART 1.0 for arrays in a pipe: a header that states its own length, then messages of 24 bytes.

The first group of messages states which dimensions are streamed over (`flags`) and whether the samples come through
the pipe (`binary`) or lie in a file that both ends map.  One group for each slice follows: its number (`index`) and,
in a binary stream, the size of the samples (`raw`), which come next.  The message `---` ends each group.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from ..arrays.array_types import Shape

STREAM_MAGIC = b"# Header\n"     # The first line; the length of the header follows, in three digits and a newline.
LENGTH_BYTES = 4
HEADER_SIZES = range(256, 1000)  # Bytes; BART pads a shorter header with dots.
MESSAGE_BYTES = 24
LARGEST_INDEX = 1 << 60          # Of a sample that an address can reach.
CHUNK_BYTES = 1 << 20            # The pipe is read in pieces of this size, so that a wrong length allocates little.


@dataclass(frozen=True)
class StreamSlice:
    """An announced slice: its index among all slices, the axes that are streamed over, and its size in bytes."""

    index: int
    axes: list[int]
    size: int

    def place(self, shape: Shape) -> tuple[slice, ...]:
        """Return the indices of the slice in the array."""
        where = [slice(None)] * len(shape)
        if self.axes:
            positions = np.unravel_index(self.index, [shape[axis] for axis in self.axes], order="F")
            for axis, position in zip(self.axes, positions):
                where[axis] = slice(position, position + 1)
        return tuple(where)


def read_header(file: BinaryIO) -> bytes:
    """Read the header after STREAM_MAGIC, and return its text with the padding."""
    length = read_exactly(file, LENGTH_BYTES, "the header")
    if not re.fullmatch(rb"\d{3}\n", length) or int(length) not in HEADER_SIZES:
        raise ValueError(f"expected a header of 256 to 999 bytes, got {length!r}")
    return read_exactly(file, int(length) - len(STREAM_MAGIC) - LENGTH_BYTES, "the header")


def header_of_messages(text: str) -> bytes:
    """Return the header with a text.  The command in it is left out if the header would become too long."""
    head = text.encode(errors="surrogateescape")
    frame = len(STREAM_MAGIC) + LENGTH_BYTES
    if frame + len(head) + 2 not in range(HEADER_SIZES.stop):
        head = re.sub(rb"# Command\n[^\n]*\n", b"", head)
    length = max(frame + len(head), HEADER_SIZES.start)
    padding = length - frame - len(head)
    return STREAM_MAGIC + b"%03d\n" % length + head + (b"." * (padding - 1) + b"\n" if padding else b"")


def slice_messages(size: int) -> tuple[bytes, bytes]:
    """Return the messages before and after the samples of an array that is sent as one slice of `size` bytes."""
    before = [_message(b"flags", 0), _message(b"binary"), _message(b"---"), _message(b"index", 0),
              _message(b"raw", size)]
    return b"".join(before), _message(b"---")


def read_slices(file: BinaryIO, shape: Shape, binary: bool) -> Iterator[StreamSlice]:
    """Read the messages of all slices, and yield each slice of a binary stream, whose samples the caller reads next.

    Raises ValueError unless each slice comes once and with its samples.
    """
    axes = _streamed_axes(file, shape, binary)
    count, seen = math.prod(shape[axis] for axis in axes), set[int]()
    if math.prod(shape) > LARGEST_INDEX:
        raise ValueError(f"the stream's header states {math.prod(shape):g} samples")
    while len(seen) < count:
        index, samples_came = None, not binary
        for keyword, number in _group(file):
            if keyword == b"index":
                if not 0 <= number < count or number in seen:
                    raise ValueError(f"expected each of {count} slices once, got {number}")
                index = number
                seen.add(index)
            elif index is None or keyword not in (b"raw", b"block"):
                raise ValueError(f"unexpected message {keyword.decode(errors='replace')!r} in the stream")
            elif keyword == b"raw" and binary:
                if samples_came:
                    raise ValueError(f"expected the samples of slice {index} once, got more")
                samples_came = True
                yield StreamSlice(index, axes, number)
            else:
                _skip(file, number)
        if index is None or not samples_came:
            raise ValueError("expected a slice and its samples in the stream, got neither" if index is None
                             else f"expected samples of slice {index} in the stream, got none")


def read_exactly(file: BinaryIO, count: int, part: str) -> bytes:
    """Read `count` bytes.  Raises ValueError, which names the part of the stream, if the pipe ends before."""
    chunks, left = [], count
    while left > 0:
        chunk = file.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise ValueError(f"the stream ended within {part} (did the command before it fail?)")
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _streamed_axes(file: BinaryIO, shape: Shape, binary: bool) -> list[int]:
    """Read the first group of messages and return the axes that are streamed over."""
    flags, said_binary = 0, False
    for keyword, number in _group(file):
        flags = number if keyword == b"flags" else flags
        said_binary |= keyword == b"binary"
    if said_binary != binary:
        raise ValueError("the stream's header and its settings do not agree")
    if flags >> len(shape):
        raise ValueError(f"expected streamed dimensions among {len(shape)}, got the flags {flags}")
    return [axis for axis in range(len(shape)) if flags >> axis & 1]


def _group(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield (keyword, number) of the messages up to the next `---`; the number is 0 if the message has none."""
    while True:
        message = read_exactly(file, MESSAGE_BYTES, "its messages")
        found = re.fullmatch(rb"\n# ([a-z]+|---)\n(-?\d+)?[\0 \n].*", message, re.DOTALL)
        if not found:
            raise ValueError(f"expected a message of a BART stream, got {message!r}")
        if found[1] == b"---":
            return
        yield found[1], int(found[2] or 0)


def _message(keyword: bytes, number: int | None = None) -> bytes:
    """Return a message; as in BART, it ends with a newline if samples follow."""
    text = b"\n# " + keyword + b"\n" + (b"" if number is None else b"%d" % number) + b"\0"
    return text.ljust(MESSAGE_BYTES)[:MESSAGE_BYTES - 1] + (b"\n" if keyword == b"raw" else b" ")


def _skip(file: BinaryIO, count: int) -> None:
    """Read `count` bytes and discard them."""
    while count > 0:
        count -= len(read_exactly(file, min(count, CHUNK_BYTES), "a block"))
