"""Hostile and damaged files, pipes, signals and closed streams: one line, soon, in little memory, and nothing lost."""

import contextlib
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numba
import numpy as np
import pytest
from command_line import SCAN_FILES, in_foreground, names, write_scan
from numba.core.caching import IndexDataCacheFile
from properties import random_complex

from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.arrays.kernels.compiled import jit
from bart_pogmdm.files import streams
from bart_pogmdm.files.cfl import write
from bart_pogmdm.files.hdf5 import read_hdf5
from bart_pogmdm.files.kspace import load
from bart_pogmdm.files.npz import read_npz
from bart_pogmdm.files.references import read_references

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    write_scan(tmp_path)
    return tmp_path


@pytest.fixture
def endless(tmp_path):
    """A small HDF5 file in whose heap an object of no size follows itself, so that libhdf5 reads it for ever."""
    path = tmp_path / "endless.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=np.ones((1, 2, 8, 8), np.complex64))
        file.create_dataset("mask", (1,), h5py.vlen_dtype(np.float32))[0] = np.ones(3, np.float32)
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    free = heap + 16 + 16 + 16  # The heap's head, and the only object with its head, of 12 bytes in 16.
    assert content[free:free + 2] == b"\0\0"
    content[free + 8:free + 16] = bytes(8)
    path.write_bytes(content)
    return path


@pytest.mark.slow
def test_a_file_without_an_end_is_an_error(endless):
    with pytest.raises(ValueError, match=r"endless.h5: not a readable h5 file \(damaged: reading it came to no end\)"):
        load(endless)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("words", [["endless.h5", "out"], ["volume", "endless.h5", "out.h5"]])
def test_the_first_signal_ends_a_read_without_an_end(folder, endless, words, signum):
    before = names(folder)
    process = in_foreground(*words, cwd=folder)
    while not reader_of(process.pid) and process.poll() is None:
        time.sleep(0.02)
    reader = reader_of(process.pid)[0]
    process.send_signal(signum)
    began = time.monotonic()
    error = process.communicate(timeout=60)[1]
    assert process.returncode == -signum and error.count("\n") == 1 and "interrupted" in error
    while os.path.exists(f"/proc/{reader}") and time.monotonic() - began < 4:
        time.sleep(0.02)
    assert time.monotonic() - began < 4 and names(folder) == before


ELSEWHERE = """
import signal, sys, threading, time
from bart_pogmdm.files.kspace import load

def stop(signum, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, stop)
other = threading.Thread(target=time.sleep, args=(60,), daemon=True)
other.start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
threading.Timer(0.5, signal.pthread_kill, (other.ident, signal.SIGTERM)).start()
began = time.monotonic()
try:
    load(sys.argv[1])
except KeyboardInterrupt:
    print(time.monotonic() - began)
"""


def test_a_signal_that_comes_just_before_a_read_ends_it_too(endless):
    """Then the read is not interrupted, as here, where another thread takes the signal."""
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, str(endless)], capture_output=True, text=True, check=True)
    assert 0.4 < float(done.stdout) < 3


def reader_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def test_a_reader_that_crashes_or_takes_all_memory_is_an_error(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)
    np.testing.assert_array_equal(read_hdf5(path, lambda file: file["x"][1:]), np.arange(1, 5))
    for read, message in ((lambda file: os.kill(os.getpid(), signal.SIGSEGV), "reading it crashed"),
                          (lambda file: np.ones(1 << 28), "it needs more than 1 GiB of memory"),
                          (lambda file: (700 << 20) * "a", "it needs more than 1 GiB of memory"),
                          (lambda file: lambda: None, "pickle"),
                          (lambda file: file["y"], "'y'"), (lambda file: 1 / 0, "division by zero")):
        with pytest.raises(ValueError, match=f"a.h5: not a readable h5 file .*{message}"):
            read_hdf5(path, read)


