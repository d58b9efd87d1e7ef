"""The command `pogmdm`: it is the Python call, and whatever goes wrong ends in one line and no files."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import SCAN_FILES, handles_signals, hear, in_foreground, names, needs_proc, process, write_scan

from bart_pogmdm import Diffusion, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands import COMMANDS, main
from bart_pogmdm.commands.option_table import POGMDM
from bart_pogmdm.commands.wording import closest, in_shell
from bart_pogmdm.files.cfl import read, write

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """A folder with k-space and pattern; checks in the end that these are as they were."""
    write_scan(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    yield tmp_path
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_command_is_the_python_call(folder):
    run = process("-i", 4, "-p", "pat", "-S", "-s1", "ksp", "image", "sens.ra", cwd=folder)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    expected = recon(read(folder / "ksp"), read(folder / "pat"), iterations=4)
    image, sens = read(folder / "image"), read(folder / "sens.ra")
    assert np.linalg.norm(image - expected.image) < 1e-5 * np.linalg.norm(image)
    assert np.linalg.norm(sens - expected.sens) < 1e-5 * np.linalg.norm(sens)
    assert "# Command\npogmdm -i 4 -p pat" in (folder / "image.hdr").read_text()
    assert names(folder) == sorted([*SCAN_FILES, "image.cfl", "image.hdr", "sens.ra"])


def test_options_reach_the_reconstruction(folder, pogmdm, monkeypatch):
    kspace = read(folder / "ksp")
    start = recon(kspace, iterations=2).image
    write({folder / "start": start})
    for words, keywords in ((["-N"], {"normalize": False}), (["-m2"], {"maps": 2}),
                            (["--noise", "0.02"], {"noise_std": 0.02}),
                            (["-I", "start"], {"start": start})):
        assert pogmdm("-i2", *words, "ksp", "out", cwd=folder).returncode == 0
        np.testing.assert_allclose(read(folder / "out"), recon(kspace, iterations=2, **keywords).image, atol=1e-7)
    assert pogmdm("ksp", "out", cwd=folder).returncode == 0
    np.testing.assert_allclose(read(folder / "out"), recon(kspace).image, atol=1e-7)
    run = pogmdm("-i2", "-d3", "ksp", "out", cwd=folder)
    assert "prior: brain-mr" in run.stderr and "noise_std: " in run.stderr
    monkeypatch.setenv("BART_DEBUG_LEVEL", "4")
    run = pogmdm("-i2", "ksp", "out", cwd=folder)
    assert "prior: brain-mr" in run.stderr


def test_samples(folder, pogmdm):
    """Mean, std and the samples themselves are those of Python; -N is a switch alone, and with a number the levels."""
    kspace = read(folder / "ksp")
    run = pogmdm("-i3", "--samples", 2, "-s4", "--keep", "all", "ksp", "mean", "sens", "std", cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")
    expected = recon(kspace, samples=2, iterations=3, seed=4, keep_samples=True)
    assert expected.info["method"] == "gibbs"
    for name, array in (("mean", expected.image), ("std", expected.std), ("all", expected.samples)):
        np.testing.assert_allclose(read(folder / name).reshape(array.shape), array, atol=1e-6)
    assert read(folder / "all").shape[15] == 2
    assert pogmdm("-i3", "-s4", "ksp", "mean", "sens", "std", cwd=folder).returncode == 0
    np.testing.assert_allclose(read(folder / "std").reshape(expected.std.shape),
                               recon(kspace, samples=10, iterations=3, seed=4).std, atol=1e-6)
    words = ["--method", "diffusion", "--samples", 1, "--come-closer", 0.3, "-K2"]
    method = Diffusion(num_levels=20, num_corrector=2, come_closer=0.3)
    for levels in (["-N", 20], ["-N20"], ["--levels", 20]):
        assert pogmdm(*words, *levels, "ksp", "out", cwd=folder).returncode == 0
        np.testing.assert_allclose(read(folder / "out"), recon(kspace, method=method, samples=1).image, atol=1e-6)
    assert pogmdm(*words, "-N20", "-N", "ksp", "out", cwd=folder).returncode == 0
    np.testing.assert_allclose(read(folder / "out"),
                               recon(kspace, method=method, samples=1, normalize=False).image, atol=1e-6)


def test_higher_dimensions(folder, pogmdm):
    kspace = read(folder / "ksp")
    write({folder / "stack": np.concatenate([kspace, 1j * kspace], axis=10)})
    assert pogmdm("-i2", "stack", "out", cwd=folder).returncode == 0
    out = read(folder / "out")
    assert out.shape[10] == 2
    np.testing.assert_array_equal(out[..., :1, :, :, :, :, :], recon(kspace, iterations=2).image)


def spoil(folder, what):
    kspace = read(folder / "ksp")
    if what == "nan":
        kspace[3, 3] = np.nan
    if what == "inf":
        kspace[3, 3] = np.inf
    if what == "real":
        kspace = kspace.real
    if what == "zero":
        kspace = 0 * kspace
    if what == "line":
        kspace = kspace[:, :1]
    if what == "maps":
        kspace = kspace.reshape(40, 36, 1, 1, 4)
    write({folder / "bad": kspace})
    if what == "truncated":
        (folder / "bad.cfl").write_bytes((folder / "bad.cfl").read_bytes()[:-8])
    if what == "header":
        (folder / "bad.hdr").write_text("hello\n")
    write({folder / "negative": np.full((40, 36), -0.5), folder / "wide": np.ones((40, 37)),
           folder / "none": np.zeros((40, 36)), folder / "coils": np.ones((40, 36, 1, 3)),
           folder / "short": np.ones((3, 1, 1, 4))})
    (folder / "prior.npz").write_text("no prior")


@pytest.mark.parametrize("what, words, message", [
    ("", ["nowhere", "out"], "nowhere.hdr: no such file"),
    ("truncated", ["bad", "out"], "bad.cfl: expected 46080 bytes for 40 x 36 x 1 x 4 complex samples, got 46072"),
    ("header", ["bad", "out"], "bad.hdr: not a BART header"),
    ("line", ["bad", "out"], "expected at least two of READ, PHS1, PHS2 longer than 1"),
    ("maps", ["bad", "out"], "kspace: expected the coils along COIL, dimension 3, got 1 there and 4 along MAPS,"
                             " dimension 4: bart transpose 3 4 moves them"),
    ("", ["-p", "wide", "ksp", "out"], "-p: expected a shape that broadcasts"),
    ("", ["-p", "coils", "ksp", "out"], "-p: expected a shape that broadcasts"),
    ("", ["-p", "negative", "ksp", "out"], "-p: expected weights >= 0, got -0.5"),
    ("", ["-p", "none", "ksp", "out"], "-p: expected at least one sample"),
    ("zero", ["bad", "out"], "kspace: all samples are zero"),
    ("nan", ["bad", "out"], "kspace: expected finite samples"),
    ("inf", ["bad", "out"], "kspace: expected finite samples"),
    ("real", ["bad", "out"], "kspace: expected complex samples, got real ones"),
    ("", ["ksp", "missing/out"], "output missing/out: the folder missing does not exist"),
    ("", ["ksp", "ksp"], "output ksp would overwrite the input ksp (file ksp.hdr)"),
    ("", ["ksp", "out", "out"], "output out would overwrite the output out (file out.hdr)"),
    ("", ["-p", "pat", "ksp", "out", "./pat.cfl"], "output ./pat.cfl would overwrite the input pat"),
    ("", ["--iter", "3", "ksp", "out"], "unrecognized arguments: --iter (`"),
    ("", ["--sample", "3", "ksp", "out"], "unrecognized arguments: --sample (did you mean --samples?)"),
    ("", ["--complex", "--phase", "ksp", "out"], "--phase: does not go with --complex"),
    ("", ["-i", "many", "ksp", "out"], "-i: expected an integer, got 'many'"),
    ("", ["-i", "0", "ksp", "out"], "-i: expected a positive integer, got 0"),
    ("", ["--noise", "-1", "ksp", "out"], "--noise: expected a number >= 0"),
    ("", ["ksp"], "expected <kspace> <output> [<sensitivities>] [<std>], got 1 name "),
    ("", [], "expected <kspace> <output> [<sensitivities>] [<std>], got 0 names"),
    ("", ["ksp", "a", "b", "c", "d"], "got 5 names"),
    ("", ["ksp", "a", "b", "a"], "output a would overwrite the output a"),
    ("", ["--keep", "ksp", "ksp", "a"], "output ksp would overwrite the input ksp"),
    ("", ["--samples", "0", "ksp", "out"], "--samples: expected a positive integer, got 0"),
    ("", ["--method", "best", "ksp", "out"], "--method: expected map, gibbs, diffusion, got 'best'"),
    ("", ["--method", "map", "ksp", "a", "b", "c"],
     "<std>: goes with --method gibbs or diffusion, got map"),
    ("", ["--temporal", "0.05", "--samples", "2", "ksp", "out"], "--temporal 0.05 does not go with --samples 2"),
    ("", ["--sens", "coils", "-m", "2", "ksp", "out"], "--sens: expected an array of 4 coils, got 3"),
    ("", ["--sens", "ksp", "-m", "2", "ksp", "out"], "-m: expected 1 or auto with one set of --sens, got 2"),
    ("", ["--levels", "5", "ksp", "out"], "--levels: goes with --method diffusion"),
    ("", ["-p", "nowhere", "ksp", "out"], "-p: nowhere.hdr: no such file"),
    ("", ["--measurement", "1", "ksp", "out"], "--measurement: goes with raw data of ISMRMRD and TWIX, and ksp is a"),
    ("", ["--whiten", "short", "ksp", "out"], "--whiten: expected at least 8 samples of 4 coils, got 3"),
    ("", ["--method", "map", "--samples", "2", "ksp", "a"], "--samples: method map draws none"),
    ("", ["-K", "2", "ksp", "out"], "-K: goes with --method diffusion"),
    ("", ["--method", "diffusion", "-N", "1", "ksp", "out"], "--levels: expected an integer >= 2, got 1"),
    ("", ["--method", "diffusion", "--come-closer", "99", "ksp", "out"], "--come-closer: expected a number between"),
    ("", ["--samples", "1000000000", "--keep", "all", "ksp", "out"], "--samples: keeping 1000000000 needs"),
    ("", ["ksp", ".."], "'..' is not a file name"),
    ("", ["", "out"], "'' is not a file name"),
    ("", ["--prior", "prior.npz", "ksp", "out"], "prior prior.npz: not a readable npz file"),
    ("", ["--prior", "nowhere.npz", "ksp", "out"], "prior nowhere.npz: no such file"),
    ("", ["-I", "wide", "ksp", "out"], "-I: expected shape"),
])
def test_bad_input(folder, what, words, message, pogmdm):
    spoil(folder, what)
    before = names(folder)
    run = pogmdm(*words, cwd=folder)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.startswith("ERROR: ") and message in run.stderr and run.stderr.count("\n") == 1
    assert names(folder) == before


def test_warnings_name_options(folder, pogmdm):
    write({folder / "all": np.ones((40, 36))})
    run = pogmdm("-i1", "-p", "all", "ksp", "out", cwd=folder)
    assert run.returncode == 0 and "WARNING: -p: many of its samples are zero in all coils: is it" in run.stderr


def test_arguments_become_options():
    said = "maps: as in `sens`, `maps=2` and `normalize=False`, not the word sens, a: `kspace` or `volume`"
    assert in_shell(said, POGMDM) == "-m: as in --sens, -m 2 and -N, not the word sens, a: `kspace` or `volume`"


@pytest.mark.parametrize("word, meant", [("doktor", "doctor"), ("vol", "volume"), ("image", None), ("co", None)])
def test_misspelt_words(word, meant):
    assert closest(word, COMMANDS) == meant


def test_full_disk(folder):
    """Files may not exceed 4 kB: the image does not fit."""
    (folder / "out.hdr").write_text("precious")
    run = process("-i1", "ksp", "out", cwd=folder,
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    assert run.returncode == 1 and run.stderr == "ERROR: output out: cannot write (File too large)\n"
    assert names(folder) == sorted([*SCAN_FILES, "out.hdr"]) and (folder / "out.hdr").read_text() == "precious"


def test_read_only_folder(folder, pogmdm):
    run = pogmdm("-i1", "ksp", "/proc/out", cwd=folder)  # read-only for root, too
    assert run.returncode == 1 and "ERROR: output /proc/out: cannot write there" in run.stderr


@needs_proc
@pytest.mark.parametrize("signum, delay", [(signal.SIGINT, 0.1), (signal.SIGTERM, 0.2), (signal.SIGINT, 0.3),
                                           (signal.SIGTERM, 0.4), (signal.SIGINT, 2.5), (signal.SIGTERM, 2.5)])
def test_interruption_leaves_nothing(folder, signum, delay):
    process = in_foreground("-d1", "--samples", "100000", "ksp", "out", "sens", cwd=folder)
    while not handles_signals(process.pid):
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signum)
    assert process.communicate(timeout=60)[1] == "ERROR: interrupted; nothing was written\n"
    assert process.returncode == -signum and names(folder) == SCAN_FILES


@pytest.mark.parametrize("level, said", [("1", ""), ("2", "stopping after this step\n")])
def test_the_first_signal_is_answered(level, said):
    code = ("import signal; from bart_pogmdm.commands.interruption import Interruption; one = Interruption();"
            "signal.signal(signal.SIGINT, signal.SIG_DFL); one.listen(); signal.raise_signal(signal.SIGINT);"
            "print('goes on', flush=True); signal.raise_signal(signal.SIGINT)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         env=os.environ | {"BART_DEBUG_LEVEL": level})
    assert run.stdout == "goes on\n" and run.stderr.startswith(f"{said}Traceback")
    assert run.stderr.endswith("KeyboardInterrupt\n")


@needs_proc
def test_a_signal_ends_a_loop_of_the_shell(folder):
    """As Ctrl-C does: shell and command get the signal, and the shell looks how the command ended."""
    loop = f"for n in 1 2 3; do {sys.executable} -m bart_pogmdm --samples 100000 ksp out; echo $n $?; done"
    process = subprocess.Popen(["bash", "-c", loop], cwd=folder, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, preexec_fn=hear)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (found := children.read_text().split()) or not handles_signals(found[0]):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    printed, error = process.communicate(timeout=60)
    assert not printed and error.endswith("ERROR: interrupted; nothing was written\n") and error.count("ERROR") == 1
    assert process.returncode == -signal.SIGINT and names(folder) == SCAN_FILES


@needs_proc
def test_a_signal_that_a_script_ignores_for_its_background_changes_nothing(folder):
    process = in_foreground("-i1", "ksp", "out", cwd=folder, ignored=[signal.SIGINT])
    while not handles_signals(process.pid):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "" and process.returncode == 0 and "out.cfl" in names(folder)


def test_nowhere_to_cache_compiled_code(folder, tmp_path):
    """A read-only installation without a home: slower, not broken."""
    code = ("import numba.core.caching as caching; caching.CacheImpl._locator_classes = [];"
            "from bart_pogmdm.commands.main import main; raise SystemExit(main(['-i1', 'ksp', 'out']))")
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0 and not run.stderr and "out.cfl" in names(folder)


def test_unforeseen_errors_are_one_line(capsys):
    assert main.exit_code(lambda: 1 / 0) == 1
    assert capsys.readouterr().err == "ERROR: ZeroDivisionError: division by zero (BART_DEBUG_LEVEL=4 shows where)\n"


def test_real_data_in_python_and_shell(shared, tmp_path):
    with np.load(shared("data/dev/brain8ch_sigpy_poisson8x.npz")) as file:
        kspace = file["kspace"]
    write({tmp_path / "ksp": to_bart(kspace)})
    assert process("-i8", "ksp", "image", cwd=tmp_path).returncode == 0
    image = read(tmp_path / "image").reshape(kspace.shape[1:], order="F")
    expected = recon(kspace, iterations=8).image
    assert np.linalg.norm(image - expected) < 1e-5 * np.linalg.norm(expected)
