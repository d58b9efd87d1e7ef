"""The command `bart pogmdm` on a machine: launcher, install, uninstall, doctor."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import names, write_scan

from bart_pogmdm import recon
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.cfl import read
from bart_pogmdm.toolbox import find_bart
from bart_pogmdm.toolbox.install import Places, install_launcher, remove_launcher
from bart_pogmdm.toolbox.launcher import is_ours, launcher_text

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).resolve().parents[1] / "plugin" / "pogmdm"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of one's own without BART variables."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH", "BART_POGMDM_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def toolbox(tmp_path):
    """toolbox(version, folder="toolbox") writes a `bart` that only says its version, and returns its path."""
    def write(version, folder="toolbox"):
        path = tmp_path / folder / "bart"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\necho {version}\n")
        path.chmod(0o755)
        return path
    return write


def nowhere(folder):
    """A system in which no folder can be written but the home."""
    return False


def test_repository_holds_the_launcher():
    assert PLUGIN.read_text() == launcher_text("python3")
    assert os.access(PLUGIN, os.X_OK)


def test_launcher_says_what_is_wrong(tmp_path):
    launcher = tmp_path / "pogmdm"
    launcher.write_text(launcher_text("/nowhere/my python"))
    launcher.chmod(0o755)
    run = subprocess.run([launcher], capture_output=True, text=True, check=False)
    assert run.returncode == 1 and run.stderr.startswith("ERROR: pogmdm: no Python at /nowhere/my python")
    bare = tmp_path / "python"
    bare.write_text(f"#!/bin/sh\nexec {sys.executable} -I -S \"$@\"\n")
    bare.chmod(0o755)
    run = subprocess.run([launcher], capture_output=True, text=True, check=False, cwd=tmp_path,
                         env={**os.environ, "BART_POGMDM_PYTHON": str(bare)})
    assert run.returncode == 1 and run.stderr.startswith("ERROR: pogmdm: No module named 'bart_pogmdm'")
    run = subprocess.run([launcher, "-h"], capture_output=True, text=True, check=False,
                         env={**os.environ, "BART_POGMDM_PYTHON": sys.executable})
    assert run.returncode == 0 and run.stdout.startswith("Usage: pogmdm")


def test_launchers_of_version_0_1_work(tmp_path):
    launcher = tmp_path / "pogmdm"
    launcher.write_text(launcher_text(sys.executable).replace("bart_pogmdm.commands.main", "bart_pogmdm.cli"))
    launcher.chmod(0o755)
    run = subprocess.run([launcher, "-h"], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stdout.startswith("Usage: pogmdm")


def test_one_finder(home, toolbox, tmp_path):
    """The shell's `bart` may be our shim; the real one is behind it, and behind links."""
    real, other = toolbox("v0.8.00", "real"), toolbox("v1.0.00", "other")
    shim = toolbox("v0.0.00", "shim")
    shim.write_text("#!/bin/sh\n# bart-pogmdm install\n")
    path = os.pathsep.join([str(tmp_path / "empty"), "", str(shim.parent), str(real.parent)])
    assert find_bart.find({"PATH": path}) == str(shim)
    assert find_bart.find_real({"PATH": path}) == real
    environ = {"PATH": path, "TOOLBOX_PATH": str(other.parent), "BART_TOOLBOX_PATH": str(tmp_path / "empty")}
    assert find_bart.find(environ) == str(other) and find_bart.find_real(environ) == other
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "bart").symlink_to(real)
    assert find_bart.find_real({"PATH": str(tmp_path / "link")}) == real
    assert find_bart.find({"PATH": ""}) is None and find_bart.find_real({"PATH": str(shim.parent)}) is None
    assert find_bart.version(other) == "v1.0.00"
    assert [find_bart.version_number(text) for text in ("v1.0.00-3-gab", "0.9", "", None)] == [
        (1, 0), (0, 9), (0, 8), (0, 8)]


