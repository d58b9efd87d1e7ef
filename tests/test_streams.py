"""Streams: the protocol of BART 1.0 against a peer written here, that of 0.8 with the real BART."""

import contextlib
import io as memory
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import FUZZ_EXAMPLES, simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import random_complex

from bart_pogmdm.arrays.bart_dims import pad_dims, to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.files import streams
from bart_pogmdm.files.cfl import header_text, read, write
from bart_pogmdm.toolbox.find_bart import version

pytestmark = pytest.mark.slow

SHAPE = (3, 2, 1, 4)


def message(keyword, number=None):
    """24 bytes as BART 1.0 sends them: a payload begins on a new line."""
    text = f"\n# {keyword}\n" + ("" if number is None else str(number)) + "\0"
    return (text.ljust(23) + ("\n" if keyword in ("raw", "block") else " ")).encode()


def peer(array, flags=0, order=None, data=None, blocks=False):
    """What BART 1.0 sends for an array, in slices over the dimensions in `flags`, in any order."""
    text = f"# Dimensions\n{' '.join(map(str, pad_dims(array.shape)))} \n"
    text += f"# Data\n{data}\n" if data else ""
    text += "# Command\nphantom -k - \n# Creator\nBART v1.0.00\n"
    total = max(256, 13 + len(text))
    out = f"# Header\n{total:03d}\n{text}".encode().ljust(total - 1, b".") + b"\n"
    if total == 13 + len(text):
        out = f"# Header\n{total:03d}\n{text}".encode()
    out += message("flags", flags) + (b"" if data else message("binary")) + message("---")
    full = array.reshape(pad_dims(array.shape), order="F")
    axes = [axis for axis in range(16) if flags >> axis & 1]
    sizes = [full.shape[axis] for axis in axes]
    for index in order if order is not None else range(int(np.prod(sizes))):
        where = [slice(None)] * 16
        for axis, place in zip(axes, np.unravel_index(index, sizes, order="F") if axes else ()):
            where[axis] = slice(place, place + 1)
        raw = full[tuple(where)].astype("<c8").tobytes(order="F")
        out += message("index", index)
        out += (message("block", 5) + b"event") if blocks else b""
        out += b"" if data else message("raw", len(raw)) + raw
        out += message("---")
    return out


@pytest.mark.parametrize("flags, order", [(0, None), (8, None), (8, [2, 0, 3, 1]), (2 | 8, None), (1, [2, 1, 0])])
@pytest.mark.parametrize("blocks", [False, True])
def test_binary_stream_of_1_0(rng, flags, order, blocks):
    array = random_complex(rng, SHAPE, np.complex64)
    stream = streams.read_stream(memory.BytesIO(peer(array, flags, order, blocks=blocks)))
    assert stream.messages
    np.testing.assert_array_equal(stream.array, array.reshape(pad_dims(SHAPE)))


@pytest.mark.parametrize("flags", [0, 8])
def test_shared_file_of_1_0_is_removed(rng, tmp_path, flags):
    array = random_complex(rng, SHAPE, np.complex64)
    path = tmp_path / "bart-a1B2c3"
    path.write_bytes(array.tobytes(order="F"))
    stream = streams.read_stream(memory.BytesIO(peer(array, flags, data=path)))
    np.testing.assert_array_equal(stream.array, array.reshape(pad_dims(SHAPE)))
    assert not path.exists()


def test_recorded_header_of_1_0():
    """The bytes of a stream as BART 1.0 writes them for one complex sample 1 + 2i."""
    head = (b"# Header\n256\n# Dimensions\n1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 \n# Command\nones 1 1 - \n# Files\n >-\n"
            b"# Creator\nBART v1.0.00\n")
    body = (b"\n# flags\n0\0             \n# binary\n\0             \n# ---\n\0                "
            b"\n# index\n0\0             \n# raw\n8\0              \n" + np.array([1 + 2j], "<c8").tobytes()
            + b"\n# ---\n\0                ")
    stream = streams.read_stream(memory.BytesIO(head.ljust(255, b".") + b"\n" + body))
    assert stream.array.ravel() == [1 + 2j]


def test_what_is_written_is_read(rng, tmp_path, monkeypatch):
    array = random_complex(rng, (5, 4), np.complex64)
    pipe = memory.BytesIO()
    streams.write_stream(pipe, array, "pogmdm - -", messages=True)
    assert int(pipe.getvalue()[9:12]) == 256 and pipe.getvalue()[255:256] == b"\n"
    pipe.seek(0)
    assert peer(array)[256:] == pipe.getvalue()[256:]
    np.testing.assert_array_equal(streams.read_stream(pipe).array[..., 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], array)
    long = memory.BytesIO()
    streams.write_stream(long, array, "pogmdm " + 2000 * "x", messages=True)
    long.seek(0)
    assert streams.read_stream(long).array.size == array.size
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pipe = memory.BytesIO()
    streams.write_stream(pipe, array, "pogmdm - -", messages=False)
    assert len(list(tmp_path.iterdir())) == 1
    pipe.seek(0)
    stream = streams.read_stream(pipe)
    assert not stream.messages and not list(tmp_path.iterdir())
    np.testing.assert_array_equal(stream.array.ravel(order="F"), array.ravel(order="F"))


