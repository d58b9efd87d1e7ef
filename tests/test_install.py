"""The command `bart pogmdm` on a machine: launcher, install, uninstall, doctor."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import names, write_scan

from bart_pogmdm import recon
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.cfl import read
from bart_pogmdm.toolbox import find_bart
from bart_pogmdm.toolbox.doctor import diagnose
from bart_pogmdm.toolbox.install import Places, install_launcher, remove_launcher
from bart_pogmdm.toolbox.launcher import is_ours, launcher_text
from bart_pogmdm.version import __version__

pytestmark = pytest.mark.slow

PLUGIN = Path(__file__).resolve().parents[1] / "plugin" / "pogmdm"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of one's own without BART variables."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH", "BART_POGMDM_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def places(home, tmp_path):
    """Places in which the folder for all users cannot be made, because a file is in its way."""
    (tmp_path / "file").write_text("")
    return Places(system=tmp_path / "file" / "commands")


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def toolbox(tmp_path):
    """toolbox(version, folder) writes a `bart` that finds commands as BART 1.0 does, and returns its path.

    As BART it reads the name by which it is called.
    """
    def write(version, folder="toolbox"):
        return script(tmp_path / folder / "bart", f"""
name=$1
[ "${{0##*/}}" = bart ] || name=${{0##*/}}
[ "$name" = version ] && echo {version} && exit
shift
for folder in {tmp_path / folder} "$BART_TOOLBOX_PATH"; do
    [ -x "$folder/commands/$name" ] && exec "$folder/commands/$name" "$@"
done
echo "Unknown bart command: \\"$name\\"." >&2
exit 255""")
    return write


@pytest.fixture
def real_bart(bart, tmp_path):
    """A copy of this machine's BART, in a folder in which no command can be installed."""
    path = tmp_path / "real" / "bart"
    path.parent.mkdir()
    shutil.copy(find_bart.find_real()[0], path)
    path.with_name("commands").write_text("")
    return path


def content(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def shell(command, *folders, cwd=None):
    """The finished process of a shell whose PATH begins with the folders."""
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120, cwd=cwd,
                          env=os.environ | {"PATH": path})


def help_comes(command, *folders):
    return shell(f"{command} -h", *folders).stdout.startswith("Usage: pogmdm")


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
    """The shell's `bart` may be our shim; the real one is behind it, and a link keeps its name."""
    real, other = toolbox("v0.8.00", "real"), toolbox("v1.0.00", "other")
    shim = script(tmp_path / "shim" / "bart", "# bart-pogmdm install")
    path = os.pathsep.join([str(tmp_path / "empty"), "", str(shim.parent), str(real.parent)])
    assert find_bart.in_shell({"PATH": path}) == find_bart.find({"PATH": path}) == str(shim)
    assert find_bart.find_real({"PATH": path}) == [real]
    environ = {"PATH": path, "TOOLBOX_PATH": str(other.parent), "BART_TOOLBOX_PATH": str(tmp_path / "empty")}
    assert find_bart.find(environ) == str(other) and find_bart.in_shell(environ) == str(shim)
    assert find_bart.find_real(environ) == [real, other]
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "bart").symlink_to(real)
    assert find_bart.find_real({"PATH": str(tmp_path / "link")}) == [tmp_path / "link" / "bart"]
    assert find_bart.find({"PATH": ""}) is None and find_bart.find_real({"PATH": str(shim.parent)}) == []


@pytest.mark.parametrize("said, number", [
    ("v0.8.00", (0, 8)), ("v0.9.00-dirty", (0, 9)), ("v1.0.00-3-gabcdef0", (1, 0)),
    ("v1.0.00-3-gabcdef0-dirty", (1, 0)), ("Welcome to BART.\nv1.10.01", (1, 10)), ("0.9", (0, 9)),
    ("", None), ("-dirty", None), ("a1b2c3d", None), ("bart 1.0", None), ("fatal: No names found", None)])
def test_versions(tmp_path, said, number):
    bart = script(tmp_path / "bart", f"echo 'a warning of v7.7.77' >&2\nprintf '%s\\n' '{said}'")
    if number:
        assert find_bart.version_number(find_bart.version(bart)) == number
    else:
        with pytest.raises(ValueError, match=r"expected a version such as v0.8.00"):
            find_bart.version(bart)


def test_a_bart_that_says_no_version_is_refused(home, tmp_path, monkeypatch, capsys):
    silent = script(tmp_path / "silent" / "bart", "")
    monkeypatch.setenv("PATH", str(silent.parent), prepend=os.pathsep)
    write_scan(tmp_path)
    before = content(tmp_path)
    for words in (["install"], [str(tmp_path / "ksp"), "-"]):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"ERROR: {silent}: expected a version such as v0.8.00") and said.count("\n") == 1
    assert main(["doctor"]) == 1
    assert f"missing      a BART that works: {silent}: expected a version" in capsys.readouterr().out
    assert content(tmp_path) == before
    silent.write_text("no program")
    with pytest.raises(OSError, match="silent/bart: cannot be run"):
        find_bart.version(silent)