def test_install_for_a_user_of_0_8(home, monkeypatch, capsys, bart, tmp_path):
    """A shim named bart on the PATH: it runs our command and hands all others to the real BART."""
    write_scan(tmp_path)
    real, places = find_bart.find_real(), Places(writable=nowhere)
    install_launcher(real, "v0.8.00", places)
    shim = home / ".local" / "lib" / "bart" / "bin" / "bart"
    assert f"export PATH={shim.parent}" in capsys.readouterr().out
    version = subprocess.run([shim, "version"], capture_output=True, text=True, check=True).stdout
    assert version.strip() == find_bart.version()
    subprocess.run([shim, "pogmdm", "-i1", "ksp", "out"], cwd=tmp_path, check=True)
    assert "out.cfl" in names(tmp_path)
    monkeypatch.setenv("PATH", f"{shim.parent}{os.pathsep}{os.environ['PATH']}")
    install_launcher(find_bart.find_real(), "v0.8.00", places)  # again, from behind its own shim
    assert "exec " + str(shim) not in shim.read_text()
    assert main(["doctor"]) == 0 and "command      bart pogmdm works" in capsys.readouterr().out
    remove_launcher(real, places)
    assert not (home / ".local" / "lib" / "bart").exists()
    remove_launcher(real, places)
    assert "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("writable", [True, False])
def test_install_for_a_user_of_1_0(home, capsys, writable, tmp_path, toolbox):
    bart = toolbox("v1.0.00")
    places = Places(system=tmp_path / "elsewhere",
                    writable=lambda path: writable and path.is_relative_to(bart.parent))
    install_launcher(bart, find_bart.version(bart), places)
    out = capsys.readouterr().out
    local = home / ".local" / "lib" / "bart"
    command = (bart.parent if writable else local) / "commands" / "pogmdm"
    assert command.exists() and f"wrote {command}" in out
    assert subprocess.run([command, "-h"], capture_output=True, check=False).returncode == 0
    if not writable:
        assert (local / "bart").resolve() == bart
        assert f"export BART_TOOLBOX_PATH={local}" in out
    remove_launcher(bart, places)
    assert not command.exists() and not (local / "bart").exists()


def test_install_spares_what_is_not_its_own(home, tmp_path, toolbox):
    bart, places = toolbox("v0.8.00"), Places(system=tmp_path / "system")
    places.system.mkdir()
    places.system_launcher.write_text("mine")
    with pytest.raises(FileExistsError, match="was not written by `bart-pogmdm install`"):
        install_launcher(bart, "v0.8.00", places)
    remove_launcher(bart, places)
    assert (tmp_path / "system" / "pogmdm").read_text() == "mine"


def test_other_peoples_links_stay(home, toolbox):
    bart, _ = toolbox("v1.0.00"), toolbox("v0.9.00", "home/.local/lib/bart")
    with pytest.raises(FileExistsError, match="is no link to BART"):
        install_launcher(bart, "v1.0.00", Places(writable=nowhere))
    assert sorted(path.name for path in (home / ".local" / "lib" / "bart").iterdir()) == ["bart"]


def test_without_bart(home, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["install"]) == 1
    assert "ERROR: bart not found" in capsys.readouterr().err
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "missing      BART" in out and "prior        brain-mr" in out and "gpu          none" in out
    assert main(["doctor", "now"]) == 1
    assert "doctor takes no arguments, got now" in capsys.readouterr().err
    assert main(["install", "-h"]) == 0
    assert "Usage: bart-pogmdm install" in capsys.readouterr().out


def test_real_bart_runs_it(bart, tmp_path):
    """`bart pogmdm` through the system folder that BART 0.8 knows, put back as it was."""
    places = Places()
    if not places.writable(places.system):
        pytest.skip(f"{places.system} cannot be written here")
    command = places.system_launcher
    before = command.read_bytes() if command.exists() else None
    if before is not None and not is_ours(command):
        pytest.skip(f"{command} belongs to somebody else")
    write_scan(tmp_path)
    try:
        assert main(["install"]) == 0
        subprocess.run([find_bart.find(), "pogmdm", "-i4", "ksp", "out", "sens"], cwd=tmp_path, check=True)
        expected = recon(read(tmp_path / "ksp"), iterations=4).image
        assert np.linalg.norm(read(tmp_path / "out") - expected) < 1e-5 * np.linalg.norm(expected)
        run = subprocess.run([find_bart.find(), "pogmdm", "none", "out2"], cwd=tmp_path, capture_output=True,
                             text=True, check=False)
        assert run.returncode == 1 and run.stderr.startswith("ERROR: none.hdr: no such file")
    finally:
        if before is None:
            main(["uninstall"])
        else:
            command.write_bytes(before)
