"""Counts of what was tried and what went wrong: kills, damaged files, full disks, sessions of the server, doubts, BART.

Each case is a run of another script of this folder, whose last line is `N tried, M faults`.
"""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

from records import Cases, Places, Row, alone

FUZZED = 2500  # Files in each of four runs.


def counted(*words: str) -> Row:
    """Return the counts of a script.  One that stops before its last line has one fault, and says why."""
    done = subprocess.run([sys.executable, *words], cwd=Path(__file__).parent, capture_output=True, text=True,
                          check=False)
    said = re.search(r"^(\d+) tried, (\d+) faults$", done.stdout.rstrip().rpartition("\n")[2])
    if not said:
        failed = re.search(r"^(AssertionError|subprocess.TimeoutExpired).*$", done.stderr, re.MULTILINE)
        if not failed:  # It could not be tried at all.
            reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise RuntimeError(f"{words[0]}: {reason}")
        return {"script": words[0], "tried": None, "faults": 1, "note": failed[0]}
    return {"script": words[0], "tried": int(said[1]), "faults": int(said[2])}


def robustness(places: Places) -> Cases:
    """Return what is tried."""
    images, data = str(places.data / "dev" / "complex_t2_images.npz"), str(places.data)
    kept = str(places.images.parent / "faults")
    runs = {f"killed: {part}": ("kills.py", part, images, count) for part, count in (
        ("volume", "20"), ("cluster", "6"), ("compare", "6"), ("train", "6"), ("network", "1"))}
    runs |= {f"damaged files, seed {seed}": ("fuzz.py", str(FUZZED), str(seed), kept) for seed in range(4)}
    runs |= {name: ("mishaps.py", part, images) for name, part in (
        ("read-only folders, no /dev/shm", "folders"), ("disk full from the beginning", "full"),
        ("disk full during the run", "filled"), ("input changed between two runs", "input"))}
    runs |= {"sessions of the server": ("server_sessions.py",), "promises about BART": ("bart_matrix.py",),
             "good data without doubts": ("doubts.py", "good", data),
             "faults that raise doubts": ("doubts.py", "faults", data),
             "few samples": ("doubts.py", "sparse", data)}
    return {name: partial(counted, *words) for name, words in runs.items()}


if __name__ == "__main__":
    alone(robustness)
