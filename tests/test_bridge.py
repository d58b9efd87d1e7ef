"""`bart()`: BART called on arrays, with its options, its text and its errors."""

import concurrent.futures
import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm import BartError, write
from bart_pogmdm.toolbox.bart_call import quiet_bart
from bart_pogmdm.toolbox.find_bart import version


@pytest.fixture
def array(rng):
    return random_complex(rng, (8, 6, 1, 2), np.complex64)


@pytest.fixture
def kspace(bart):
    return bart(1, "phantom -x16 -k -s2")


@pytest.fixture
def private(tmp_path, monkeypatch):
    """A folder for temporary files, which must be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    assert not list(folder.iterdir())


def test_one_output_is_an_array_and_several_are_a_list(bart, array, kspace, private):
    np.testing.assert_allclose(bart(1, ["scale", 2], array), 2 * array)
    np.testing.assert_allclose(bart(1, "scale '2'", array), 2 * array)
    image, sens = bart(2, "nlinv -i3", kspace)
    assert image.shape == (16, 16) and sens.shape == (16, 16, 1, 2)
    image += 1  # ordinary memory


def test_what_a_command_prints_is_returned_shown_and_kept(bart, array, capsys, private):
    assert bart(0, "nrmse", array, 1.1 * array) == "0.100000"
    assert capsys.readouterr() == ("0.100000\n", "") and bart.stdout == "0.100000\n"
    assert (bart.stderr, bart.ERR) == ("", 0)
    assert bart(0, "bitmask 0 1 3") == "11" and bart(0, "version") == version()
    shown = bart(0, "show", np.arange(3))
    assert "+1.000000e+00" in shown and "+2.000000e+00" in shown
    assert bart(0, "nlinv -h").startswith("Usage: nlinv") and bart.stdout.endswith("help\n")
    assert bart(0, f"zeros 2 3 3 {os.environ['TMPDIR']}/zeros") is None and bart.stdout == ""
    for ending in (".cfl", ".hdr"):
        (private / f"zeros{ending}").unlink()


def test_estdelay_answers_with_numbers(bart, capsys):
    traj = bart(1, "traj -x 32 -y 15 -r")
    delays = bart(0, "estdelay", traj, bart(1, "phantom -k -s2", t=traj))
    assert len([float(part) for part in delays.split(":")]) == 3 and delays in capsys.readouterr().out


def test_a_command_that_prints_and_returns_an_array_does_both(bart, capsys):
    mask = bart(1, "poisson -Y 32 -Z 32 -y 2 -z 2 -e")
    assert mask.shape == (1, 32, 32) and "points: " in bart.stdout and bart.stdout == capsys.readouterr().out


def test_warnings_are_shown(bart, capsys):
    with contextlib.suppress(BartError):  # 1.0 refuses what the others only warn of.
        bart(0, "estdelay", bart(1, "phantom -x16 -k -s4"), bart(1, "phantom -x16 -k -s4"))
    assert bart.stderr and "\x1b" not in bart.stderr
    shown = capsys.readouterr().err
    assert bart.stderr.splitlines()[0].split(": ")[1] in shown


def test_text_goes_where_the_caller_sends_it(bart, array, capsys):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        bart(0, "bitmask 2")
    assert text.getvalue() == "4\n" and capsys.readouterr().out == ""
    assert quiet_bart(0, "bitmask 3") == "8" and capsys.readouterr() == ("", "")
    assert bart.stdout == "4\n"


def test_a_failure_says_the_command_the_code_and_the_text_without_colours(bart, array, private):
    with pytest.raises(BartError, match=r"`bart scale x y z .*` failed with exit code .*: .*") as caught:
        bart(1, "scale x y z", array)
    error = caught.value
    assert error.returncode == bart.ERR != 0 and error.stderr == bart.stderr != "" and "scale" in error.command
    assert "\x1b" not in error.stderr + str(error)
    with pytest.raises(BartError, match=r"nrmse -t 0\.01 .* failed with exit code 1: .*") as caught:
        bart(0, "nrmse", array, 1.1 * array, t=0.01)
    assert (caught.value.returncode, caught.value.stdout) == (1, "0.100000\n")
    assert bart(0, "nrmse", array, 1.1 * array, t=0.2) == "0.100000" and bart.ERR == 0
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is BartError and str(copy) == str(error) and copy.stderr == error.stderr
    with pytest.raises(BartError, match="Unknown bart command"):
        bart(0, "no-such-command")


def test_an_output_that_is_not_written_is_named(bart, private):
    with pytest.raises(BartError, match=r"`bart nlinv -h .*` wrote no output 1 of the 2 asked for by nargout"):
        bart(2, "nlinv -h")
    assert bart.ERR == 0 and bart.stdout.startswith("Usage: nlinv")


def test_keywords_are_options(bart, kspace, array, tmp_path, private):
    scaled, plain = bart(1, "nlinv -S -i3", kspace), bart(1, "nlinv -i3", kspace)
    for same in (bart(1, "nlinv", kspace, S=True, i=3), bart(1, "nlinv -S", kspace, i=np.int64(3)),
                 bart(1, ["nlinv", "-i", 3], kspace, S=np.True_), bart(1, "nlinv -S", kspace, i="3")):
        np.testing.assert_array_equal(same, scaled)
    for same in (bart(1, "nlinv -i3", kspace, S=False), bart(1, "nlinv -i3", kspace, S=None)):
        np.testing.assert_array_equal(same, plain)
    assert np.abs(scaled - plain).max() > 0.1 * np.abs(plain).max()
    sens = bart(1, "ecalib -m1", kspace)
    np.testing.assert_array_equal(bart(1, "pics", kspace, sens, R="T:3:0:.01", i=4, lowmem=True),
                                  bart(1, "pics -U -i4 -R T:3:0:.01", kspace, sens))
    pattern = np.arange(16) % 2 == np.zeros((16, 1))
    write({tmp_path / "pattern": pattern})
    np.testing.assert_array_equal(bart(1, "pics -i4", kspace, sens, p=pattern),
                                  bart(1, "pics -i4", kspace, sens, p=tmp_path / "pattern"))
    assert bart(1, "traj -r", x=16, y=4).shape == (3, 16, 4)


def test_a_list_of_numbers_is_a_vector(bart):
    traj = bart(1, "traj -r -x16 -y8")
    image = bart(1, "nufft -a", traj, bart(1, "phantom -k", t=traj), d=(12, 12, 1))
    assert image.shape == (12, 12)


def test_options_stand_before_files_and_numbers(bart, array):
    """BART 0.8 and 0.9 take no option behind the first word that is none."""
    forward = bart(1, "fft 3", array, u=True)
    np.testing.assert_array_equal(forward, bart(1, "fft -u 3", array))
    np.testing.assert_allclose(bart(1, "fft 3", forward, u=True, i=True), array, atol=1e-5)


@pytest.mark.parametrize("nargout, command, inputs, options, message", [
    ("scale 2", 1, [], {}, "nargout: expected the number of outputs, an integer, got str"),
    (True, "scale 2", [], {}, "nargout: .*, got bool"),
    (1.0, "scale 2", [], {}, "nargout: .*, got float"),
    (None, "scale 2", [], {}, "nargout: .*, got NoneType"),
    (1, np.ones(3), [], {}, "command: expected a string or a list of words, got ndarray"),
    (1, b"scale 2", [], {}, "command: .*, got bytes"),
    (1, ["scale", 1 + 2j], [], {}, "command: expected text or real numbers, got complex"),
    (1, ["scale", None], [], {}, "command: .*, got NoneType"),
    (1, "scale 2", ["file"], {}, "input 1: expected an array, got str; numbers and file names belong in the command"),
    (1, "scale", [2, np.ones(3)], {}, "input 1: expected an array, got int"),
    (1, "scale", [np.float32(2), np.ones(3)], {}, "input 1: expected an array, got float32"),
    (1, "scale 2", [np.ones(3), None], {}, "input 2: expected an array, got NoneType"),
    (1, "scale 2", [{"a": 1}], {}, "input 1: expected an array, got dict"),
    (1, "scale 2", [np.array(["a"])], {}, "input 1: expected an array of numbers, got ndarray of <U1"),
    (1, "scale 2", [np.array([None])], {}, "input 1: expected an array of numbers, got ndarray of object"),
    (1, "scale 2", [np.array(["2020"], "M8[D]")], {}, "input 1: expected an array of numbers"),
    (1, "scale 2", [[[1, 2], [3]]], {}, "input 1: expected an array, got list"),
    (1, "scale 2", [np.ma.array([1, 2], mask=[0, 1])], {}, "input 1: expected an array without a mask"),
    (1, "nlinv", [np.ones((8, 8))], {"i": 1j}, "i: expected an array, got complex"),
    (1, "nlinv", [np.ones((8, 8))], {"x": (8, True)}, "x: expected text or real numbers, got bool"),
    (1, "nlinv", [np.ones((8, 8))], {"p": [[1, 0], [0, 1]]}, "p: expected text or real numbers, got list"),
    (1, "nlinv", [np.ones((8, 8))], {"p": np.array(["x"])}, "p: expected an array of numbers"),
])
def test_a_wrong_type_is_a_type_error(bart, nargout, command, inputs, options, message, private):
    with pytest.raises(TypeError, match=message):
        bart(nargout, command, *inputs, **options)


@pytest.mark.parametrize("nargout, command, inputs, message", [
    (-1, "scale 2", [np.ones(3)], "nargout: .* >= 0, got -1"),
    (1, " ", [], "command: expected the name of a command"),
    (1, [], [], "command: expected the name of a command"),
    (1, "scale '2", [np.ones(3)], "command: no closing quotation in \"scale '2\""),
    (1, "scale 2", [np.ones((3, 0))], r"input 1: expected at least one sample, got the shape \(3, 0\)"),
    (1, "scale 2", [np.ones((1,) * 16 + (2,))], "input 1: expected at most 16 dimensions, got 17"),
    (1, "scale 2", [np.ones(3), np.array([1e300])], "input 2: expected values within single precision"),
])
def test_what_bart_cannot_hold_is_a_value_error(bart, nargout, command, inputs, message, private):
    with pytest.raises(ValueError, match=message):
        bart(nargout, command, *inputs)


@pytest.mark.parametrize("dtype", [bool, np.int16, np.uint64, np.float16, np.float64, np.complex128, ">c8"])
@pytest.mark.parametrize("order", ["C", "F", "reversed"])
def test_every_type_of_number_and_order_arrives(bart, rng, dtype, order):
    array = (9 * random_complex(rng, (3, 70, 1, 2))).real.astype(dtype)
    array = array[:, ::-1] if order == "reversed" else np.asarray(array, order=order)
    np.testing.assert_array_equal(bart(1, "scale 1", array), array.astype(np.complex64))


def test_unusual_arrays_arrive(bart):
    assert bart(1, "scale 2", np.array(3.0)) == 6
    np.testing.assert_array_equal(bart(1, "scale 2", [1, 2j]), [2, 4j])
    np.testing.assert_array_equal(bart(1, "scale 2", np.ones((2,) * 3 + (1,) * 14)), np.full((2, 2, 2), 2))
    found = bart(1, "transpose 0 1", np.array([np.nan, np.inf, 1]))
    np.testing.assert_array_equal(found.real.ravel(), [np.nan, np.inf, 1])


def test_threads_do_not_mix_their_arrays_or_their_text(bart):
    bart(0, "bitmask 9")

    def both(n):
        text = bart(0, f"bitmask {n}")
        return text, bart.stdout, bart(1, "scale 1", np.full(n + 1, n)), bart.stdout

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for n, (text, kept, array, last) in enumerate(pool.map(both, range(12))):
            assert (text, kept, last) == (str(2**n), f"{2**n}\n", "") and array.tolist() == [n] * (n + 1)
    assert bart.stdout == "512\n"


def test_it_looks_like_a_function(bart):
    assert bart.__name__ == "bart" and "nargout" in bart.__doc__
    assert pickle.loads(pickle.dumps(bart)) is bart


def child(code, private, **streams):
    # In a session of its own, Python alone gets the signal, as from a notebook's stop button.
    # A shell's background jobs ignore this signal, and hand that on.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.Popen([sys.executable, "-c", heard + "import numpy as np; from bart_pogmdm import bart\n" + code],
                            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}, text=True,
                            start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **streams)


def test_an_interrupted_call_leaves_neither_files_nor_bart(bart, private):
    code = "x = bart(1, 'phantom -x 128 -k -s 4'); print('ready', flush=True); bart(1, 'nlinv -i 25', x)"
    with child(code, private) as python:
        assert python.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 30
        while not list(private.glob("bart-*/*.ra")):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.2)
        children = Path(f"/proc/{python.pid}/task/{python.pid}/children").read_text().split()
        python.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in python.communicate(timeout=30)[1]
    assert not [number for number in children if Path("/proc", number).exists()]


def test_a_command_that_reads_a_stream_does_not_wait(bart, private):
    with child("bart(1, 'fft -u -- 3 -')", private, stdin=subprocess.PIPE) as python:
        assert python.wait(30) == 1
        assert "BartError" in python.stderr.read()


def test_missing_bart_is_named(monkeypatch, tmp_path):
    from bart_pogmdm import bart
    for variable in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version() is None
    with pytest.raises(FileNotFoundError, match="bart: not found"):
        bart(1, "phantom")