def test_a_bart_that_hangs_does_not_hang_the_doctor(home, tmp_path, monkeypatch):
    hanging = script(tmp_path / "hanging" / "bart", 'sleep 60 | cat')
    monkeypatch.setenv("PATH", str(hanging.parent), prepend=os.pathsep)
    begin = time.monotonic()
    assert f"`{hanging} version` did not end within 0.2 s" in diagnose(seconds=0.2).missing[-1]
    script(hanging, '[ "$1" = version ] && echo v1.0.00 && exit\nsleep 60 | cat')
    assert "`bart pogmdm -h` did not end within 0.2 s" in diagnose(seconds=0.2).missing[-1]
    assert time.monotonic() - begin < 20


def test_a_link_to_another_name_works_with_all_commands(real_bart, places):
    other = real_bart.rename(real_bart.with_name("bart-7"))
    real_bart.symlink_to(other.name)
    version = find_bart.version(real_bart)
    assert version == find_bart.version(other.with_name("bart"))
    install_launcher(find_bart.find_real({"PATH": str(real_bart.parent)})[0], places)
    folders = places.shim.parent, real_bart.parent
    assert shell("bart version", *folders).stdout.strip() == version
    assert shell(f"{places.shim} version").stdout.strip() == version  # The shim is not on the PATH here.
    assert help_comes("bart pogmdm", *folders)
    remove_launcher([real_bart], places)
    assert content(Path.home()) == []


def test_install_with_a_shim(real_bart, places, capsys, tmp_path):
    """It runs our command, and hands all others to the next BART on the PATH."""
    write_scan(tmp_path)
    install_launcher(real_bart, places)
    folders = places.shim.parent, real_bart.parent
    done = shell("bart pogmdm -i1 ksp out && bart show -m out && bart show -m none", *folders, cwd=tmp_path)
    assert done.returncode != 0 and "AoD" in done.stdout and "out.cfl" in names(tmp_path)
    mine = script(tmp_path / "mine" / "bart", 'echo mine "$@"')
    folders = tmp_path / "a folder", tmp_path / "*", places.shim.parent, mine.parent, real_bart.parent
    assert shell("bart 'a  b' '*' ''; bart -l 8 -r pogmdm fft pogmdm", *folders).stdout == (
        "mine a  b * \nmine -l 8 -r pogmdm fft pogmdm\n")
    for options in ("-l 8 -e 4", "-p 8 -s0 -e 1:2 -r file", "--loop 8"):
        done = shell(f"bart {options} pogmdm ksp out", *folders)
        assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("ERROR: pogmdm: ")
    remove_launcher([real_bart], places)
    capsys.readouterr()
    remove_launcher([real_bart], places)
    assert capsys.readouterr().out.startswith("nothing to remove in ")


