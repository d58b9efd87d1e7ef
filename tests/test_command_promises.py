"""Every sentence of docs/commands.md is executed: each test names those that it keeps, and none is left over."""

import contextlib
import fcntl
import importlib.util
import os
import pty
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import handles_signals, in_foreground, names, needs_proc
from conftest import simulate
from properties import random_complex
from test_named_pipes import drain, feed
from test_streams import peer

import bart_pogmdm.commands.main as entry
from bart_pogmdm import recon
from bart_pogmdm.arrays.bart_dims import BATCH, COIL, SLICE, TE, TIME, from_bart, to_bart
from bart_pogmdm.commands import COMMANDS
from bart_pogmdm.commands.arguments import KNOWN, read_arguments
from bart_pogmdm.commands.option_table import POGMDM
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.files.streams import read_stream, write_stream
from bart_pogmdm.physics.coil_compression import by_coil, mix, whitening
from bart_pogmdm.reconstruction.coil_combination import of_all_coils
from bart_pogmdm.toolbox.find_bart import find, version, version_number

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "commands.md").read_text()
KEPT: list[str] = []
# Sentences that point to other pages, whose code the tests of the documentation run.
POINTERS = ("[Posterior]", "The rest of this page", "These options have another meaning", "With BART 1.0:")


def keeps(*beginnings):
    """Note the sentences, or rows of the table, that a test executes, by their beginnings."""
    KEPT.extend(beginnings)
    return lambda test: test


def sentences():
    """The sentences, the points of lists and the rows of tables on the page."""
    for paragraph in re.split(r"\n\n", PAGE):
        lines = paragraph.splitlines()
        if lines[0].startswith("|"):
            yield from (re.sub(r"[*|] ?", "", line) for line in lines[2:])
        elif lines[0].startswith("- "):
            yield from " ".join(lines)[2:].split(" - ")
        elif not lines[0].startswith(("#", "<!--", "```")):
            yield from re.split(r"(?<=[.:]) (?=[A-Z[`])", " ".join(lines))


