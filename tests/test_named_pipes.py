"""Named pipes, as BART 1.0 has them: which end comes first, who removes them, and what happens when an end fails."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from command_line import in_foreground, names
from conftest import simulate
from test_streams import peer

from bart_pogmdm import recon, recon_volume
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.files import streams
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.files.kspace import load
from bart_pogmdm.toolbox.find_bart import find, version, version_number

pytestmark = pytest.mark.slow
MODERN = find() is not None and version_number(version()) >= (1, 0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with k-space and sensitivities, where no BART before 1.0 can be found."""
    kspace, _, _ = simulate((32, 28), coils=2)
    monkeypatch.chdir(tmp_path)
    write({"ksp": to_bart(kspace), "sens": recon(to_bart(kspace), iterations=1).sens})
    if not MODERN:
        monkeypatch.setenv("PATH", "/nonexistent")
        for name in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
            monkeypatch.delenv(name, raising=False)
    return tmp_path


def feed(name, content, wait=0.0):
    """Write bytes into a named pipe from a thread, as a process would that makes the pipe if it is not there."""
    def run():
        time.sleep(wait)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(name)
        with contextlib.suppress(BrokenPipeError), open(name, "wb") as pipe:
            pipe.write(content)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def drain(names_, found, wait=0.0):
    """Read named pipes one after another, and remove each, as BART does."""
    def run():
        time.sleep(wait)
        for name in names_:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(name)
            with open(name, "rb") as pipe:
                found[name] = streams.read_stream(pipe, name).array
            os.unlink(name)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("waits", [(0, 0.5, 0.5), (0.5, 0, 0)], ids=["others first", "command first"])
def test_either_end_comes_first(folder, waits):
    kspace, found = read("ksp"), {}
    feeding, draining = feed("k.fifo", peer(kspace, 8), waits[0]), drain(["img.fifo"], found, waits[1])
    assert main(["-i1", "k.fifo", "img.fifo"]) == 0
    feeding.join(10), draining.join(10)
    np.testing.assert_array_equal(found["img.fifo"], recon(kspace, iterations=1).image)
    assert names(folder) == ["ksp.cfl", "ksp.hdr", "sens.cfl", "sens.hdr"]


def test_shared_file_comes_through_a_named_pipe(folder):
    kspace = read("ksp")
    (folder / "bart-a1B2c3").write_bytes(kspace.tobytes(order="F"))
    feed("k.fifo", peer(kspace, data=folder / "bart-a1B2c3"))
    assert main(["-i1", "k.fifo", "out"]) == 0
    np.testing.assert_array_equal(read("out"), recon(kspace, iterations=1).image)
    assert names(folder) == ["ksp.cfl", "ksp.hdr", "out.cfl", "out.hdr", "sens.cfl", "sens.hdr"]


@pytest.mark.parametrize("order", [["k.fifo", "s.fifo"], ["s.fifo", "k.fifo"]], ids=" ".join)
def test_one_writer_fills_several_pipes_in_turn(folder, order):
    """More than a pipe holds goes into one pipe before the other is opened, whichever the command names first."""
    kspace = to_bart(simulate((72, 64), coils=4)[0])
    sens = recon(kspace, iterations=1).sens
    content = {"k.fifo": peer(kspace), "s.fifo": peer(sens)}
    assert min(map(len, content.values())) > 1 << 16

    def run():
        for name in order:
            feed(name, content[name]).join()

    threading.Thread(target=run, daemon=True).start()
    assert main(["-i1", "--sens", "s.fifo", "k.fifo", "out"]) == 0
    np.testing.assert_array_equal(read("out").reshape(72, 64, 1, 1), recon(kspace, sens=sens, iterations=1).image)


