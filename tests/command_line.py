"""What tests of the command line share: a folder with k-space, and a call of the command as a process of its own."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import simulate

from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.interruption import SIGNALS
from bart_pogmdm.files.cfl import write

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/status"),
                                reason="needs Linux to see when the command is ready")
SCAN_FILES = ["ksp.cfl", "ksp.hdr", "pat.cfl", "pat.hdr"]


def process(*words, cwd, **keywords):
    """The finished process of `pogmdm WORDS`, which takes a second to start; the fixture `pogmdm` does not."""
    return subprocess.run([sys.executable, "-m", "bart_pogmdm", *map(str, words)], cwd=cwd, capture_output=True,
                          text=True, check=False, timeout=300, **keywords)


def write_scan(folder):
    """Write `ksp` (40 x 36, 4 coils) and its pattern `pat`."""
    kspace, mask, _ = simulate((40, 36), coils=4)
    write({folder / "ksp": to_bart(kspace), folder / "pat": mask})


def names(folder):
    return sorted(os.listdir(folder))


def hear(ignored=()):
    """Before a process starts: it hears all signals but some.  `nohup` and scripts hand on those that they ignore."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN if signum in ignored else signal.SIG_DFL)


def in_foreground(*words, ignored=(), **keywords):
    """A running process of `pogmdm WORDS` that hears all signals but those to be ignored."""
    return subprocess.Popen([sys.executable, "-m", "bart_pogmdm", *map(str, words)], stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: hear(ignored), **keywords)


def handles_signals(pid):
    """Whether our handler for SIGTERM, and with it that for SIGINT, is in place."""
    with open(f"/proc/{pid}/status") as file:
        caught = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return bool(caught >> (signal.SIGTERM - 1) & 1)
