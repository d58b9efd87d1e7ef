"""Main memory: how much of it this process may still take, and numbers of bytes in words."""

from collections.abc import Iterator
from pathlib import Path

GROUPS = {  # of control groups, version 2 and 1: folder, files of limit and use, and prefix of statistics
    "": ("", "memory.max", "memory.current", ""),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
}
CACHED = "inactive_file", "active_file"  # statistics of the content of files that is given up when memory is needed


def size_text(count: float) -> str:
    """Return a number of bytes as people write it, "512 KiB" or "19.8 GiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 999.5:  # more would be written with an exponent
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB" if count < 999.5 else f"{count:.0f} TiB"


def free_memory(process: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the bytes that are free on this machine, and in the control groups of a container or a batch job.

    Infinity where nothing tells.
    """
    return min([_number(process / "meminfo", "MemAvailable:") * 1024, *_free_in_groups(process, groups)])


def _free_in_groups(process: Path, groups: Path) -> Iterator[float]:
    try:
        lines = (process / "self" / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return
    for _, names, path in (line.split(":", 2) for line in lines):
        if names in GROUPS:
            folder, limit, use, prefix = GROUPS[names]
            own = Path(path.lstrip("/"))
            for group in (groups / folder / part for part in (own, *own.parents)):  # those above limit it, too
                cached = sum(_number(group / "memory.stat", f"{prefix}{kind} ", missing=0) for kind in CACHED)
                yield _number(group / limit) - max(_number(group / use, missing=0) - cached, 0)


def _number(path: Path, word: str = "", missing: float = float("inf")) -> float:
    """Return the number in a file, or after a word at the start of a line."""
    try:
        return next(float(line[len(word):].split()[0]) for line in path.read_text().splitlines()
                    if line.startswith(word))
    except (OSError, ValueError, IndexError, StopIteration):
        return missing