def test_a_reader_ends_after_its_parent_was_killed(tmp_path):
    """Else it would hold what it inherited: a run of `volume` waited for ever for the end of a killed worker's pipe."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(5)
    code = ("import os, time; from pathlib import Path; from bart_pogmdm.files.hdf5 import read_hdf5;"
            "read_hdf5(Path('a.h5'), lambda file: (Path('pid').write_text(str(os.getpid())), time.sleep(1),"
            " bytes(1 << 22)))")
    parent, pid = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path), tmp_path / "pid"
    while not (pid.exists() and pid.read_text()) and parent.poll() is None:
        time.sleep(0.02)
    parent.kill()
    parent.wait()
    began, status = time.monotonic(), Path(f"/proc/{pid.read_text()}/status")
    while status.exists() and "State:\tZ" not in status.read_text():
        assert time.monotonic() - began < 20
        time.sleep(0.02)


def test_a_reader_ends_where_a_signal_comes_at_its_start(tmp_path):
    """Such a signal came before this process knew of the reader, which then ran up to its limit."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(5)
    code = ("import os, signal, time; from pathlib import Path; from bart_pogmdm.files.hdf5 import read_hdf5;"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"  # A shell ignores it for its background.
            "os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT));"
            f"read_hdf5(Path('{tmp_path}/a.h5'), lambda file: time.sleep(60))")
    began = time.monotonic()
    parent = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert parent.returncode != 0 and parent.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert time.monotonic() - began < 30
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and code in words_of(pid)]


def words_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def test_hdf5_that_leads_to_other_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kspace = np.ones((1, 2, 8, 8), np.complex64)
    (tmp_path / "secret").write_bytes(kspace.tobytes())
    with h5py.File("other.h5", "w") as file:
        file["kspace"] = kspace
    with h5py.File("link.h5", "w") as file:
        file["kspace"] = h5py.ExternalLink("other.h5", "kspace")
    with h5py.File("beside.h5", "w") as file:
        file["kspace"], file["a/b"] = kspace, h5py.ExternalLink("other.h5", "kspace")
    with h5py.File("external.h5", "w") as file:
        file.create_dataset("kspace", kspace.shape, "c8", external=[("secret", 0, kspace.nbytes)])
    with h5py.File("virtual.h5", "w") as file:
        virtual = h5py.VirtualLayout(kspace.shape, "c8")
        virtual[...] = h5py.VirtualSource("other.h5", "kspace", kspace.shape)
        file.create_virtual_dataset("kspace", virtual)
    with h5py.File("soft.h5", "w") as file:
        file["here"], file["kspace"] = kspace, h5py.SoftLink("/here")
    for name in ("link.h5", "beside.h5", "external.h5", "virtual.h5"):
        with pytest.raises(ValueError, match=f"{name}: not a readable h5 file .* lies in another file"):
            load(name)
    assert load("soft.h5")[0].size == kspace.size


def test_archives_that_unpack_to_gigabytes_are_refused_before(tmp_path):
    np.savez_compressed(tmp_path / "k.npz", kspace=np.zeros((2, 64, 64), np.complex64))
    content = bytearray((tmp_path / "k.npz").read_bytes())
    size = content.index(b"PK\1\2") + 24  # the unpacked size, in the directory of the archive
    content[size:size + 4] = (3 << 30).to_bytes(4, "little")
    (tmp_path / "k.npz").write_bytes(content)
    for read in (load, lambda path: list(read_references(path)), read_npz):
        with pytest.raises(ValueError, match=r"k.npz: not a readable npz file \(it states 3 GiB, but at most 1 GiB"):
            read(tmp_path / "k.npz")
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file.create_dataset("kspace", (1 << 20, 4, 64, 64), "c8", chunks=(1, 1, 64, 64))
    with pytest.raises(ValueError, match=r"k.h5: not a readable h5 file \(it states 128 GiB, but at most 1 GiB"):
        load(tmp_path / "k.h5")


def test_an_archive_with_a_wrong_size_is_read_up_to_that_size(tmp_path):
    array, packed = np.arange(10), io.BytesIO()
    np.save(packed, array)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", packed.getvalue() + bytes(1 << 25))
        one = archive.getinfo("a.npy")
        one.file_size, one.CRC = len(packed.getvalue()), zlib.crc32(packed.getvalue())
    tracemalloc.start()
    found = read_npz(tmp_path / "a.npz")["a"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found, array)
    assert peak < 1 << 23 and not found.flags.writeable


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("is_stated", [True, False], ids=["short", "stated too large"])
def test_an_array_ends_in_its_own_member(tmp_path, method, is_stated):
    """Its header claims more than the member holds; what follows in the file is another member."""
    packed, path = io.BytesIO(), tmp_path / "k.npz"
    np.save(packed, np.ones((2, 8, 8), np.complex64))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("kspace.npy", packed.getvalue()[:-512])
        archive.writestr("other.npy", np.random.default_rng(0).bytes(4096))
        archive.getinfo("kspace.npy").file_size += 0 if is_stated else 512
    for read in (load, read_npz):
        with pytest.raises(ValueError, match=r"k.npz: not a readable npz file"):
            read(path)


