"""BART's streams: an array through a pipe, under the file name `-`.

BART 1.0 sends a header of fixed length and then messages, with the samples in between (binary) or in a file that both
ends map; 0.8 and 0.9 send the text of a .hdr file that names a file of samples.  In both, who reads removes that file.
"""

import contextlib
import os
import re
import tempfile
from dataclasses import dataclass

import numpy as np

from ..arrays.bart_dims import pad_dims
from .cfl import HEADER_LIMIT, dims_of, header_text, samples_of

STREAM = "-"
LABEL = repr(STREAM)  # in messages
MAGIC = b"# Header\n"
HEADER_SIZES = range(256, 1000)  # its length is told in three digits
MESSAGE_BYTES = 24
TOKEN = b"\n# "
CHUNK = 1 << 20


@dataclass(frozen=True)
class Stream:
    """An array that came through a pipe; `messages`: in the form of BART 1.0, and not of 0.8."""

    array: np.ndarray
    messages: bool


def read(file):
    """The Stream in a binary file.  ValueError where it is none, or breaks off; no file of samples stays behind."""
    start = _exactly(file, len(MAGIC), "the header")
    if start != MAGIC:
        return _read_file_form(start + file.read(HEADER_LIMIT))
    length = _exactly(file, 4, "the header")
    if not re.fullmatch(rb"\d{3}\n", length) or int(length) not in HEADER_SIZES:
        raise ValueError(f"'-': expected a header of 256 to 999 bytes, got {length!r}")
    text = _text(_exactly(file, int(length) - len(MAGIC) - len(length), "the header"))
    if (path := _data_file(text)) is None:
        return Stream(_read_binary(file, dims_of(text, LABEL)), True)
    with _samples_file(path) as samples:
        shape = dims_of(text, LABEL)
        for _ in _slices(file, shape, binary=False):
            pass  # what counts is that all have been announced
        return Stream(samples_of(samples, shape, LABEL), True)


def _read_file_form(head):
    """0.8 and 0.9: the whole pipe is a .hdr file."""
    text = _text(head)
    if (path := _data_file(text)) is None:
        raise ValueError("'-': expected a stream of BART, got other data" if "# Dimensions" not in text
                         else "'-': expected '# Data' and a file name in the stream's header")
    with _samples_file(path) as samples:
        return Stream(samples_of(samples, dims_of(text, LABEL), LABEL), False)


def _text(head):
    if b"\0" in head:
        raise ValueError("'-': expected a stream of BART, got other data")
    return head.decode(errors="surrogateescape")


def _data_file(text):
    """The path under '# Data', or None."""
    found = re.search(r"^# Data\n([^\n]+)$", text, re.MULTILINE)
    return found and found[1]


@contextlib.contextmanager
def _samples_file(path):
    """A file of samples, gone from its folder as soon as it is open: nothing stays behind, whatever happens."""
    if not re.fullmatch(r"bart-[A-Za-z0-9]{6}", os.path.basename(path)):
        raise ValueError(f"'-': expected a file bart-XXXXXX of samples, got {path!r}")  # it is going to be removed
    try:
        descriptor = os.open(path, os.O_RDONLY)
        os.unlink(path)
    except OSError as error:
        raise OSError(error.errno, f"'-': cannot take the samples from {path} ({error.strerror})") from None
    with open(descriptor, "rb") as file:
        yield file


def _read_binary(file, shape):
    """All slices, whose samples follow their announcement."""
    array = None
    for index, dims, size in _slices(file, shape, binary=True):
        if size != 8 * int(np.prod([n for axis, n in enumerate(shape) if axis not in dims], dtype=object)):
            raise ValueError(f"'-': a slice of the stream has {size} bytes, which do not fit its dimensions")
        samples = np.frombuffer(_exactly(file, size, "a slice"), "<c8")
        if array is None:  # only now: dimensions alone are no reason to allocate
            array = np.empty(shape, np.complex64, order="F")
        place = np.unravel_index(index, [shape[axis] for axis in dims], order="F") if dims else ()
        where = [slice(None)] * len(shape)
        for axis, position in zip(dims, place):
            where[axis] = slice(position, position + 1)
        part = array[tuple(where)]
        part[...] = samples.reshape(part.shape, order="F")
    return array