def test_a_broken_pipe_leaves_no_file(rng, tmp_path, monkeypatch):
    class Closed(memory.RawIOBase):
        def write(self, data):
            raise BrokenPipeError

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for messages in (False, True):
        with pytest.raises(BrokenPipeError):
            streams.write_stream(Closed(), np.ones((3, 3)), "pogmdm", messages)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", [0, 5, 11, 100, 256, 270, 290, 330, 360, 420, -25, -1])
def test_streams_that_end_early(rng, tmp_path, part):
    array, path = random_complex(rng, SHAPE, np.complex64), tmp_path / "bart-a1B2c3"
    with pytest.raises(ValueError, match="the stream ended within"):
        streams.read_stream(memory.BytesIO(peer(array, 8)[:part]))
    path.write_bytes(array.tobytes(order="F"))
    if part >= 256 or part < 0:
        sent = peer(array, 8, data=path)[:max(part, -1) if part < 0 else min(part, 380)]
        with pytest.raises(ValueError, match="the stream ended within"):
            streams.read_stream(memory.BytesIO(sent))
        assert not path.exists()


def cut(stream, start, end):
    """Without the first message that begins with `start`, and what belongs to it."""
    head = stream.partition(start)[0]
    return head + stream[stream.index(end, len(head)):]


def twice(stream, start, end):
    """With that message twice."""
    head = stream.partition(start)[0]
    return stream[:stream.index(end, len(head))] + stream[len(head):]


@pytest.mark.parametrize("change, message_", [
    (lambda s: s.replace(b"# Header\n256", b"# Header\n12x"), "header of 256 to 999 bytes"),
    (lambda s: s.replace(b"\n# index\n0", b"\n# index\n7"), "each of 4 slices once, got 7"),
    (lambda s: s.replace(b"\n# index\n1", b"\n# index\n0"), "each of 4 slices once, got 0"),
    (lambda s: s.replace(b"\n# raw\n48", b"\n# raw\n40"), "do not fit its dimensions"),
    (lambda s: s.replace(b"# binary", b"# bin"), "expected a message|settings do not agree"),
    (lambda s: s.replace(b"\n# index", b"\n# indox"), "unexpected message 'indox'"),
    (lambda s: s.replace(b"# flags\n8\0       ", b"# flags\n99999999\0"), "among 16, got the flags 99999999"),
    (lambda s: cut(s, b"\n# raw", b"\n# ---"), "samples of slice 0 in the stream, got none"),
    (lambda s: twice(s, b"\n# raw", b"\n# ---"), "samples of slice 0 once, got more"),
    (lambda s: b"\0" + s, "expected a stream of BART, got other data"),
])
def test_wrong_streams_are_named(rng, change, message_):
    stream = change(peer(random_complex(rng, SHAPE, np.complex64), 8))
    with pytest.raises(ValueError, match=message_):
        streams.read_stream(memory.BytesIO(stream))


def test_only_files_of_samples_are_removed(tmp_path):
    precious = tmp_path / "thesis.cfl"
    precious.write_bytes(bytes(8))
    for text in (f"# Dimensions\n1\n# Data\n{precious}\n".encode(), peer(np.ones(1, np.complex64), data=precious)):
        with pytest.raises(ValueError, match="expected a file bart-XXXXXX"):
            streams.read_stream(memory.BytesIO(text))
    assert precious.exists()


