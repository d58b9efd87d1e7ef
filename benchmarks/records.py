"""Records of measurements: a file for each table, in it a row (one line of JSON) for each case and what measured it.

Each script of this folder has a function for each of its tables: f(places) returns {case: function that measures it}.
The measuring function returns a row without its stamp.  Run alone, a script prints the rows: SCRIPT.py [WORD …], where
a word chooses the cases whose names contain it.  `results.py` records them.
"""

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bart_pogmdm.files.atomic import write_bytes
from bart_pogmdm.toolbox.find_bart import version as bart_version
from bart_pogmdm.version import __version__

ROOT = Path(__file__).resolve().parents[1]
OURS = "pogmdm"  # The names of this package's methods begin with it.
Row = dict[str, Any]
Cases = Mapping[str, Callable[[], Row]]


def climbed(score: Callable[[Any], float], choices: Sequence[Any], start: Any) -> dict[Any, float]:
    """Return {choice: score} of ordered choices, climbed from `start` on in steps of two, and then of one.

    The score of a choice that does not apply is -inf; then no other is tried.
    """
    found: dict[Any, float] = {}

    def at(place: int) -> float:
        if choices[place] not in found:
            found[choices[place]] = score(choices[place])
        return found[choices[place]]

    best = choices.index(start)
    for step in (2, -2, 1, -1):
        while math.isfinite(at(best)) and 0 <= best + step < len(choices) and at(best + step) > at(best):
            best += step
    return found


class Places(NamedTuple):
    """The folder of data (dev/, raw/, train/), that of docs/ and benchmarks/results/, and the scans of a user."""

    data: Path = ROOT.parent / "shared" / "data"
    out: Path = ROOT
    scans: Sequence[Path] = ()
    methods: Sequence[str] = ()
    """The only methods to be measured; none: all."""

    @property
    def images(self) -> Path:
        """The folder of reconstructions, which are computed once for a commit (see `bart-pogmdm compare`)."""
        return self.out / "build" / "results" / stamp()["commit"]


@cache
def stamp() -> Row:
    """Return what every row says about its measurement: version, commit, BART and machine."""
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    from bart_pogmdm.arrays.threads import NUM_THREADS
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    changed = "+" if git("status", "--porcelain", "bart_pogmdm") else ""
    return {"version": __version__, "commit": git("rev-parse", "--short", "HEAD") + changed,
            "bart": (bart_version() or "none").removeprefix("v"),
            "machine": f"{model}, {NUM_THREADS} of {os.cpu_count()} cores"}


def read(path: Path) -> list[Row]:
    """Return the rows of a record; none if there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def measure(path: Path, cases: Cases, words: Sequence[str] = (), again: bool = False) -> list[str]:
    """Measure the cases whose rows are missing or of another version, or all of them again; return what went wrong.

    Each row is recorded as soon as it is there, so that a run that was killed goes on with the next case.
    """
    rows, faults = {row["case"]: row for row in read(path)}, []
    for case in chosen(cases, words):
        if not again and case in rows and rows[case]["version"] == __version__:
            continue
        began = time.perf_counter()
        try:
            found = json.loads(json.dumps(cases[case]()))
        except Exception as error:  # No case stops a run of many hours.
            faults.append(f"{path.stem}: {case}: {sentence(error)}")
            continue
        if not found.get("methods", True):  # None of those asked for is tried in this case.
            continue
        taken = {"seconds": round(time.perf_counter() - began, 1), "date": f"{datetime.now(timezone.utc):%Y-%m-%d}"}
        rows[case] = together(rows.get(case), {"case": case} | found | taken | stamp())
        lines = [json.dumps(rows[name], ensure_ascii=False) + "\n" for name in cases if name in rows]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, "".join(lines).encode())
        print(f"{path.stem}: {case}: {taken['seconds']} s", flush=True)
    return faults


def together(old: Row | None, new: Row) -> Row:
    """Return a new row, with those methods of the old one that it lacks, and the commits of ours and of the others."""
    if old is None or not (kept := set(old.get("methods", ())) - set(new.get("methods", ()))):
        return new
    ours, _, others = old["commit"].partition(", others ")
    groups = {True: [ours], False: (others or ours).split(" and ")}
    for is_ours, commits in groups.items():
        if not any(name.startswith(OURS) == is_ours for name in kept):
            commits.clear()
        if any(name.startswith(OURS) == is_ours for name in new["methods"]) and new["commit"] not in commits:
            commits.append(new["commit"])
    methods = {name: (new["methods"] if name in new["methods"] else old["methods"])[name]
               for name in old["methods"] | new["methods"]}
    return new | {"methods": methods, "commit": ", others ".join(" and ".join(groups[key]) for key in (True, False))}


def sentence(error: Exception) -> str:
    """Return an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def chosen(cases: Iterable[str], words: Sequence[str]) -> list[str]:
    """Return the names that contain one of the words, or all."""
    return [case for case in cases if not words or any(word in case for word in words)]


def alone(*tables: Callable[[Places], Cases]) -> None:
    """Measure what the command line of a script says, and print the rows."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only cases whose names contain one of these words")
    parser.add_argument("--data", type=Path, default=Places().data, help="folder with dev/, raw/ and train/")
    args = parser.parse_args()
    for table in tables:
        cases = table(Places(args.data))
        for case in chosen(cases, args.words):
            print(json.dumps({"case": case} | cases[case](), ensure_ascii=False), flush=True)