def test_every_sentence_has_a_test():
    found = list(sentences())
    assert [text for text in found if not text.startswith((*KEPT, *POINTERS))] == [] and len(found) > 40
    assert [beginning for beginning in KEPT if not any(text.startswith(beginning) for text in found)] == []


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with k-space of 2 coils, and of one, a stack of 3 slices and an image."""
    kspace = to_bart(simulate((32, 28), coils=2)[0])
    factors = np.array([1, 2j, -1])
    write({tmp_path / "ksp": kspace, tmp_path / "one": kspace[:, :, :, :1], tmp_path / "image": kspace[:, :, :, :1],
           tmp_path / "stack": kspace.reshape((*kspace.shape, *10 * (1,))) * factors,
           tmp_path / "pattern": kspace[:, :, :, :1] != 0})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """run(words) -> (exit code, text on standard error) of a command in this process."""
    def call(*words):
        capsys.readouterr()  # Commands of BART may have printed.
        code = entry.main([str(word) for word in words])
        printed = capsys.readouterr()
        assert not printed.out
        return code, printed.err

    return call


def barts_commands():
    """The names of the commands of the installed BART."""
    return subprocess.run(["bart"], capture_output=True, text=True, check=False).stdout.split()


def fails(run, *words):
    """The one line of a command that must fail and change nothing."""
    before = {name: Path(name).read_bytes() for name in os.listdir() if Path(name).is_file()}
    code, error = run(*words)
    assert code == 1 and error.startswith("ERROR: ") and error.count("\n") == 1, error
    assert {name: Path(name).read_bytes() for name in os.listdir() if Path(name).is_file()} == before
    return error


@keeps("`bart pogmdm` is the reconstruction, and", "The other commands are `bart-pogmdm NAME`", "`BART_POGMDM_PYTHON`")
def test_the_command_of_bart_is_that_of_the_package(folder, run, capsys):
    """BART runs the file in plugin/."""
    environment = os.environ | {"BART_POGMDM_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    subprocess.run([ROOT / "plugin" / "pogmdm", "-i1", "ksp", "by_bart"], env=environment, check=True)
    assert run("-i1", "ksp", "alone") == (0, "")
    np.testing.assert_array_equal(read("by_bart"), read("alone"))
    for name in COMMANDS:
        with contextlib.suppress(SystemExit):
            entry.main([name, "-h"])
        assert f"bart-pogmdm {name}" in capsys.readouterr().out


@keeps("After an error, a command prints one line `ERROR: …` and")
@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_an_error_is_one_line(folder, run, name):
    fails(run, *name.split(), "--no-such-option", "nowhere", "out")


@keeps("After Ctrl-C, SIGTERM or SIGHUP it cleans up")
@needs_proc
@pytest.mark.parametrize("signum, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command(folder, signum, code):
    """It waits for standard input.  A loop is in test_commands.py, named pipes and a volume are in their files."""
    before = names(folder)
    process = in_foreground("-", "out", stdin=subprocess.PIPE)
    while not handles_signals(process.pid):
        time.sleep(0.01)
    process.send_signal(signum)
    error = process.communicate(timeout=60)[1]
    assert error.endswith("ERROR: interrupted; nothing was written\n") and names(folder) == before
    assert process.returncode == -signum == 128 - code


@keeps("Within a step of the reconstruction the line `stopping")
@needs_proc
def test_a_signal_is_answered(folder):
    process = in_foreground("--samples", 100000, "ksp", "out")
    while not handles_signals(process.pid):
        time.sleep(0.01)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    expected = "stopping after this step\nERROR: interrupted; nothing was written\n"
    assert process.communicate(timeout=60)[1] == expected


@keeps("A second signal does not wait for the end of the step")
def test_a_second_signal_does_not_wait():
    """Code that never asks whether there was a signal, as a step of the reconstruction."""
    code = ("import signal; from bart_pogmdm.commands.interruption import Interruption; one = Interruption();"
            "signal.signal(signal.SIGINT, signal.SIG_DFL); one.listen(); signal.raise_signal(signal.SIGINT);"
            "print('goes on', flush=True); signal.raise_signal(signal.SIGINT); print('never')")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "goes on\n" and run.stderr.endswith("KeyboardInterrupt\n")


@keeps("Output files are written completely or not at all")
def test_outputs_are_complete_or_absent(folder, run):
    """The sensitivities are twice as large as the image: no file may have their size."""
    before, limits = names(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 32 * 28 + 99, limits[1]))
    try:
        assert run("-i1", "ksp", "out", "sens") == (1, "ERROR: output sens: cannot write (File too large)\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(folder) == before


@keeps("An output replaces an earlier file of its name", "If the name is a symbolic link",
       "An earlier image is replaced", "A command refuses an output that is an input")
def test_earlier_files(folder, run):
    os.mkdir("disk")
    os.rename("image.cfl", "disk/far.cfl")
    os.symlink("disk/far.cfl", "image.cfl")
    os.chmod("image.hdr", 0o640)
    assert run("-i1", "ksp", "image") == run("-i1", "ksp", "image") == (0, "")
    assert os.stat("image.hdr").st_mode & 0o777 == 0o640 and os.path.islink("image.cfl")
    np.testing.assert_array_equal(read("image"), recon(read("ksp"), iterations=1).image)
    os.symlink("ksp.cfl", "link.cfl")
    for words, message in ((("ksp", "./ksp.hdr"), "output ./ksp.hdr would overwrite the input ksp"),
                           (("ksp", "link"), "output link would overwrite the input ksp"),
                           (("ksp", "new", "disk/../new"), "output disk/../new would overwrite the output new")):
        assert message in fails(run, *words)


@keeps("Files that you did not name, such as the log of `train`")
def test_files_without_a_name_on_the_command_line(folder, run):
    Path("vol_sens.cfl").write_text("precious")
    assert "vol_sens.cfl, which you did not name and no earlier run wrote" in fails(run, "volume", "ksp", "vol")
    Path("mine.csv").write_text("precious")
    assert "mine.csv, which you did not name" in fails(run, "train", "--images", "image", "-o", "mine.npz")
    for _ in range(2):
        assert run("volume", "-i", 1, "--jobs", 1, "ksp", "again") == (0, "")


@keeps("A name with the ending of another format")
@pytest.mark.parametrize("name", ["x.h5", "x.png"])
def test_endings_of_other_formats(folder, run, name):
    assert f"output {name}: expected one of BART's names" in fails(run, "ksp", name)


@keeps("The ending of an output decides about its format", "none, `.cfl`", "`.nii`, `.nii.gz`", "a slash:")
def test_endings_decide_about_the_format(folder, run):
    for name, module in (("a.nii", "nibabel"), ("a.nii.gz", "nibabel"), ("a.dcm", "pydicom"), ("a/", "pydicom"),
                         ("a.mrd", "h5py"), ("a.npy", "numpy"), ("a.npz", "numpy"), ("b.ra", "numpy"), ("c", "numpy"),
                         ("d.cfl", "numpy"), ("e.hdr", "numpy")):
        pytest.importorskip(module)
        code, said = run("-i1", "ksp", name)
        assert code == 0 and Path(f"{name[0]}.cfl" if name in ("c", "d.cfl", "e.hdr") else name).exists()
        assert ("does not say where the image is in the patient" in said) == (module in ("nibabel", "pydicom", "h5py"))
    assert [path.name for path in Path("a").iterdir()] == ["0001.dcm"]


@keeps("The order is `kspace image sens`", "The command refuses to replace an existing file", "has several coils, or",
       "was written by a command of BART", "has the same magnitude everywhere", "is real and nowhere negative",
       "holds k-space as ISMRMRD", "`bart-pogmdm volume` does the same")
def test_the_order_of_pics_destroys_nothing(folder, run, bart):
    """Neither with the third file nor without it, whatever the size of the maps, also as .ra."""
    def maps(name, *shape):
        write({name: np.linspace(1, 2, int(np.prod(shape))).reshape(shape)})

    maps("several", 32, 28, 1, 2)
    maps("larger.ra", 40, 40, 1, 4)
    maps("sets", 32, 28, 1, 1, 2)
    write({"even.ra": np.exp(1j * np.arange(32 * 28)).reshape(32, 28) * (np.arange(28) > 5)})
    inputs = {"several": "holds 2 coils", "larger.ra": "holds 4 coils", "sets": "holds 2 sets of maps",
              "pattern": "has the same magnitude everywhere", "even.ra": "has the same magnitude everywhere",
              "weights": "is real and nowhere negative", "line": "was written by phantom"}
    write({"weights": np.random.default_rng(0).random((32, 28))})
    subprocess.run(["bart", "phantom", "-x", "32", "-k", "line"], check=True, capture_output=True)
    write({"full": bart(1, "phantom -x 32 -k -s 1")})
    for command in ("ecalib -m1", "caldir 10", "ncalib -i3", "walsh"):
        if (name := command.split()[0]) in barts_commands():
            subprocess.run(["bart", *command.split(), "full", name], check=True, capture_output=True)
            inputs[name] = name
    assert len(inputs) > 6
    for name, what in inputs.items():
        for words in (("one", name), ("one", name, "new")):
            error = fails(run, *words)
            assert f"output {name}: it exists and " in error and what in error
            assert "expected the order pogmdm kspace image sens, and known sensitivities as --sens file" in error
    assert run("convert", "--kspace", "full", "scan.mrd")[0] == 0
    shutil.copy("scan.mrd", "scan.h5")
    np.save("several.npy", from_bart(read("several")[..., None]))
    np.savez("scan.npz", kspace=from_bart(read("full")))
    for name, words in (("scan.mrd", ("one",)), ("several.npy", ("one",)), ("scan.npz", ("one",)),
                        ("scan.h5", ("volume", "one"))):
        assert f"output {name}: it exists and holds " in fails(run, *words, name)
    for name in ("image.npy", "image.npz", "image.mrd"):
        assert run("-i1", "one", name)[0] == run("-i1", "one", name)[0] == 0
    assert run("-i1", "one", "image", "new") == run("-i1", "one", "image", "new") == (0, "")
    assert "output several: it exists and holds 2 coils; expected the order volume IN OUT" in fails(
        run, "volume", "stack", "several")


@keeps("has 1 or 3 samples along READ")
def test_the_image_of_a_wrong_call_is_replaced(folder, run, bart):
    """-t was forgotten: what the command itself wrote is no input, unless it holds sensitivities."""
    pytest.importorskip("finufft")
    write({"traj": bart(1, "traj -x 32 -y 21 -r -G")})
    write({"radial": bart(1, "phantom -k -s 2 -t", read("traj"))})
    assert run("-d0", "-i1", "radial", "out", "sens")[0] == 0 and read("out").shape[:3] == (1, 32, 21)
    assert "output sens: it exists and holds 2 coils" in fails(run, "-t", "traj", "radial", "sens")
    assert run("-d0", "-i1", "-t", "traj", "radial", "out")[0] == 0 and read("out").shape[:3] == (32, 32, 1)
    for samples in (1, 3):
        write({"along": random_complex(np.random.default_rng(0), (samples, 32, 21), np.complex64)})
        assert "output along: it exists and holds samples along a" in fails(run, "-t", "traj", "radial", "along")
    assert run("-d0", "-i1", "one", "alone", "even", "std")[0] == run("-d0", "-i1", "one", "std")[0] == 0
    assert "output even: it exists and has the same magnitude" in fails(run, "one", "even")


@keeps("The debug level is 0 for errors only")
def test_debug_levels(folder, run):
    kspace = read("ksp")
    kspace[8:24, 6:22] = 0
    write({"hollow": kspace})
    assert run("-d0", "-i1", "hollow", "out") == (0, "")
    code, said = run("-d1", "-i1", "hollow", "out")
    assert code == 0 and said.startswith("WARNING: ")
    code, said = run("-d3", "-i1", "ksp", "out")
    assert "noise_std: " in said and "residual_std: " in said

    def in_a_terminal(level):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # A new terminal has no columns.
        words = [sys.executable, "-m", "bart_pogmdm", "-i1", f"-d{level}", "ksp", "out"]
        subprocess.run(words, stderr=theirs, check=True)
        os.set_blocking(ours, False)
        with contextlib.suppress(BlockingIOError):
            return os.read(ours, 999)
        return b""

    assert b"pogmdm: " in in_a_terminal(2) and in_a_terminal(1) == b""


@keeps("`OMP_NUM_THREADS`", "`BART_DEBUG_LEVEL`", "`BART_GPU`", "`BART_TOOLBOX_PATH`, `TOOLBOX_PATH`")
def test_variables_of_the_environment(folder, monkeypatch):
    def ran(*words, **variables):
        environment = os.environ | variables | {"PYTHONPATH": str(ROOT)}
        return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, check=False)

    code = "from bart_pogmdm.arrays.threads import NUM_THREADS; print(NUM_THREADS)"
    for text in ("1", "1,2"):
        assert ran("-c", code, OMP_NUM_THREADS=text).stdout == "1\n"
    for text in ("1,2", ""):  # rocket-fft itself knows neither.
        assert not ran("-m", "bart_pogmdm", "-i1", "ksp", "out", OMP_NUM_THREADS=text).stderr
    assert ran("-m", "bart_pogmdm", "-i1", "ksp", "out", OMP_NUM_THREADS="x").stderr == (
        "ERROR: OMP_NUM_THREADS: expected a number of threads, as 4 or 4,2, got 'x'\n")
    wrong = "-m", "bart_pogmdm", "nowhere", "out"
    assert "Traceback" in ran(*wrong, BART_DEBUG_LEVEL="4").stderr
    assert ran(*wrong, BART_DEBUG_LEVEL="3").stderr.startswith("ERROR: nowhere")
    if importlib.util.find_spec("cupy") is None:
        assert "no CUDA device can be used" in ran("-m", "bart_pogmdm", "-i1", "ksp", "out", BART_GPU="1").stderr
    os.mkdir("bin")
    Path("bin/bart").write_text("#!/bin/sh\n")
    Path("bin/bart").chmod(0o755)
    for name in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
        assert find({name: str(folder / "bin"), "PATH": os.environ["PATH"]}) == str(folder / "bin" / "bart")


@keeps("`--keep` writes the samples along BATCH")
def test_samples_lie_along_batch(folder, run):
    assert run("-i1", "--samples", 2, "--keep", "all", "ksp", "mean") == (0, "")
    assert read("all").shape[15] == 2 and BATCH == 15


@keeps("Two sets, as `bart ecalib -m2` writes")
@pytest.mark.filterwarnings("ignore::bart_pogmdm.arrays.doubts.ReconstructionWarning")
def test_two_sets_and_one_set_for_a_series(bart, folder, run):
    kspace = bart(1, "phantom -x 32 -k -s 4")
    for command in ("ecalib -m1", "ecalib -m2"):
        write({"known": bart(1, command, kspace), "series": np.stack([kspace, 2 * kspace], -1)[:, :, :, :, None]})
        assert run("-d0", "-i3", "--sens", "known", "series", "out") == (0, "")
        expected = recon(kspace, sens=read("known"), iterations=3).image
        np.testing.assert_array_equal(read("out").squeeze()[..., 0], expected.squeeze())


@keeps("`--sens file` takes sensitivities in BART's dimensions", "They are used as they are",
       "With `--sens` the third file holds these", "`--whiten` and `--cc` combine the coils")
@pytest.mark.filterwarnings("ignore::bart_pogmdm.arrays.doubts.ReconstructionWarning")
def test_known_sensitivities(bart, folder, run):
    kspace, pattern = bart(1, "phantom -x 32 -k -s 4"), np.ones((32, 32))
    pattern[::2, ::3] = 0
    pattern[12:20, 12:20] = 1
    noise = 0.01 * np.random.default_rng(1).standard_normal((2, 300, 1, 1, 4)).astype(np.float32)
    undersampled = kspace * pattern[..., None, None] + 0j
    write({"full": kspace, "under": undersampled, "scan": (noise[0] + 1j * noise[1]).reshape(300, 1, 1, 4)})
    for command in ("ecalib -m1", "caldir 12", "ncalib -i3"):
        if command.split()[0] not in barts_commands():
            continue
        sens = bart(1, command, kspace)
        write({"known": sens})
        expected = recon(read("under"), sens=read("known"), iterations=3)
        assert run("-d0", "-i3", "--sens", "known", "under", "out", "sens") == (0, "")
        np.testing.assert_array_equal(read("out"), expected.image)
        rss = np.sqrt((np.abs(read("sens")) ** 2).sum(COIL))
        np.testing.assert_allclose(rss[rss > 0], 1, atol=1e-5)
        assert run("-d0", "-i3", "-N", "--sens", "known", "-p", "under_pattern", "under", "out", "sens")[0] == 1
        assert run("-d0", "-i3", "-N", "--sens", "known", "under", "out", "sens") == (0, "")
        np.testing.assert_allclose(read("sens"), read("known"), atol=1e-5)
        np.testing.assert_allclose(
            read("out"), recon(read("under"), sens=read("known"), iterations=3, normalize=False).image, atol=1e-5)
    assert run("-d0", "-i3", "--whiten", "scan", "--sens", "known", "under", "out", "sens") == (0, "")
    matrix = whitening(by_coil(read("scan")))
    expected = recon(mix(matrix, read("under")), sens=mix(matrix, read("known")), iterations=3)
    np.testing.assert_allclose(read("out"), of_all_coils(expected, matrix, normalize=True).image, atol=1e-5)
    assert run("-d0", "-i3", "--cc", 2, "--sens", "known", "under", "out", "sens") == (0, "")
    kept = by_coil(read("sens"))
    assert len(kept) == 4 and np.linalg.matrix_rank(kept, 1e-3 * np.linalg.norm(kept)) == 2
    write({"wrong": np.ones((32, 32, 1, 3)), "small": np.ones((30, 32, 1, 4))})
    assert "--sens: expected an array of 4 coils, got 3" in fails(run, "--cc", 2, "--sens", "wrong", "under", "new")
    assert "sens: expected shape" in fails(run, "--sens", "small", "under", "new")


@keeps("One input and one output may be `-`", "A name that ends in `.fifo` is a named pipe", "It is made if it",
       "Start reader and writer in any order", "The pipes of a call are read and written",
       "The reader removes the pipe", "If the command fails or is interrupted, it removes",
       "A file of this name that is no pipe", "The endings `.coo`, `.shm` and `.mem`")
def test_pipes(folder, run, monkeypatch):
    """Interruptions, and each fault on its own, are in test_named_pipes.py."""
    for name in ("PATH", "BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
        monkeypatch.setenv(name, "/nonexistent")
    kspace, found = read("ksp"), {}
    expected = recon(kspace, iterations=1)
    feed("k.fifo", peer(kspace))
    feed("p.fifo", peer(read("pattern")), wait=0.3)
    draining = drain(["sens.fifo", "image.fifo"], found)
    assert run("-i1", "-p", "p.fifo", "k.fifo", "image.fifo", "sens.fifo") == (0, "")
    draining.join(10)
    np.testing.assert_array_equal(found["image.fifo"], expected.image)
    np.testing.assert_array_equal(found["sens.fifo"], expected.sens)
    assert "expected one input in a stream, got 2" in fails(run, "-p", "-", "-", "out")
    assert "expected one output in a stream, got 2" in fails(run, "ksp", "-", "-")
    fails(run, "-i0", "ksp", "new.fifo")
    Path("file.fifo").write_text("precious")
    assert "file.fifo: expected a named pipe" in fails(run, "ksp", "file.fifo")
    for words in (("x.coo", "out"), ("ksp", "x.shm"), ("-p", "x.mem", "ksp", "out"), ("view", "x.fifo")):
        assert "expected one of BART's names" in fails(run, *words)
    assert not [name for name in names(folder) if "fifo" in name and name != "file.fifo"]


@keeps("BART before 1.0 does not know named pipes")
def test_named_pipes_need_bart_1(bart, folder, run):
    if version_number(version()) >= (1, 0):
        pytest.skip("this BART knows named pipes")
    assert f"x.fifo: named pipes need BART 1.0, and this machine has {version()}" in fails(run, "ksp", "x.fifo")


@keeps("Do not store a stream", "In the form of BART 0.8 and 0.9 it only names")
def test_a_stored_stream_is_not_the_array(folder, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))  # TMPDIR is read once.
    image = read("image")
    with open("file", "wb") as file:
        write_stream(file, image, "pogmdm", messages=False)
    assert Path("file").stat().st_size < image.nbytes
    sample_files = [name for name in names(folder) if name.startswith("bart-")]
    assert len(sample_files) == 1 and Path(sample_files[0]).stat().st_size == image.nbytes
    with open("file", "rb") as file:
        np.testing.assert_array_equal(read_stream(file).array, image)
    assert not Path(sample_files[0]).exists()
    with open("file", "rb") as file, pytest.raises(FileNotFoundError):
        read_stream(file)


@keeps("Options are read as BART reads them", "BART 0.8 and 0.9 need a `--`")
def test_options_are_read_as_barts():
    args = read_arguments(["-gS", "ksp", "-i10", "-NS", "-d", "0", "--levels=7", "--noise", "-1", "--", "-odd", "-s"])
    assert (args.device, args.rescale, args.iterations, args.normalize, args.debug_level) == ("gpu", True, 10, False, 0)
    assert (args.num_levels, args.noise_std, args.files) == (7, -1, ["ksp", "-odd", "-s"])
    for levels in (["-N", "20"], ["-N20"]):
        assert read_arguments([*levels, "-N", "-", "-"]).num_levels == 20
    assert read_arguments(["-I", "-", "--keep", "-", "a", "b"]).start == "-"


def refused(*words):
    with pytest.raises(ValueError) as error:
        read_arguments(words)
    return str(error.value)


@keeps("A value that makes sense only in BART's command", "`-s`", "`-m`", "`-N`", "`-K`", "`-I`", "`-S`", "`-i`",
       "`-p`", "`-M`", "`-x`, `--dims`")
def test_letters_that_mean_something_else_in_bart(folder, run):
    assert "in nlinv, which is here --shared-sens 1024; -s is the random seed" in refused("-s", "1024", "ksp", "out")
    assert "--seed 9216 means it in any case" in refused("-s9216", "ksp", "out")
    assert read_arguments(["--seed", "1024", "ksp", "out"]).seed == 1024
    for seed in (0, 32, 1023, 65536):
        assert read_arguments(["-s", str(seed), "ksp", "out"]).seed == seed
    assert "in pics it is the step size" in refused("-s", "0.5", "ksp", "out")
    assert "in pics it selects ADMM" in refused("-m", "ksp", "out")
    assert "in pics it takes no value" in refused("-K", "ksp", "out")
    assert "as in pics; in nlinv it takes a number" in refused("-M0.1", "ksp", "out")
    assert "in pics it selects IST" in refused("-I", "ksp", "out")
    assert "the number of samples is --samples num" in refused("-S", "10", "ksp", "out")
    assert "the number of samples is --samples num" in refused("-S10", "ksp", "out")
    write({"10": read("ksp")})
    for switch in ("-S", "-N"):
        assert read_arguments([switch, "10", "out"]).files == ["10", "out"]
    assert read_arguments(["-N10", "10", "out"]).num_levels == 10
    assert "-N num the number of noise levels" in fails(run, "-N", 20, "ksp", "out")
    assert "in pics it takes no value" in fails(run, "-K", 2, "ksp", "out")
    assert "-I: expected an array of 1 coil, got 2 (here -I" in fails(run, "-I", "ksp", "one", "out")
    assert read_arguments(["-m", "auto", "ksp", "out"]).maps == "auto"
    assert "-m: expected 1, 2 or auto, got 3" in fails(run, "-m", 3, "ksp", "out")
    assert "-m: expected 1, 2 or auto, got 'many'" in refused("-m", "many", "ksp", "out")
    assert "-m 2 does not go with -N" in fails(run, "-m2", "-N", "ksp", "out")
    assert read_arguments(["-N", "-S", "a", "b"]).normalize is False
    assert read_arguments(["-x", "3:4:1", "a", "b"]).dims == read_arguments(["--dims", "3:4:1", "a", "b"]).dims
    for size, message in (("32", "-x: expected x:y or x:y:z"), ("32:-2", "-x: expected x:y or x:y:z"),
                          ("32:32:1", "-x: without a trajectory, expected the size of k-space, (32, 28), got")):
        assert message in fails(run, "-x", size, "ksp", "out")
    assert run("-i1", "-x", "32:28:1", "ksp", "out") == run("-i1", "--dims", "32:28", "ksp", "out") == (0, "")


@pytest.mark.parametrize("name, hint", [("/bin/bart-pogmdm", "bart-pogmdm -h"), ("-c", "bart pogmdm -h")])
def test_the_hint_names_the_command_that_was_called(monkeypatch, name, hint):
    monkeypatch.setattr(sys, "argv", [name])
    assert refused("--many", "ksp", "out") == f"unrecognized arguments: --many (`{hint}` shows the usage)"


@pytest.mark.parametrize("flag, reason", [
    ("-U", "in pics it is --lowmem"), ("-U", "the sets of -m are always combined"), ("--lowmem", "leave it out"),
    ("-n", "random shifts of the wavelets"), ("--psf_export=psf", "point-spread function"),
    ("--psf_import=psf", "point-spread function")])
def test_what_there_is_instead(flag, reason):
    assert reason in refused(flag, "ksp", "out")


@keeps("An option that only BART's commands have", "`-d`, `-g` and `-t` mean the same")
@pytest.mark.parametrize("command", ["nlinv", "pics", "sample"])
def test_options_of_barts_commands(bart, command):
    """Each is known, or refused by its name; one of another type stands in the table of the page."""
    text = subprocess.run(["bart", command, "--interface"], capture_output=True, text=True, check=False).stdout
    rows = re.findall(r'^\{ "(.*?)", "(.*?)", (true|false), OPT_(\w+), ', text, re.MULTILINE)
    if not rows:
        pytest.skip(f"this BART has no {command}")
    listed = {flag for cell in re.findall(r"\*\*(.*?)\*\*", PAGE) for flag in re.findall(r"`(-+\w+)`", cell)}
    for short, long, takes_value, kind in rows:
        for flag in [f"-{short}"] * (short != "n/a") + [f"--{long}"] * (long != "(null)"):
            if flag not in KNOWN:
                assert refused(flag, "ksp", "out").startswith(f"unrecognized arguments: {flag} (")
                assert refused("ksp", "out", f"{flag}{'=' if flag[1] == '-' else ''}7").startswith(
                    f"unrecognized arguments: {flag} (")
                continue
            ours = KNOWN[flag]
            same = (ours.kind is not None) == (takes_value == "true") and (kind == "INFILE") == (ours.kind == "<file>")
            assert same or flag in listed, flag


CALLS = re.findall(r"^\| `((?:nlinv|pics) [^`]*)` \| `pogmdm ([^`]*)` \|$", PAGE, re.MULTILINE)


@keeps(*(f"`{theirs}`" for theirs, _ in CALLS))
@pytest.mark.filterwarnings("ignore::bart_pogmdm.arrays.doubts.ReconstructionWarning")
def test_calls_of_nlinv_and_pics_become_ours(folder, run, bart):
    pytest.importorskip("finufft")
    full, pattern = bart(1, "phantom -x 32 -k -s 4"), np.ones((32, 32))
    pattern[::2, 1::3] = 0
    pattern[12:20, 12:20] = 1
    write({"pat": pattern, "k": full * pattern[..., None, None], "traj": bart(1, "traj -x 32 -y 21 -r -G"),
           "full": full, "ecal": bart(1, "ecalib -m1", full)})
    write({"kt": bart(1, "phantom -k -s 4 -t", read("traj"))})
    assert len(CALLS) == 5
    for theirs, ours in CALLS:
        write({"sens": read("ecal")})  # `nlinv` replaces it.
        subprocess.run(["bart", *theirs.split()], check=True, capture_output=True)
        expected = np.abs(read("img"))
        assert run("-d0", *ours.split())[0] == 0
        found = np.abs(read("img"))
        assert found.shape == expected.shape
        assert (found * expected).sum() > 0.9 * np.linalg.norm(found) * np.linalg.norm(expected), theirs


@keeps("`-S` may stay, penalties")
def test_what_is_left_out_of_a_call_of_nlinv_or_pics():
    for flag in ("-l", "-r", "-R", "--lowmem", "-U"):
        assert refused(flag, "ksp", "out").startswith(f"unrecognized arguments: {flag} (")
    assert read_arguments(["-S", "-i", "7", "ksp", "out"]).iterations == 7


@keeps("BART's own options before the name of a command", "BART 0.9 and 1.0 drop them", "They are not needed:")
def test_barts_own_options_do_not_reach_the_command(bart, folder, monkeypatch, tmp_path):
    os.makedirs("home/commands")
    launcher = Path("home/commands/pogmdm")
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bart_pogmdm "$@"\n')
    launcher.chmod(0o755)
    environment = os.environ | {"BART_TOOLBOX_PATH": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    bart_file = find()
    expected = recon(read("stack"), iterations=1).image
    assert entry.main(["-i1", "stack", "alone"]) == 0
    np.testing.assert_array_equal(read("alone"), expected)
    for options in ("-l 8192 -e 3", "-p 8192 -s 1 -e 2 -t 2", "-l 8192 -r stack"):
        words = [bart_file, *options.split(), "pogmdm", "-i1", "stack", "out"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if version_number(version()) < (0, 9):
            assert done.returncode != 0 and "Unknown bart command" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            np.testing.assert_array_equal(read("out"), expected)


@keeps("`bart slice` or `bart extract` selects a part", "Several slices (SLICE, dimension 13) are independent")
def test_slices_are_independent(bart, folder, run):
    stack = read("stack")
    parts = [bart(1, "slice 13 0", stack), bart(1, "extract 13 1 3", stack)]
    images = [recon(part.reshape(part.shape + (1,) * (16 - part.ndim)), iterations=1).image for part in parts]
    joined = bart(1, "join 13", *images)
    assert SLICE == 13 and run("-i1", "stack", "out") == (0, "")
    np.testing.assert_allclose(joined.ravel(), read("out").ravel(), atol=1e-6 * np.abs(joined).max())
    assert run("volume", "-i", 1, "--jobs", 1, "stack", "volume") == (0, "")
    np.testing.assert_array_equal(read("volume"), read("out"))
    assert run("-M", "-i1", "stack", "together") == (0, "")
    np.testing.assert_array_equal(read("together").squeeze(), recon(stack, sms=True, iterations=1).image.squeeze())
    done = subprocess.run(["bart", "nlinv", "-i1", "stack", "sms"], capture_output=True, text=True, check=True)
    assert "SMS-NLINV" in done.stdout + done.stderr


@keeps("Echoes (TE), coefficients (COEFF) and averages (AVG) share", "With `--shared-sens 1024` frames",
       "`--temporal 0.05` also makes frames smooth")
def test_echoes_share_their_sensitivities(folder, run):
    stack = read("stack")
    for dimension, options, is_shared in ((TE, (), True), (TE, ("--shared-sens", 0), False), (TIME, (), False),
                                          (TIME, ("--shared-sens", 1024), True), (TIME, ("--temporal", 0.05), True)):
        write({folder / "series": np.moveaxis(stack, SLICE, dimension)})
        assert run("-i1", *options, "series", "out", "sens") == (0, "")
        sens = np.moveaxis(read("sens"), dimension, 0)
        assert (sens[0] == sens[1]).all() == is_shared
    smooth = recon(read("series"), temporal=0.05, iterations=1).image
    np.testing.assert_allclose(read("out").ravel(), smooth.ravel(), atol=1e-5 * abs(smooth).max())


@keeps("If their samples show that they do not share them, each image is")
def test_echoes_that_do_not_share_their_sensitivities_are_reconstructed_alone(folder, run):
    series = np.moveaxis(read("stack"), SLICE, TE)
    series[:, :, :, :, :, 1] = series[:, :, :, ::-1, :, 1]  # the coils in another order
    write({folder / "series": series})
    code, said = run("-i1", "-m1", "series", "out", "sens")
    assert code == 0 and "WARNING: kspace: its images do not have the sensitivities in common" in said
    assert run("-i1", "-m1", "--shared-sens", 0, "series", "alone", "own") == (0, "")
    np.testing.assert_allclose(read("out"), read("alone"), atol=1e-3 * abs(read("alone")).max())


@keeps("`bart pogmdm -h` and `bart-pogmdm NAME -h` print the same text")
def test_the_generated_part_is_the_help():
    from bart_pogmdm.commands.bart_help import help_text
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        from command_help import commands
    finally:
        sys.path.pop(0)
    text = commands()
    for option in POGMDM:
        assert option.meaning.replace("<", "&lt;") in text and option.meaning in help_text()
    assert all(f"## bart-pogmdm {name}" in text for name in COMMANDS)