def _slices(file, shape, binary):
    """(index, axes that are streamed over, bytes of samples that follow) of every slice, each once."""
    flags, said_binary = 0, False
    for keyword, number in _group(file):
        flags = number if keyword == b"flags" else flags
        said_binary |= keyword == b"binary"
    if said_binary != binary:
        raise ValueError("'-': the stream's header and its settings do not agree")
    dims = [axis for axis in range(len(shape)) if flags >> axis & 1]
    if flags >> len(shape):
        raise ValueError(f"'-': expected streamed dimensions among {len(shape)}, got the flags {flags}")
    count, seen = int(np.prod([shape[axis] for axis in dims], dtype=object)), set()
    while len(seen) < count:
        index, samples_came = None, not binary
        for keyword, number in _group(file):
            if keyword == b"index":
                if not 0 <= number < count or number in seen:
                    raise ValueError(f"'-': expected each of {count} slices once, got {number}")
                index = number
                seen.add(index)
            elif index is None or keyword not in (b"raw", b"block"):
                raise ValueError(f"'-': unexpected message {keyword.decode(errors='replace')!r} in the stream")
            elif keyword == b"raw" and binary:
                if samples_came:
                    raise ValueError(f"'-': expected the samples of slice {index} once, got more")
                samples_came = True
                yield index, dims, number
            else:
                _skip(file, number)
        if index is None or not samples_came:
            raise ValueError("'-': expected a slice and its samples in the stream, got neither" if index is None
                             else f"'-': expected samples of slice {index} in the stream, got none")


def _group(file):
    """(keyword, number) of the messages up to the next `---`."""
    while True:
        message = _exactly(file, MESSAGE_BYTES, "its messages")
        found = re.fullmatch(rb"\n# ([a-z]+|---)\n(-?\d+)?[\0 \n].*", message, re.DOTALL)
        if not found:
            raise ValueError(f"'-': expected a message of a BART stream, got {message!r}")
        if found[1] == b"---":
            return
        yield found[1], int(found[2] or 0)


def _exactly(file, count, what):
    """So many bytes.  ValueError where the pipe ends before; no more is allocated than comes."""
    chunks, left = [], count
    while left > 0:
        chunk = file.read(min(left, CHUNK))
        if not chunk:
            raise ValueError(f"'-': the stream ended within {what} (did the command before it fail?)")
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _skip(file, count):
    while count > 0:
        count -= len(_exactly(file, min(count, CHUNK), "a block"))


def write(file, array, command, messages):
    """Send an array through a pipe, in the form of BART 1.0 (messages) or 0.8.

    BrokenPipeError, and no file of samples, where nobody reads.
    """
    shape = pad_dims(array.shape, "output")
    samples = np.asarray(array, "<c8").reshape(shape, order="F").tobytes(order="F")
    if not messages:
        _write_file_form(file, shape, samples, command)
        return
    body = b"".join([_message(b"flags", 0), _message(b"binary"), _message(b"---"), _message(b"index", 0),
                     _message(b"raw", len(samples))])
    file.write(_header(header_text(shape, command)) + body)
    file.write(samples)
    file.write(_message(b"---"))
    file.flush()


def _header(text):
    """The header of fixed length.  A command that does not fit in is left out."""
    head = text.encode(errors="surrogateescape")
    if len(MAGIC) + 4 + len(head) + 2 not in range(HEADER_SIZES.stop):
        head = re.sub(rb"# Command\n[^\n]*\n", b"", head)
    length = max(len(MAGIC) + 4 + len(head), HEADER_SIZES.start)
    fill = length - len(MAGIC) - 4 - len(head)
    return MAGIC + b"%03d\n" % length + head + (b"." * (fill - 1) + b"\n" if fill else b"")


def _message(keyword, number=None):
    text = TOKEN + keyword + b"\n" + (b"" if number is None else b"%d" % number) + b"\0"
    return text.ljust(MESSAGE_BYTES)[:MESSAGE_BYTES - 1] + (b"\n" if keyword == b"raw" else b" ")


def _write_file_form(file, shape, samples, command):
    path = os.path.join(tempfile.gettempdir(), f"bart-{os.urandom(3).hex()}")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as data:
            data.write(samples)
        file.write(header_text(shape, command, data=path).encode(errors="surrogateescape"))
        file.flush()
    except BaseException:
        os.unlink(path)
        raise
