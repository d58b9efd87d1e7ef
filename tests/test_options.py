"""Options and help texts of all commands, and the public names of the package."""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest

import bart_pogmdm
from bart_pogmdm import Diffusion, Gibbs, recon_volume
from bart_pogmdm.arrays import bart_dims
from bart_pogmdm.commands import COMMANDS
from bart_pogmdm.commands.bart_help import POSITIONAL
from bart_pogmdm.commands.main import main
from bart_pogmdm.commands.option_table import COMPARE, CONVERT, EXPORT, OPTIONS, OUT, POGMDM, SERVE, TRAIN, VIEW, VOLUME
from bart_pogmdm.commands.parser import Parser, given
from bart_pogmdm.commands.serve import HOST, PORT
from bart_pogmdm.files import cfl
from bart_pogmdm.reconstruction.options import Options
from bart_pogmdm.serve.limits import Limits


def test_help_has_barts_layout(tmp_path, pogmdm):
    run = pogmdm("-h", cwd=tmp_path)
    lines = run.stdout.splitlines()
    assert run.returncode == 0 and not run.stderr
    assert lines[0] == ("Usage: pogmdm [-i d] [-p <file>] [-t <file>] [-x,--dims d:d:d] [--sens <file>] [-s,--seed d]"
                        " [-S] [-m d|auto] [--shared-sens d] [--temporal f] [-M,--sms] [--voxel f:f:f] [-N] [-I <file>]"
                        " [-d d] [--prior <file>] [-g] [--noise f] [--method <string>] [--samples d] [--whiten <file>]"
                        " [--cc d] [--keep <file>] [--sens-std <file>] [--complex] [--phase] [--scale max:f]"
                        " [--no-anonymous] [--measurement <string>] [--levels d] [-K d] [--come-closer f]"
                        " <kspace> <output> [<sensitivities>] [<std>]")
    assert lines[1] == "" and lines[-1].startswith("-h ") and lines[-1].endswith(" help")
    table = lines[len(lines) - len(POGMDM) - 1:]
    column = max(len(line.split("  ")[0]) for line in table) + 4
    assert all(line[column - 1] == " " and line[column] != " " for line in table)
    code = "import sys; from bart_pogmdm.commands.main import main; main(['-h']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_interface_is_that_of_barts_commands(bart, tmp_path):
    def lines(command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    ours, theirs = lines([sys.executable, "-m", "bart_pogmdm", "--interface"]), lines(["bart", "nlinv", "--interface"])
    shapes = (r'name: \w+, usage_str: "[^"]*", help_str: "', "positional arguments:", "options:",
              r'\{ (true|false), "ARG", 1, \{ OPT_(IN|OUT)FILE, 8, "\w+" \} \}$',
              r'\{ "[^"]+", "[^"]+", (true|false), OPT_[A-Z0-9_]+, "[^"]*", "[^"]*" \}$')
    for shape in shapes:
        assert any(re.match(shape, line) for line in theirs) and any(re.match(shape, line) for line in ours), shape
    assert all(any(re.match(shape, line) for shape in shapes) for line in ours)
    assert len(ours) == 3 + len(POSITIONAL) + len(POGMDM)


def test_help_into_a_closed_pipe(tmp_path):
    run = subprocess.run(f"{sys.executable} -m bart_pogmdm -h | true", shell=True, cwd=tmp_path, capture_output=True,
                         text=True, check=False)
    assert run.stderr == ""


def test_importing_needs_little():
    code = ("import sys, bart_pogmdm; bart_pogmdm.recon; heavy = {'torch', 'cupy', 'matplotlib', 'numba', 'h5py'};"
            "sys.exit(', '.join(heavy & set(sys.modules)) or 0)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command, capsys):
    try:
        assert main([command, "-h"]) == 0
    except SystemExit as ended:
        assert ended.code == 0
    assert f"bart-pogmdm {command}" in capsys.readouterr().out


def stated_default(flag):
    """The number that the help of an option names as its default."""
    return float(re.search(r"\(default: ([0-9.]+)", OPTIONS[flag].meaning)[1])


def test_defaults_in_the_help_are_those_of_the_records():
    diffusion = Diffusion()
    assert stated_default("-i") == Options.iterations
    assert f"(default: {Options.maps}," in OPTIONS["-m"].meaning
    assert stated_default("-s") == Options.seed
    assert Options.normalize and OPTIONS["-N"].const is False
    assert Options.method.name == "map" and "default: map" in OPTIONS["--method"].meaning
    assert stated_default("--samples") == Gibbs().default_samples == diffusion.default_samples
    assert stated_default("--levels") == diffusion.num_levels
    assert stated_default("-K") == diffusion.num_corrector
    assert stated_default("--come-closer") == diffusion.sigma_max
    for flag in ("--connections", "--memory", "--message", "--timeout"):
        assert stated_default(flag) == getattr(Limits, OPTIONS[flag].dest)
    assert stated_default("--port") == PORT and f"(default: {HOST}," in OPTIONS["--host"].meaning
    assert stated_default("--warm-start") == inspect.signature(recon_volume).parameters["warm_start"].default


def test_defaults_of_compare_and_train_are_those_in_the_help():
    from bart_pogmdm.evaluate import simulate
    from bart_pogmdm.train.recipe import Config
    assert "simulated ones (default: 8)" in OPTIONS["--coils"].meaning and simulate.COILS == 8
    assert "0.005 where coils are simulated" in OPTIONS["--noise-std"].meaning and simulate.NOISE_STD == 0.005
    for flag in ("--steps", "--batch", "--patch", "--phase"):
        assert stated_default(flag) == getattr(Config, OPTIONS[flag].dest)
    assert stated_default("-s") == Config.seed


def test_an_option_stands_once():
    table = (*POGMDM, *VOLUME, *TRAIN, *EXPORT, *COMPARE, *VIEW, *CONVERT, *SERVE, OUT)
    spellings = [spelling for option in table for spelling in option.spellings]
    twice = {spelling for spelling in spellings if spellings.count(spelling) > 1}
    assert twice == {"--phase"} and len(OPTIONS) == len(table) - 1  # of the images to write, and of those to train with


def test_options_that_are_not_given_are_not_passed_on():
    parser = Parser(prog="some")
    parser.take("-i", "-N", "-g", "-s", "--noise", "--tune")
    assert given(parser.parse_args([])) == {}
    words = ["-i", "0", "-N", "--seed", "3", "--noise", "0", "--tune", "a", "b"]
    assert given(parser.parse_args(words)) == {"iterations": 0, "normalize": False, "seed": 3, "noise_std": 0,
                                               "tune": ["a", "b"]}
    assert given(parser.parse_args(words), "seed", "device") == {"seed": 3}


@pytest.mark.slow
def test_outputs_have_one_name_everywhere(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["show", "-o", str(tmp_path / "x.png")]) == 0 and (tmp_path / "x.png").exists()
    for command in ("show", "view", "train", "compare"):
        assert main([command, "-h"]) == 0
        assert "-o " in (text := capsys.readouterr().out) and "--out " in text


def test_public_names():
    assert set(bart_pogmdm.__all__) <= set(dir(bart_pogmdm))
    for name in bart_pogmdm.__all__:
        assert getattr(bart_pogmdm, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'recom'"):
        _ = bart_pogmdm.recom


def test_scripts_of_version_0_1_find_their_names(tmp_path):
    from bart_pogmdm import io
    kspace = np.ones((2, 3, 4), np.complex64)
    io.write({tmp_path / "x": io.to_bart(kspace)})
    np.testing.assert_array_equal(io.from_bart(io.read(tmp_path / "x")), kspace)
    assert io.read is cfl.read and io.COIL == bart_dims.COIL
