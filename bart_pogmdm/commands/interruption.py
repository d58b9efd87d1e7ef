"""Signals that stop a reconstruction."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Turns SIGNALS into KeyboardInterrupt at a safe moment.

    The first signal takes effect at the next call of `check`, because an exception that is raised within the callback
    of a compiled library is lost.  Inside `at_once` it takes effect at once, and a second signal does so everywhere.
    """

    def __init__(self) -> None:
        self._signals = 0
        self._is_at_once = False

    def listen(self) -> None:
        """Handle the signals of this process from now on."""
        for signum in SIGNALS:
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # `nohup` ignores it.
                signal.signal(signum, self._handle)

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a signal."""
        if self._signals:
            raise KeyboardInterrupt

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
        self._signals += 1
        if self._is_at_once or self._signals > 1:
            raise KeyboardInterrupt