def test_the_command_is_installed_where_bart_finds_it(places, toolbox, tmp_path, monkeypatch, capsys):
    """A private toolbox, then the folder for all users, then that beside the binary, then the shim."""
    bart, system = toolbox("v1.0.00"), Places(system=tmp_path / "system" / "commands")
    private = tmp_path / "private"
    (private / "commands").mkdir(parents=True)
    link = tmp_path / "links" / "bart"
    link.parent.mkdir()
    link.symlink_to(bart)
    wrapper = script(tmp_path / "wrapper" / "bart", f'exec {bart} "$@"')

    def lies_in(bart, places):
        install_launcher(bart, places)
        written = [Path(line[6:]) for line in capsys.readouterr().out.splitlines() if line.startswith("wrote ")]
        assert help_comes(shlex.quote(str(written[-1] if written[-1] == places.shim else bart)) + " pogmdm")
        remove_launcher([bart], places)
        capsys.readouterr()
        return written[-1].parent

    before = content(tmp_path)
    assert lies_in(link, places) == bart.parent / "commands"
    assert lies_in(bart, system) == bart.parent / "commands"  # This one does not look in the folder for all.
    monkeypatch.setenv("BART_TOOLBOX_PATH", str(private))
    assert lies_in(link, places) == lies_in(bart, system) == lies_in(wrapper, system) == private / "commands"
    monkeypatch.setenv("BART_TOOLBOX_PATH", str(tmp_path))  # It has no folder of commands.
    assert lies_in(bart, places) == bart.parent / "commands"
    assert lies_in(wrapper, places) == places.shim.parent  # Nobody looks beside a wrapper.
    assert content(tmp_path) == before


def test_a_new_bart_behind_an_old_shim(places, toolbox, tmp_path, monkeypatch, capsys):
    old, new = toolbox("v0.8.00", "old"), toolbox("v1.0.00", "new")
    (old.parent / "commands").write_text("")
    install_launcher(old, places)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (places.shim.parent, new.parent, old.parent, path))))
    assert shell("bart version").stdout == "v1.0.00\n"
    (Path.home() / ".profile").write_text(f"umask 022\n{places.export}\n")
    capsys.readouterr()
    install_launcher(find_bart.find_real()[0], places)
    said = capsys.readouterr().out
    assert not places.shim.exists() and f"removed {places.shim}" in said and "hash -r" in said
    assert f"remove line 2 of {Path.home()}/.profile: {places.export}" in said
    assert help_comes("bart pogmdm") and main(["doctor"]) == 0


def test_what_others_wrote_stays(places, toolbox, tmp_path):
    bart = toolbox("v1.0.00")
    theirs = script(bart.parent / "commands" / "pogmdm", "echo theirs")
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="was not written by `bart-pogmdm install`"):
        install_launcher(bart, places)
    (bart.parent / "commands" / "pogmdm").unlink()
    (bart.parent / "commands" / "pogmdm").symlink_to("nowhere")
    with pytest.raises(FileExistsError, match="was not written by `bart-pogmdm install`"):
        install_launcher(bart, places)
    remove_launcher([bart], places)
    assert content(tmp_path) == before and theirs.is_symlink()
    theirs.unlink()
    theirs.parent.rmdir()
    theirs.parent.write_text("")
    script(places.shim, "echo theirs")
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"bin/bart exists and was not written"):
        install_launcher(bart, places)
    assert content(tmp_path) == before


def test_a_failed_install_leaves_nothing(places, toolbox, tmp_path):
    bart = toolbox("v1.0.00")
    (bart.parent / "commands").write_text("")
    (Path.home() / ".local/lib").mkdir(parents=True)
    (Path.home() / ".local/lib/bart").write_text("a file")
    before = content(tmp_path)
    with pytest.raises(OSError, match="expected a folder"):
        install_launcher(bart, places)
    (Path.home() / ".local/lib/bart").unlink()
    (Path.home() / ".local/lib/bart").mkdir()
    (Path.home() / ".local/lib/bart/bin").write_text("a file")  # The launcher is written before the shim fails.
    with pytest.raises(OSError, match="expected a folder"):
        install_launcher(bart, places)
    assert content(tmp_path) == sorted([*before, "home/.local/lib/bart/bin"])


