"""The process that listens: each connection gets a process of its own, and this one never sees its data.

The processes are forked, which starts them at once.  This is safe because the listening process has no threads of its
own: it has computed something small before it listens, so that its copies find all code loaded and compiled.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ..files.child_process import fork
from .limits import Limits
from .messages import Channel, ClientGoneError, ProtocolError
from .session import serve_client, warm_up

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 2.0   # seconds in which the processes of connections end by themselves when the server ends
Report = Callable[[str], object]


class Server:
    """A server that listens on an address and port from now on.

    prior, device: as in `reconstruct`.  report: called with a sentence about each connection.
    Raises OSError if the address or port cannot be used.
    """

    def __init__(self, host: str, port: int, limits: Limits, prior: Any, device: str | None, report: Report) -> None:
        self._limits, self._prior, self._device, self._report = limits, prior, device, report
        warm_up(prior)
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number and number > 0 else getattr(error, "strerror", None) or str(error)
            raise OSError(f"{host}, port {port}: cannot listen there ({reason})") from None
        self._listener.setblocking(False)
        self._children: set[int] = set()
        self._connections = 0
        self._is_ending = False

    @property
    def address(self) -> str:
        """The address and port on which the server listens."""
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def run(self, ready: Callable[[], object]) -> None:
        """Call `ready` and serve until one of the signals STOP.  At the end no connection and no process is left."""
        wakes, wakened = os.pipe()
        end, alive = os.pipe()  # Nothing is written: a process sees the end of this one by the end of the pipe.
        os.set_blocking(wakes, False)
        os.set_blocking(wakened, False)
        before = {number: signal.signal(number, self._handle) for number in (*STOP, signal.SIGCHLD)
                  if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN)}
        old = signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        try:
            ready()
            with selectors.DefaultSelector() as selector:
                selector.register(wakes, selectors.EVENT_READ)
                while not self._is_ending:
                    self._reap()
                    has_room = len(self._children) < self._limits.connections
                    if has_room:
                        selector.register(self._listener, selectors.EVENT_READ)
                    waiting = [key.fileobj for key, _ in selector.select()]
                    if has_room:
                        selector.unregister(self._listener)
                    if wakes in waiting:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wakes, 1 << 16)
                    if self._listener in waiting and not self._is_ending:
                        self._accept(selector, (wakes, wakened, alive), end)
        finally:
            self._listener.close()
            os.close(alive)
            self._end_children()
            signal.set_wakeup_fd(old)
            for number, handler in before.items():
                signal.signal(number, handler)
            for descriptor in (wakes, wakened, end):
                os.close(descriptor)

    def _handle(self, number: int, _: object) -> None:
        self._is_ending |= number != signal.SIGCHLD

    def _accept(self, selector: selectors.BaseSelector, foreign: tuple[int, ...], end: int) -> None:
        """Accept a connection, if it is still there, and serve it in a process of its own."""
        try:
            connection, address = self._listener.accept()
        except OSError as error:
            if not isinstance(error, (BlockingIOError, ConnectionError)):
                self._report(f"no connection accepted ({error.strerror})")
                time.sleep(1)  # Such as too many open files: they may be fewer soon.
            return
        with connection:
            self._connections += 1
            name = f"connection {self._connections} from {address[0]}"
            try:
                child = fork()
            except OSError as error:
                self._report(f"{name}: refused ({error.strerror})")
                return
            if child == 0:
                selector.close()
                self._listener.close()
                self._serve(connection, foreign, end, name)
            self._children.add(child)

    def _serve(self, connection: socket.socket, foreign: tuple[int, ...], end: int, name: str) -> NoReturn:
        """Serve one connection in this process, which is a copy of the listening one, and end it."""
        def end_with(outcome: str) -> NoReturn:
            with contextlib.suppress(Exception):
                self._report(f"{name}: {outcome}, {time.monotonic() - began:.1f} s")
            os._exit(0)

        began = time.monotonic()
        try:
            gc.freeze()  # Nothing of the other process is finalized here.
            signal.set_wakeup_fd(-1)
            for number in (*STOP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL if number in (signal.SIGTERM, signal.SIGCHLD) else signal.SIG_IGN)
            for descriptor in foreign:
                os.close(descriptor)
            self._limits.apply(connection)
            outcome = serve_client(Channel(connection, self._limits, end, end_with), self._limits, self._prior,
                                   self._device)
        except (ClientGoneError, ProtocolError) as error:
            outcome = str(error)
        except BaseException as error:  # An error of ours must not reach the code of the listening process.
            outcome = f"{type(error).__name__}: {error}"
        end_with(outcome)

    def _reap(self) -> None:
        """Forget the processes that have ended, and report those that were killed."""
        for child in list(self._children):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self._children.remove(child)
                if code := os.waitstatus_to_exitcode(status):
                    self._report(f"the process of a connection ended by signal {-code}")

    def _end_children(self) -> None:
        """Wait a moment until all processes have ended, and kill the others."""
        deadline = time.monotonic() + GRACE
        while self._children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for child in self._children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        self._children.clear()