@given(st.binary(max_size=600), st.integers(0, 600), st.sampled_from(["flip", "insert", "cut", "noise"]))
@settings(max_examples=2 * FUZZ_EXAMPLES, deadline=None)
def test_any_bytes_end_in_an_array_or_one_error(noise, place, kind):
    stream = peer(np.ones(SHAPE, np.complex64), 8)
    mutated = {"flip": stream[:place] + noise[:8] + stream[place + len(noise[:8]):], "cut": stream[:place],
               "insert": stream[:place] + noise + stream[place:], "noise": noise}[kind]
    with contextlib.suppress(ValueError, OSError):
        assert streams.read_stream(memory.BytesIO(mutated)).array.size <= len(mutated)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory that is also TMPDIR, with k-space of a phantom."""
    kspace, _, _ = simulate((40, 36), coils=3)
    write({tmp_path / "kspace": to_bart(kspace)})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


POGMDM = f"{sys.executable} -m bart_pogmdm -i3"


def shell(command, timeout=120):
    return subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, timeout=timeout,
                          check=False)


def test_a_blank_in_the_name_of_the_folder_of_samples(bart, folder, monkeypatch):
    """BART before 1.0 reads the name of the file of samples up to the first blank."""
    os.mkdir("a b")
    monkeypatch.setenv("TMPDIR", str(folder / "a b"))
    dash = "" if not version().startswith("v0.") else "-- "
    done = shell(f"{POGMDM} -i1 kspace - | bart copy {dash}- out")
    assert done.returncode == 0 and read("out").shape == read("kspace")[:, :, :, :1].shape, done.stderr
    assert not [name for name in (*names(folder), *os.listdir("a b")) if name.startswith("bart-")]


def test_pipeline_with_the_real_bart(bart, folder):
    modern = not version().startswith("v0.")
    dash = "" if modern else "-- "  # before 1.0 a dash is a file name only there
    done = shell(f"bart phantom -x40 -k -s4 {dash}- | {POGMDM} - - | bart toimg {dash}- out.png")
    assert done.returncode == 0, done.stderr
    bart(0, "phantom -x40 -k -s4 k")
    assert main(["-i3", "k", "image"]) == 0
    bart(0, "toimg image file.png")
    assert (folder / "out.png").read_bytes() == (folder / "file.png").read_bytes()
    assert not [name for name in names(folder) if name.startswith("bart-")]


def test_pipeline_in_messages(folder):
    """Our own two ends, in the form of 1.0."""
    kspace = read("kspace")
    (folder / "stream").write_bytes(peer(kspace, 8))
    done = shell(f"{POGMDM} - - < stream > out")
    assert done.returncode == 0, done.stderr
    with open("out", "rb") as file:
        stream = streams.read_stream(file)
    assert main(["-i3", "kspace", "image"]) == 0
    assert stream.messages
    np.testing.assert_array_equal(stream.array, read("image"))


def test_dead_neighbours(folder):
    before = names(folder)
    for command in (f"false | {POGMDM} - out", f"head -c 300 /dev/zero | {POGMDM} - out", f"{POGMDM} kspace - | true",
                    f"{POGMDM} kspace - sens | true"):
        done = shell(command)
        assert done.returncode != 0 and done.stderr.count(b"ERROR") == 1
        assert names(folder) == before


def test_our_own_failure_takes_the_samples_along(bart, folder):
    before = names(folder)
    for words in ("- nowhere/out", "--levels 3 - out", "--cc 9 - out"):
        if version().startswith("v0."):
            done = shell(f"bart phantom -x16 -k -- - | {POGMDM} {words}")
            assert done.returncode == 1 and names(folder) == before


@pytest.mark.parametrize("form", ["file", "messages"])
def test_killed_upstream(folder, form):
    """The command before is killed while it sends."""
    kspace = read("kspace")
    if form == "messages":
        start = peer(kspace, 8)[:-400]
    else:
        (folder / "bart-a1B2c3").write_bytes(kspace.tobytes(order="F")[:-8])
        start = header_text(kspace.shape, "phantom", folder / "bart-a1B2c3").encode()
    reading, writing = os.pipe()
    child = subprocess.Popen([sys.executable, "-m", "bart_pogmdm", "-", "out"], stdin=reading, stderr=subprocess.PIPE)
    os.close(reading)
    os.write(writing, start)
    os.close(writing)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 1 and err.startswith(b"ERROR: '-'")
    assert names(folder) == ["kspace.cfl", "kspace.hdr"]


def test_killed_while_waiting_for_the_stream(folder):
    (folder / "bart-a1B2c3").write_bytes(bytes(8))
    reading, writing = os.pipe()
    child = subprocess.Popen([sys.executable, "-m", "bart_pogmdm", "-", "out"], stdin=reading, stderr=subprocess.PIPE)
    os.close(reading)
    os.write(writing, peer(np.ones(1, np.complex64), data=folder / "bart-a1B2c3")[:280])
    deadline = time.monotonic() + 30
    while (folder / "bart-a1B2c3").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)  # though the pipe is still open
    os.close(writing)
    assert child.returncode == -signal.SIGTERM and err.startswith(b"ERROR: interrupted")
    assert names(folder) == ["kspace.cfl", "kspace.hdr"]


@pytest.mark.parametrize("words, message_", [
    ("- out -p -", "expected one input in a stream, got 2"),
    ("kspace - -", "expected one output in a stream, got 2"),
])
def test_one_stream_in_and_one_out(folder, words, message_):
    done = shell(f"{POGMDM} {words}")
    assert done.returncode == 1 and message_ in done.stderr.decode()


def test_names_may_hold_any_letter(folder):
    """Headers carry the command, and with it file names."""
    assert shell(f"cp kspace.hdr käse.hdr; cp kspace.cfl käse.cfl; {POGMDM} käse brötchen").returncode == 0
    assert shell(f"{POGMDM} -I brötchen kspace - | cat > stream; {POGMDM} - image < stream").returncode in (0, 1)
    assert "käse" in (folder / "brötchen.hdr").read_text()
    assert read("brötchen").shape[:2] == (40, 36)