def test_several_outputs_are_read_in_any_order(folder):
    expected = recon(read("ksp"), iterations=1)
    for order in (["a.fifo", "b.fifo"], ["b.fifo", "a.fifo"]):
        found = {}
        draining = drain(order, found)
        assert main(["-i1", "ksp", "a.fifo", "b.fifo"]) == 0
        draining.join(10)
        np.testing.assert_array_equal(found["a.fifo"], expected.image)
        np.testing.assert_array_equal(found["b.fifo"], expected.sens)
    assert not [name for name in names(folder) if "fifo" in name]


def test_a_dash_goes_along_with_named_pipes(folder):
    kspace, found = read("ksp"), {}
    (folder / "stream").write_bytes(peer(kspace))
    feed("s.fifo", peer(read("sens")))
    draining = drain(["sens.fifo"], found)
    with open("stream", "rb") as stdin, open("out", "wb") as stdout:
        run = subprocess.run([sys.executable, "-m", "bart_pogmdm", "-i1", "--sens", "s.fifo", "-", "-", "sens.fifo"],
                             stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=60, check=False)
    draining.join(10)
    assert run.returncode == 0, run.stderr
    expected = recon(kspace, sens=read("sens"), iterations=1)
    with open("out", "rb") as file:
        np.testing.assert_array_equal(streams.read_stream(file).array, expected.image)
    np.testing.assert_array_equal(found["sens.fifo"], expected.sens)


@pytest.mark.parametrize("words, message", [
    (["file.fifo", "out"], "file.fifo: expected a named pipe, got another kind of file"),
    (["ksp", "file.fifo"], "file.fifo: expected a named pipe, got another kind of file"),
    (["ksp", "out", "none/x.fifo"], "none/x.fifo: cannot make a named pipe (No such file or directory)"),
    (["x.fifo", "./x.fifo"], "x.fifo: expected a named pipe once in a call, got it 2 times"),
    (["-p", "x.fifo", "x.fifo", "out"], "x.fifo: expected a named pipe once in a call, got it 2 times"),
])
def test_wrong_pipes_are_one_line(folder, capsys, words, message):
    (folder / "file.fifo").write_bytes(b"precious")
    before = names(folder)
    assert main(words) == 1
    assert capsys.readouterr().err == f"ERROR: {message}\n"
    assert names(folder) == before and (folder / "file.fifo").read_bytes() == b"precious"


@pytest.mark.parametrize("content, message", [(b"hello", "x.fifo: the stream ended within the header"),
                                              (b"hello" * 9, "x.fifo: expected a stream of BART, got other data")])
