"""A connection from the first to the last message."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.doubts import ReconstructionWarning, doubt
from ..files.ismrmrd import IsmrmrdKspace, sort
from ..files.ismrmrd_acquisitions import ACQUISITION_HEADER, ReceivedAcquisitions, samples_of
from ..files.ismrmrd_header import read_header
from ..files.kspace import read_whole
from ..reconstruction.inputs import Inputs
from ..reconstruction.options import options_of
from ..reconstruction.outputs import Outputs
from ..reconstruction.recon import reconstruct
from .answers import Answers
from .limits import Limits
from .messages import Channel, ClientGoneError, Kind, Message, ProtocolError
from .request import Request, request_of

DATA = Path("raw data")  # the name of what a client sends, in messages
FIRST = (Kind.CONFIG_FILE, Kind.CONFIG_TEXT)
TRIAL = (2, 16, 16)     # coils and size of a reconstruction that loads and compiles the code


@dataclass
class Received:
    """What a client has sent so far.

    name: of the configuration file.  texts: configurations in JSON.  header: the XML header.
    heads, data: headers and samples of the acquisitions.  size: bytes of all.
    """

    name: bytes = b""
    texts: list[bytes] = field(default_factory=list)
    header: bytes = b""
    heads: list[Array] = field(default_factory=list)
    data: list[Array] = field(default_factory=list)
    size: int = 0

    def acquisitions(self) -> ReceivedAcquisitions:
        """Return the acquisitions.  Raises ValueError if there is none."""
        if not self.heads:
            raise ValueError(f"{DATA}: expected acquisitions before the end, got none")
        return ReceivedAcquisitions(DATA, (self.header,), np.array(self.heads, ACQUISITION_HEADER), self.data)


def warm_up(prior: Any) -> None:
    """Reconstruct noise, so that all code is loaded and compiled before the first client comes."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(TRIAL) + 1j * rng.standard_normal(TRIAL)
    reconstruct(Inputs(noise.astype(np.complex64)), prior, options_of(samples=1, iterations=1), "cpu")


def serve_client(channel: Channel, limits: Limits, prior: Any, device: str | None) -> str:
    """Serve a client until its answer is sent, and return a sentence about it.

    Errors of its data and options go to the client.  A client whose first message is none of the protocol gets no
    answer.  Raises ProtocolError for such a client, and ClientGoneError where the client has ended.
    """
    first = channel.receive()
    if first.kind not in FIRST:
        raise ProtocolError(f"expected a configuration as the first message, got {first.kind.value}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ReconstructionWarning)
            outcome = _answer(channel, first, limits, prior, device)
        for sentence in dict.fromkeys(str(one.message) for one in caught):
            channel.send_text(f"WRN {sentence}")
    except ClientGoneError:
        raise
    except Exception as error:  # Whatever it is, the client is told.
        sentence = _sentence(error)
        channel.send_text(f"ERR {sentence}")
        outcome = f"refused: {sentence}"
    channel.close()
    return outcome


def _sentence(error: Exception) -> str:
    """Return one line about an error."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return text or "not enough memory"
    is_ours = isinstance(error, (ValueError, TypeError, OSError, ImportError))
    return text if is_ours else f"{type(error).__name__}: {text}"


def _answer(channel: Channel, first: Message, limits: Limits, prior: Any, device: str | None) -> str:
    received = _receive(channel, first, limits)
    if received is None:
        return "ended without data"
    kspace = sort(received.acquisitions())
    request = request_of(received.name, received.texts, kspace.voxel)
    limits.check_memory(received.size, kspace.shape)
    answers = Answers(request, kspace.lines, kspace.geometry, prior)
    _reconstruct(channel, kspace, request, answers, prior, device)
    return f"{answers.count} image{'s' if answers.count > 1 else ''}"


def _receive(channel: Channel, first: Message, limits: Limits) -> Received | None:
    """Return all that a client sends until its end; None if it ends before the header.

    Raises ProtocolError for another order of messages, and ValueError or TypeError as soon as something is wrong.
    """
    received = Received()
    if first.kind is Kind.CONFIG_FILE:
        received.name = first.text
    else:
        received.texts.append(first.text)
    header = _next(channel, Kind.HEADER, Kind.CLOSE)
    if header.kind is Kind.CLOSE:
        return None
    received.header = header.text
    read_header(DATA, [header.text])  # A wrong header, or option below, shall not cost the time of a scan.
    allowed: Sequence[Kind] = (Kind.TEXT, Kind.ACQUISITION, Kind.WAVEFORM, Kind.CLOSE)
    while (message := _next(channel, *allowed)).kind is not Kind.CLOSE:
        if message.kind is Kind.TEXT:
            received.texts.append(message.text)
            received.size += len(message.text)
        elif message.head is not None and message.samples is not None:
            if not received.heads:
                request_of(received.name, received.texts)
                allowed = (Kind.ACQUISITION, Kind.WAVEFORM, Kind.CLOSE)
            received.data.append(samples_of(DATA, len(received.heads), message.head, message.samples))
            received.heads.append(message.head)
            received.size += message.samples.nbytes + ACQUISITION_HEADER.itemsize
        limits.check_memory(received.size)
    return received


def _next(channel: Channel, *kinds: Kind) -> Message:
    message = channel.receive()
    if message.kind not in kinds:
        expected = ", ".join(f"{kind.name.lower()} ({kind.value})" for kind in kinds)
        raise ProtocolError(f"expected as the next message one of {expected}, got {message.kind.name.lower()}"
                            f" ({message.kind.value})")
    return message


def _reconstruct(channel: Channel, kspace: IsmrmrdKspace, request: Request, answers: Answers, prior: Any,
                 device: str | None) -> None:
    """Send each image as soon as it is done; all at the end where they have one scale."""
    samples, pattern = read_whole(kspace)
    finished: list[Shape] = []

    def send(outputs: Outputs, indices: list[Shape]) -> None:
        finished.extend(indices)
        if request.peak is None or len(finished) == int(np.prod(outputs.loop)):
            for image in answers.images(outputs, finished):
                channel.send_image(image)
            finished.clear()

    with channel.watched():
        result, _ = reconstruct(Inputs(samples, pattern), prior, request.options, device, finished=send)
    for sentence in result.info["warnings"]:
        doubt(sentence)
