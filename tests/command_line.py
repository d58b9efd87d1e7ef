"""What tests of the command line share: a folder with k-space, and a call of the command as a process of its own."""

import os
import subprocess
import sys

from conftest import simulate

from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.files.cfl import write

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
