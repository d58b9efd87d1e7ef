"""Signals that stop a command."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from .shell import INFO, debug_level

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns SIGNALS into KeyboardInterrupt at a safe moment.

    The first signal takes effect at the next call of `check`, because an exception that is raised within the callback
    of a compiled library is lost.  A line says that it was heard.  Inside `at_once` it takes effect at once, and a
    second signal does so everywhere.

    is_at_once: True if a signal takes effect at once everywhere.  level: the debug level, below INFO without the line.
    """

    def __init__(self, is_at_once: bool = False) -> None:
        self._first: int | None = None  # The first signal.
        self._is_at_once = is_at_once
        self.level = debug_level()

    def listen(self) -> None:
        """Handle the signals of this process from now on, except those that it inherited as ignored.

        `nohup` ignores SIGHUP, and a script SIGINT for its commands in the background.
        """
        for signum in SIGNALS:
            if signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self._handle)

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a signal."""
        if self._first is not None:
            raise KeyboardInterrupt

    def pass_on(self) -> None:
        """End this process by the first signal, if there was one: after an exit code, a loop of the shell goes on."""
        if self._first is not None:
            signal.signal(self._first, signal.SIG_DFL)
            signal.raise_signal(self._first)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt the block at once, because the block may wait for a pipe, a disk or a child."""
        self.check()
        self._is_at_once = True
        try:
            yield
        finally:
            self._is_at_once = False

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        is_second, self._first = self._first is not None, self._first or signum
        if self._is_at_once or is_second:
            raise KeyboardInterrupt
        if self.level >= INFO:
            with suppress(OSError):  # `print` may be at work on the same line.
                os.write(2, b"\n" * os.isatty(2) + b"stopping after this step\n")
