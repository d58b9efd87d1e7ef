"""Main memory: what is free on a machine and in control groups, and numbers of bytes in words."""

import pytest

from bart_pogmdm.arrays.devices import available_memory
from bart_pogmdm.arrays.memory import free_memory, size_text


@pytest.mark.parametrize("count, text", [(0, "0 bytes"), (999, "999 bytes"), (1000, "0.977 KiB"), (1 << 20, "1 MiB"),
                                         (570 * 2**20, "570 MiB"), (2.03e4 * 2**20, "19.8 GiB"),
                                         (3 << 40, "3 TiB"), (5e15, "4547 TiB")])
def test_sizes_have_no_exponents(count, text):
    assert size_text(count) == text


def machine(tmp_path, groups, files):
    """A folder like /proc, with 8000 KiB free, and one like /sys/fs/cgroup with some files."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "proc", tmp_path / "groups"


@pytest.mark.parametrize("groups, files, free", [
    ("0::/\n", {}, 8192000),
    ("0::/job/step\n", {"job/memory.max": "max\n", "job/step/memory.max": "max\n"}, 8192000),
    ("0::/job/step\n", {"job/memory.max": "1000000\n", "job/memory.current": "400000\n",
                        "job/memory.stat": "anon 5\nfile 9\ninactive_file 90000\nactive_file 10000\n"}, 700000),
    ("0::/\n", {"memory.max": "500000\n", "memory.current": "400000\n"}, 100000),
    ("3:cpu:/a\n4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "2000000\n",
                                 "memory/a/memory.usage_in_bytes": "900000\n",
                                 "memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 100000\n",
                                 "memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1200000)],
    ids=["no limit", "max", "group above", "container", "version 1"])
def test_limits_of_control_groups_count(tmp_path, groups, files, free):
    assert free_memory(*machine(tmp_path, groups, files)) == free


def test_memory_of_an_unknown_machine_is_not_limited(tmp_path):
    assert free_memory(tmp_path, tmp_path) == float("inf")
    assert 0 < available_memory() == pytest.approx(free_memory(), rel=0.5)