def test_a_damaged_stream_names_its_pipe(folder, capsys, content, message):
    """Though nothing comes through the other pipe."""
    feed("x.fifo", content)
    assert main(["--sens", "y.fifo", "x.fifo", "out"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ERROR: {message}") and error.count("\n") == 1
    assert not [name for name in names(folder) if "fifo" in name or "out" in name]


@pytest.mark.parametrize("words, message", [(["-i0"], "-i: expected a positive"), (["-B"], "unrecognized")])
def test_a_reader_that_waits_is_not_left_alone(folder, capsys, words, message):
    os.mkfifo("img.fifo")
    found = []
    reader = threading.Thread(target=lambda: found.append((folder / "img.fifo").read_bytes()), daemon=True)
    reader.start()
    time.sleep(0.2)
    assert main([*words, "ksp", "img.fifo"]) == 1
    reader.join(10)
    assert found == [b""] and message in capsys.readouterr().err


def test_a_reader_that_ends_early_is_one_line(folder, capsys):
    os.mkfifo("img.fifo")
    reader = threading.Thread(target=lambda: os.close(os.open("img.fifo", os.O_RDONLY)), daemon=True)
    reader.start()
    write({"large": to_bart(simulate((160, 160), coils=2)[0])})
    assert main(["-i1", "large", "img.fifo", "sens"]) == 1
    assert capsys.readouterr().err.endswith(
        "ERROR: img.fifo: the command that reads the output has ended; nothing was written\n")
    assert "sens.cfl" in names(folder) and read("sens").shape[:2] == (32, 28)


@pytest.mark.parametrize("words", [["w.fifo", "out"], ["-i1", "ksp", "w.fifo", "out"]], ids=["input", "output"])
@pytest.mark.parametrize("is_there, signum", [(True, signal.SIGINT), (False, signal.SIGINT), (False, signal.SIGHUP)])
def test_interrupted_while_a_pipe_waits(folder, words, is_there, signum):
    """A pipe that the command has made is removed, and another one stays."""
    if is_there:
        os.mkfifo("w.fifo")
    before = names(folder)
    process = in_foreground(*words)
    deadline = time.monotonic() + 30
    while not waits_in_a_pipe(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signum)
    assert process.communicate(timeout=30)[1].endswith("ERROR: interrupted; nothing was written\n")
    assert process.returncode == -signum and names(folder) == before


def waits_in_a_pipe(pid):
    """Whether a thread of a process waits for the other end of a named pipe (Linux shows where it sleeps)."""
    def state(task):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/wchan") as file:
            return file.read()
        return ""

    return any("fifo" in state(task) or "wait_for_partner" in state(task) for task in os.listdir(f"/proc/{pid}/task"))


@pytest.mark.skipif(find() is None or MODERN, reason="needs a BART before 1.0")
def test_a_bart_without_named_pipes_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (["x.fifo", "out"], ["ksp", "x.fifo"], ["--keep", "x.fifo", "ksp", "out"]):
        assert main(words) == 1
        said = f"ERROR: x.fifo: named pipes need BART 1.0, and this machine has {version()}\n"
        assert capsys.readouterr().err == said
    assert names(tmp_path) == []


@pytest.mark.skipif(not MODERN, reason="needs BART 1.0")
def test_named_pipes_with_the_real_bart(folder):
    def shell(command):
        done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    pogmdm = f"{sys.executable} -m bart_pogmdm -i1"
    shell(f"bart phantom -x32 -k -s2 k; {pogmdm} k image; bart toimg image file.png")
    for options in ("", "--stream-bin-out"):
        shell(f"bart {options} phantom -x32 -k -s2 k.fifo & {pogmdm} k.fifo i.fifo & bart toimg i.fifo x.png; wait")
        assert (folder / "x.png").read_bytes() == (folder / "file.png").read_bytes()
        shell(f"bart {options} phantom -x32 -k -s2 - | bart tee -n 1.fifo 2.fifo & bart pattern 1.fifo p.fifo &"
              f" {pogmdm} -p p.fifo 2.fifo out; wait")
        np.testing.assert_array_equal(read("out"), read("image"))
    assert not [name for name in names(folder) if "fifo" in name]


@pytest.mark.parametrize("ending", [".fifo", ".coo", ".shm", ".mem"])
def test_other_kinds_of_names_are_refused_everywhere(folder, capsys, ending):
    """None of them becomes a pair x.fifo.hdr and x.fifo.cfl."""
    name, said = f"x{ending}", "expected one of BART's names, without ending or with .cfl, .hdr or .ra"
    commands = [["volume", name, "out"], ["view", name], ["volume", "-p", name, "ksp", "out"],
                ["compare", name, "-o", "folder"]]
    if ending != ".fifo":
        commands += [[name, "out"], ["ksp", name], ["-p", name, "ksp", "out"], ["--keep", name, "ksp", "out"]]
    before = names(folder)
    for words in commands:
        assert main(words) == 1
        error = capsys.readouterr().err
        assert name in error and said in error and f", got {ending}" in error, error
        assert error.count("\n") == 1
    assert main(["volume", "ksp", name]) == 1 and name in capsys.readouterr().err
    for call in (lambda: read(name), lambda: write({name: np.ones(2)}), lambda: load(name),
                 lambda: recon_volume(name, "out")):
        with pytest.raises(ValueError, match=said):
            call()
    assert names(folder) == before
    os.mkfifo(name)
    with pytest.raises(ValueError, match=said):
        read(name)
    assert stat.S_ISFIFO(os.stat(name).st_mode)