def test_what_version_0_1_wrote_goes(places, toolbox, monkeypatch, capsys):
    """It linked to BART beside its launcher, and had the user set BART_TOOLBOX_PATH to the folder of both."""
    bart, link, line = toolbox("v1.0.00"), places.home / "bart", 'export BART_TOOLBOX_PATH="$HOME/.local/lib/bart"'
    places.home.mkdir(parents=True)
    link.symlink_to(bart)
    remove_launcher([bart], places)  # An installation that failed
    assert content(Path.home()) == []
    (Path.home() / ".zshrc").write_text(f'{line}\nexport OTHER="$HOME/.local/lib/bart-1.0"\n')
    monkeypatch.setenv("BART_TOOLBOX_PATH", str(places.home))
    capsys.readouterr()
    for write in (install_launcher, lambda bart, places: remove_launcher([bart], places)):
        script(places.home_launcher, "# bart-pogmdm install")
        link.symlink_to(bart)
        write(bart, places)
        said = capsys.readouterr().out
        assert f"remove line 1 of {Path.home()}/.zshrc: {line}" in said and "OTHER" not in said
        assert content(Path.home()) == [".zshrc"]
    places.home.mkdir(parents=True)
    link.symlink_to(bart)
    (places.home / "python").mkdir()  # It is somebody's toolbox.
    remove_launcher([], places)
    assert link.is_symlink()


def test_doctor_asks_the_bart_that_a_user_would_type(places, toolbox, tmp_path, monkeypatch, capsys):
    def doctor():
        code = main(["doctor"])
        return code, capsys.readouterr().out

    bart, other = toolbox("v0.8.00"), toolbox("v0.9.00", "other")
    (bart.parent / "commands").write_text("")
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{bart.parent}{os.pathsep}{path}")
    assert re.search(r"\(run bart-pogmdm install.*\): `bart pogmdm` does not work; it says: Unknown", doctor()[1])
    install_launcher(bart, places)
    capsys.readouterr()
    code, said = doctor()
    assert code == 1 and f"installed at {places.shim}" in said and "again" not in said
    assert f"add to your shell's profile, and run in this shell:\n    {places.export}\n" in said
    (Path.home() / ".bashrc").write_text(f"# {places.export}\nexport PATH=~/.local/lib/bart/bin/:$PATH\n")
    assert f"open a new shell (line 2 of {Path.home()}/.bashrc" in doctor()[1]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (bart.parent, places.shim.parent, path))))
    assert "must come before it in the PATH" in doctor()[1]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (places.shim.parent, bart.parent, path))))
    monkeypatch.setenv("BART_TOOLBOX_PATH", str(other.parent))
    code, said = doctor()
    assert code == 0 and f"v0.8.00 at {places.shim}" in said and "bart pogmdm works" in said
    assert f"in Python    v0.9.00 at {other}, another BART" in said
    other.write_text("no program")
    code, said = doctor()
    assert code == 1 and "bart pogmdm works" in said and f"a BART that works: {other}: cannot be run" in said
    places.home_launcher.write_text(launcher_text("/nowhere/python"))
    assert "run bart-pogmdm install again): `bart pogmdm` does not work; it says: ERROR: pogmdm: no Py" in doctor()[1]
    monkeypatch.setenv("PATH", str(tmp_path))
    code, said = doctor()
    assert code == 1 and f"BART on the PATH; there is one at {other}: export PATH={other.parent}" in said
    assert "extras       " in said


def test_uninstall_tells_the_line_to_remove(places, toolbox, tmp_path, capsys):
    bart = toolbox("v0.8.00")
    (bart.parent / "commands").write_text("")
    install_launcher(bart, places)
    remove_launcher([bart], places)
    assert f"remove from your shell's profile, if it is there:\n    {places.export}" in capsys.readouterr().out
    remove_launcher([bart], places)
    assert "profile" not in capsys.readouterr().out


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


def test_version_and_misspelt_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--version"]) == 0 and capsys.readouterr().out == f"{__version__}\n"
    assert main(["doctor", "--version"]) == 1
    for words, meant in ((["doktor"], "doctor"), (["instal"], "install"), (["comapre", "scan.npz"], "compare"),
                         (["volum", "scan.h5", "out.h5"], "volume")):
        capsys.readouterr()
        assert main(words) == 1
        said = capsys.readouterr().err
        assert f"did you mean `bart-pogmdm {meant}`?" in said and said.count("\n") == 1
    for words in (["kspace", "image"], ["view1", "image"]):
        (tmp_path / "view1.hdr").write_text("")
        assert main(words) == 1
        assert "did you mean" not in capsys.readouterr().err


def test_real_bart_runs_it(bart, tmp_path):
    """`bart pogmdm` through the system folder that BART 0.8 knows, put back as it was."""
    places = Places()
    command = places.system / "pogmdm"
    if os.geteuid() != 0:
        pytest.skip(f"{places.system} can be written by root only")
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
