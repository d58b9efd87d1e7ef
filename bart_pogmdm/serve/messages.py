"""The messages of the MRD streaming protocol on a socket: a number of 16 bits, and what its kind says.

https://ismrmrd.readthedocs.io and the tools around ISMRMRD define them: configurations and texts, the XML header,
acquisitions, waveforms and images, and the end.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

import numpy as np

from ..arrays.array_types import Array
from ..files.ismrmrd_acquisitions import ACQUISITION_HEADER
from ..files.ismrmrd_flags import Effect, has, names
from ..files.ismrmrd_images import IsmrmrdImage
from .limits import Limits

FILE_NAME_BYTES = 1024  # of the name in the message CONFIG_FILE, which zeros fill
WAVEFORM_BYTES = 40     # of the header of a waveform, with the gaps that C leaves between its fields
FIRST_SECONDS = 10.0    # in which the first message must come, so that strangers keep no connection for long
LINGER = 5.0            # seconds that a client has to read the last answer while it still sends


class Kind(IntEnum):
    """The kinds of messages by their numbers."""

    CONFIG_FILE = 1
    CONFIG_TEXT = 2
    HEADER = 3
    CLOSE = 4
    TEXT = 5
    ACQUISITION = 1008
    IMAGE = 1022
    WAVEFORM = 1026


class ProtocolError(ValueError):
    """What a client sends is none of the protocol, or does not come in time."""


class ClientGoneError(Exception):
    """The client has ended the connection, or the server ends."""


@dataclass(frozen=True, eq=False)
class Message:
    """A message.

    text: of a configuration, header or text.  head: header of an acquisition, an array () of type ACQUISITION_HEADER.
    samples: of an acquisition, float32.
    """

    kind: Kind
    text: bytes = b""
    head: Array | None = None
    samples: Array | None = None


class Channel:
    """A connection on which messages are read and written, within the limits.

    end: a descriptor that becomes readable when the server ends.  gone: ends this process, with a reason.
    """

    def __init__(self, connection: socket.socket, limits: Limits, end: int, gone: Callable[[str], NoReturn]) -> None:
        self._socket, self._limits, self._end, self._gone = connection, limits, end, gone
        self._deadline, self._seconds = 0.0, min(FIRST_SECONDS, limits.timeout)
        self._sending = threading.Lock()

    def receive(self) -> Message:
        """Return the next message.  Raises ProtocolError, or ClientGoneError where the client has ended."""
        self._deadline = time.monotonic() + self._seconds
        number = int.from_bytes(self._read(2, "a message"), "little")
        try:
            kind = Kind(number)
        except ValueError:
            raise ProtocolError(f"expected a message of the kinds {', '.join(f'{one.value}' for one in Kind)},"
                                f" got {number}") from None
        self._seconds = self._limits.timeout
        if kind is Kind.ACQUISITION:
            return self._acquisition()
        if kind is Kind.WAVEFORM:
            head = np.frombuffer(self._read(WAVEFORM_BYTES, "a waveform"), "<u2")
            self._read(4 * int(head[14]) * int(head[15]), "a waveform")
        elif kind is Kind.IMAGE:
            raise ProtocolError("expected acquisitions, got an image: images are not reconstructed")
        elif kind is Kind.CONFIG_FILE:
            return Message(kind, bytes(self._read(FILE_NAME_BYTES, "a name")).split(b"\0")[0])
        elif kind is not Kind.CLOSE:
            length = int.from_bytes(self._read(4, "a text"), "little")
            return Message(kind, bytes(self._read(length, "a text")).rstrip(b"\0"))
        return Message(kind)

    def _acquisition(self) -> Message:
        head = np.frombuffer(self._read(ACQUISITION_HEADER.itemsize, "an acquisition"), ACQUISITION_HEADER)[0]
        if has(head["flags"], Effect.REFUSED):
            compression = ", ".join(names(head["flags"].reshape(1), Effect.REFUSED))
            raise ProtocolError(f"expected plain samples, got compressed ones ({compression})")
        count = int(head["number_of_samples"])
        points, values = 4 * count * int(head["trajectory_dimensions"]), 8 * count * int(head["active_channels"])
        self._check_size(points + values, "an acquisition")
        self._read(points, "an acquisition")
        return Message(Kind.ACQUISITION, head=head, samples=np.frombuffer(self._read(values, "an acquisition"), "<f4"))

    def _check_size(self, count: int, what: str) -> None:
        if count > self._limits.message_bytes:
            raise ProtocolError(f"expected messages of at most {self._limits.message:.4g} MiB,"
                                f" got {what} of {count / 2**20:.4g} MiB")

    def _read(self, count: int, what: str) -> bytearray:
        """Read so many bytes.  Memory is taken as they come, so that a wrong length costs nothing."""
        self._check_size(count, what)
        content = bytearray()
        while len(content) < count:
            left = self._deadline - time.monotonic()
            ready = select.select([self._socket.fileno(), self._end], [], [], max(left, 0))[0]
            if self._end in ready:
                raise ClientGoneError("the server ends")
            if not ready:
                raise ProtocolError(f"expected the next message within {self._seconds:.4g} s")
            try:
                part = self._socket.recv(min(count - len(content), 1 << 20))
            except OSError as error:
                raise ClientGoneError(f"the connection broke ({error.strerror})") from None
            if not part:
                raise ClientGoneError(f"the client ended within {what}" if content else "the client ended early")
            content += part
        return content

    def send_text(self, text: str) -> None:
        """Send a text.  Raises ClientGoneError if the client does not take it."""
        content = text.encode(errors="backslashreplace") + b"\0"
        self._send(Kind.TEXT, len(content).to_bytes(4, "little") + content)

    def send_image(self, image: IsmrmrdImage) -> None:
        """Send an image.  Raises ClientGoneError if the client does not take it."""
        self._send(Kind.IMAGE, image.encoded())

    def _send(self, kind: Kind, content: bytes = b"") -> None:
        try:
            with self._sending:
                self._socket.settimeout(self._limits.timeout)
                self._socket.sendall(kind.to_bytes(2, "little") + content)
        except OSError as error:  # also after the time
            raise ClientGoneError(f"the client takes no answer ({error.strerror or error})") from None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Call `gone` as soon as the client or the server ends during the block, which may compute for long."""
        ended, stop = os.pipe()
        watcher = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            os.close(stop)
            watcher.join()
            os.close(ended)

    def _watch(self, ended: int) -> None:
        """Watch until the pipe `ended` is closed.

        A client may end its own direction only, and wait for the answer.  Whether it does so shows when something is
        sent to it: if it is gone, the connection breaks.
        """
        half = getattr(select, "POLLRDHUP", 0)  # Only Linux reports the end of one direction.
        watch = select.poll()
        for descriptor, events in ((ended, 0), (self._end, 0), (self._socket.fileno(), half)):
            watch.register(descriptor, events)  # A pipe that is closed, or a connection that broke, is always reported.
        while True:
            for descriptor, events in watch.poll():
                if descriptor == ended:
                    return
                if descriptor == self._end or events != half:
                    self._gone("the server ends" if descriptor == self._end else
                               "the client ended during the reconstruction")
                watch.modify(self._socket, 0)
                with contextlib.suppress(ClientGoneError):
                    self.send_text("DBG the reconstruction goes on")

    def close(self) -> None:
        """Send the end, and wait a moment until the client has read it.

        If a connection is closed while the client still sends, what it has not read yet is lost.
        """
        with contextlib.suppress(ClientGoneError, OSError):
            self._send(Kind.CLOSE)
            self._socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + LINGER
            while (left := deadline - time.monotonic()) > 0:
                if self._socket not in select.select([self._socket], [], [], left)[0] or not self._socket.recv(1 << 16):
                    break
