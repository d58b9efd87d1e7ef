"""The limits of a connection."""

import contextlib
import math
import resource
import socket
from dataclasses import dataclass

import numpy as np

from ..algorithms.chains import solver_memory
from ..arrays.array_types import Shape
from ..arrays.bart_dims import COIL
from ..arrays.checks import check_fields
from ..files.cfl import SAMPLE_BYTES
from ..reconstruction.layout import grid_of

# Seconds without a sign of life after which the kernel probes a client, between its probes, and their number: a client
# that has vanished is noticed in about a minute, also while it has nothing to send.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


@dataclass(frozen=True)
class Limits:
    """The limits of a server.  Raises ValueError unless all are finite and above 0."""

    connections: int = 4
    """Connections at the same time; others wait until one of them ends."""

    memory: float = 4096.0
    """Memory of a connection in MiB."""

    message: float = 64.0
    """Size of a message in MiB; a readout of 128 channels and 65535 samples has 64."""

    timeout: float = 300.0
    """Seconds in which a client must send its next message, or take an answer."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def message_bytes(self) -> int:
        """Largest size of a message in bytes."""
        return int(self.message * 2**20)

    def check_memory(self, stored: int, shape: Shape = ()) -> None:
        """Raise MemoryError if received samples, and the reconstruction of k-space of a shape, need too much.

        stored: bytes of the samples.
        """
        needed = float(stored)
        if shape:
            # k-space and sensitivities, and the solver of one slice with a single chain.
            needed += 2 * math.prod(shape) * SAMPLE_BYTES
            needed += solver_memory((shape[COIL], *grid_of(shape)), np.complex64, chains=1)
        if needed > self.memory * 2**20:
            what = "its reconstruction needs about" if shape else "it has at least"
            raise MemoryError(f"raw data: {what} {needed / 2**20:.4g} MiB, and {self.memory:.4g} MiB are allowed"
                              " (--memory)")

    def apply(self, connection: socket.socket) -> None:
        """Limit this process, which serves one connection, and have the kernel watch for the death of the client."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # Other systems than Linux have other names.
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(FileNotFoundError), open("/proc/self/status", encoding="ascii") as status:
            used = next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData:"))
            hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
            most = used + int(self.memory * 2**20)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