def test_a_header_of_a_stream_takes_no_memory(rng):
    """The array of a stream is made once all samples have come."""
    pipe = io.BytesIO()
    streams.write_stream(pipe, random_complex(rng, (4, 3), np.complex64), "pogmdm", messages=True)
    shape = b"# Dimensions\n" + b" ".join([b"4", b"3", *14 * [b"1"]])
    for claim, message in ((b"4 3 90000000 1", "which do not fit"), (b"4 3 9999999999 9999999999", "header states")):
        claim = shape.replace(b"4 3 1 1", claim)
        sent = pipe.getvalue().replace(shape, claim).replace((len(claim) - len(shape)) * b"." + b"\n", b"\n", 1)
        with pytest.raises(ValueError, match=message):
            streams.read_stream(io.BytesIO(sent))


@pytest.mark.parametrize("words", [["f.npz", "out"], ["f.h5", "out"], ["f", "out"], ["-p", "f", "ksp", "out"],
                                   ["--prior", "f.npz", "ksp", "out"], ["volume", "f.npz", "out.h5"], ["view", "f"]])
def test_a_named_pipe_is_not_waited_for(folder, words, pogmdm):
    for name in ("f.npz", "f.h5", "f.hdr"):
        os.mkfifo(folder / name)
    before = names(folder)
    run = pogmdm(*words, cwd=folder)
    assert run.returncode == 1 and "expected a file, got a pipe" in run.stderr and run.stderr.count("\n") == 1
    assert names(folder) == before


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(folder, closed):
    def shell(words):
        return subprocess.run(["bash", "-c", f"{sys.executable} -m bart_pogmdm {words} {closed}"], cwd=folder,
                              capture_output=True, text=True, check=False)

    run = shell("-i1 ksp out sens")
    assert run.returncode == 0 and not run.stdout and not run.stderr
    assert names(folder) == sorted([*SCAN_FILES, "out.cfl", "out.hdr", "sens.cfl", "sens.hdr"])
    assert (folder / "out.cfl").stat().st_size == 8 * 40 * 36
    assert shell("-h").returncode == 0
    run = shell("nowhere out2")
    assert run.returncode == 1 and (run.stderr == "ERROR: nowhere.hdr: no such file\n" or "2>&-" in closed)
    if ">&-" in closed.split():
        run = shell("-i1 ksp -")
        assert run.returncode == 1
        assert "2>&-" in closed or run.stderr.startswith("ERROR: '-': cannot write to standard output")


def test_a_full_output_is_one_line(folder):
    for words in ("-h", "-i1 ksp -"):
        run = subprocess.run(["bash", "-c", f"{sys.executable} -m bart_pogmdm {words} > /dev/full"], cwd=folder,
                             capture_output=True, text=True, check=False)
        assert run.returncode == 1 and "No space left on device" in run.stderr and run.stderr.count("\n") == 1


def test_a_damaged_or_full_cache_of_machine_code_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "loops.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("loops").double

    def files():
        return sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())

    def loaded():
        """Whether the machine code came from the disk; it works in any case."""
        compiled = jit(function)
        assert compiled(4) == 8
        return bool(compiled.stats.cache_hits)

    assert not loaded() and [path.suffix for path in files()] == [".nbc", ".nbi"] and loaded()
    for path in files():
        content = path.read_bytes()
        for damaged in (content[:-1], b"", content[:400] + bytes([content[400 % len(content)] ^ 1]) + content[401:]):
            path.write_bytes(damaged)
            assert not loaded() and loaded()  # It is written anew.
    monkeypatch.setattr(IndexDataCacheFile, "_open_for_write", full)
    shutil.rmtree(tmp_path / "cache")
    assert not loaded() and not files()
    (tmp_path / "cache").rename(tmp_path / "moved")
    (tmp_path / "cache").write_text("no folder")
    assert not loaded()


@contextlib.contextmanager
def full(self, path):
    yield io.BytesIO()
    raise OSError(28, "No space left on device")


def test_sizes_in_cfl_do_not_wait_for_memory(tmp_path):
    write({tmp_path / "k": to_bart(np.ones((2, 4, 4), np.complex64))})
    (tmp_path / "k.hdr").write_text("# Dimensions\n" + 15 * "99999999 " + "1\n")
    with pytest.raises(ValueError, match="complex samples, got 256"):
        load(tmp_path / "k")
