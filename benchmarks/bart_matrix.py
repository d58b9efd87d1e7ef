"""Every promise about BART on any number of BARTs: a table of one line per check and one column per binary.

usage: bart_matrix.py [BART ...]    BART: paths of `bart` binaries; without any, the `bart` of the shell.

A cell is `ok`, `-` where that version has no such thing, or the fault in words; with a fault the exit code is 1.  Each
check has a copy of the binary, a home and a folder of its own.  As root, the folder for all users is hidden by an empty
one in a mount namespace, which vanishes with the script, and folders can be made read-only.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bart_pogmdm import ReconstructionWarning, load_prior, read, recon
from bart_pogmdm.toolbox.find_bart import find_real, version, version_number

ROOT = Path(__file__).resolve().parents[1]
SYSTEM = Path("/usr/local/lib")  # BART's folder for all users is beneath.
LONGEST = 300  # A command counts as hanging after this time in seconds.
BARE = "-"  # The cell of a check that does not concern a version or a user.
SHIM_OF_0_1 = """\
#!/bin/sh
# BART 0.8 looks for external commands in system folders only.  Written by `bart-pogmdm install`.
if [ "$1" = pogmdm ]; then
    shift
    exec /nowhere/pogmdm "$@"
fi
exec {bart} "$@"
"""


@dataclass
class Host:
    """A user with a home, and a BART of their own: `shell` runs commands with `path` before all else on the PATH."""

    binary: Path
    folder: Path
    number: tuple[int, int]
    path: list[Path] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("home", "work", "tmp", "bin"):
            (self.folder / name).mkdir()
        self.script(self.folder / "bin" / "bart-pogmdm", f'exec {shlex.quote(sys.executable)} -m bart_pogmdm "$@"')

    @property
    def home(self):
        return self.folder / "home"

    @property
    def work(self):
        return self.folder / "work"

    @property
    def shims(self):
        return self.home / ".local" / "lib" / "bart" / "bin"

    @property
    def dash(self):
        """A dash for a file name: before 1.0 it is one only behind two others."""
        return "-" if self.number >= (1, 0) else "-- -"

    def script(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def bart(self, folder="bart", name="bart"):
        """Return the path of a copy of the binary."""
        path = self.folder / folder / name
        path.parent.mkdir(exist_ok=True)
        shutil.copy(self.binary, path)
        return path

    def shell(self, command, prefix=()):
        kept = {name: value for name, value in os.environ.items() if not name.endswith("TOOLBOX_PATH")}
        path = [*map(str, self.path), str(self.folder / "bin"), os.environ["PATH"]]
        return subprocess.run([*prefix, "bash", "-c", f"set -eo pipefail; {command}"], cwd=self.work, timeout=LONGEST,
                              capture_output=True, text=True, errors="replace", check=False, env={
                                  **kept, "HOME": str(self.home), "TMPDIR": str(self.folder / "tmp"),
                                  "PATH": os.pathsep.join(path), "PYTHONPATH": str(ROOT), **self.variables})

    def works(self, command, **keywords):
        """Run commands, which must succeed, and return what they print."""
        done = self.shell(command, **keywords)
        said = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing"]
        expect(done.returncode == 0, f"`{command}` ended with {done.returncode} and says: {said[-1]}")
        return done.stdout

    def install(self):
        """Install for the first `bart` on the PATH, follow the advice about the PATH, and return what it prints."""
        said = self.works("bart-pogmdm install")
        if f"export PATH={self.shims}" in said:
            self.path.insert(0, self.shims)
        return said

    def check_command(self):
        """Check `bart pogmdm`, another command, and the doctor in this shell."""
        expect(self.works("bart pogmdm -h").startswith("Usage: pogmdm"), "`bart pogmdm -h` prints no help")
        expect(version_number(self.works("bart version").strip()) == self.number, "`bart version` is another BART's")
        expect("bart pogmdm works" in self.works("bart-pogmdm doctor"), "the doctor does not say that it works")

    def refuses(self, command):
        """Check that a command ends with exit code 1 and one line `ERROR: …`, and writes nothing; return the line."""
        before, done = self.files(), self.shell(command)
        expect(done.returncode == 1, f"`{command}` ended with {done.returncode}")
        expect(done.stderr.startswith("ERROR: ") and done.stderr.count("\n") == 1, f"`{command}` says {done.stderr!r}")
        expect(self.files() == before, f"`{command}` left {set(self.files()) - set(before)}")
        return done.stderr

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))


def expect(condition, words):
    """Raise AssertionError with the fault in words."""
    if not condition:
        raise AssertionError(words)


def a_private_bart_runs_the_command(host):
    host.path = [host.bart().parent]
    host.install()
    host.check_command()


def a_link_to_another_name_runs_all_commands(host):
    folder = host.bart(name="bart-of-yesterday").parent
    (host.folder / "links").mkdir()
    (host.folder / "links" / "bart").symlink_to(folder / "bart-of-yesterday")
    host.path = [host.folder / "links"]
    folder.chmod(0o555)
    host.install()
    host.check_command()


def a_wrapper_script_runs_all_commands(host):
    bart = host.bart()
    bart.parent.chmod(0o555)
    host.path = [host.script(host.folder / "wrapper" / "bart", f'exec {bart} "$@"').parent]
    host.install()
    host.check_command()


def a_private_toolbox_gets_the_command_and_keeps_its_variable(host):
    toolbox = host.bart("toolbox").parent
    (toolbox / "commands").mkdir()
    host.path, host.variables = [toolbox], {"BART_TOOLBOX_PATH": str(toolbox)}
    said = host.install()
    expect("BART_TOOLBOX_PATH" not in said, "install speaks of BART_TOOLBOX_PATH")
    expect((toolbox / "commands" / "pogmdm").exists() == (host.number >= (0, 9)), "the command is elsewhere")
    host.check_command()


def a_toolbox_that_cannot_be_written_keeps_its_variable(host):
    toolbox = host.bart("toolbox").parent
    (toolbox / "commands").mkdir()
    for path in (toolbox / "commands", toolbox):
        path.chmod(0o555)
    host.path, host.variables = [toolbox], {"BART_TOOLBOX_PATH": str(toolbox)}
    expect("BART_TOOLBOX_PATH" not in host.install(), "install speaks of BART_TOOLBOX_PATH")
    host.check_command()


def root_prefers_a_private_toolbox(host):
    if not is_hidden():
        return BARE
    bart = host.bart("toolbox")
    (bart.parent / "commands").mkdir()
    host.path = [bart.parent]
    writable = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none {SYSTEM}; exec "$@"', "sh"]
    said = host.works("bart-pogmdm install; bart pogmdm -h", prefix=writable)
    expect(f"wrote {SYSTEM}/bart/commands/pogmdm" in said and "Usage: pogmdm" in said, f"without a toolbox: {said}")
    host.variables = {"BART_TOOLBOX_PATH": str(bart.parent)}
    said = host.works("bart-pogmdm install; bart pogmdm -h", prefix=writable)
    wanted = bart.parent if host.number >= (0, 9) else SYSTEM / "bart"
    expect(f"wrote {wanted}/commands/pogmdm" in said and "Usage: pogmdm" in said, f"with a toolbox: {said}")
    return None


def of_two_barts_the_one_on_the_path_runs_the_command(host):
    other = host.script(host.folder / "other" / "bart", "echo v0.7.00")
    host.path, host.variables = [host.bart().parent], {"BART_TOOLBOX_PATH": str(other.parent)}
    host.install()
    host.check_command()
    expect(str(other) in host.works("bart-pogmdm doctor"), "the doctor does not name the other BART")


def an_old_shim_gives_way_to_a_newer_bart(host):
    old = host.script(host.folder / "old" / "bart", "echo v0.7.00")
    host.script(host.shims / "bart", "").write_text(SHIM_OF_0_1.format(bart=old))
    host.path = [host.shims, host.bart().parent, old.parent]
    host.works("bart-pogmdm install")
    host.check_command()


def a_bart_without_a_version_is_refused(host):
    host.path = [host.script(host.folder / "silent" / "bart", "").parent, host.bart().parent]
    expect("expected a version" in host.refuses("bart-pogmdm install"), "it does not speak of the version")


def a_failed_install_leaves_nothing(host):
    bart = host.bart()
    bart.parent.chmod(0o555)
    host.path = [bart.parent]
    host.shims.parent.mkdir(parents=True)
    host.shims.write_text("a file in the place of the folder of the shim")
    host.refuses("bart-pogmdm install")


def before_the_new_shell_the_doctor_tells_the_line(host):
    bart = host.bart()
    bart.parent.chmod(0o555)
    host.path = [bart.parent]
    line = next(line.strip() for line in host.works("bart-pogmdm install").splitlines() if "export " in line)
    done = host.shell("bart-pogmdm doctor")
    expect(done.returncode == 1 and line in done.stdout and "bart-pogmdm install" not in done.stdout, done.stdout)
    (host.home / ".bashrc").write_text(f"{line}\n")
    expect("open a new shell (line 1 of" in host.shell("bart-pogmdm doctor").stdout, "it does not say: a new shell")
    expect("bart pogmdm works" in host.works(". ~/.bashrc; bart-pogmdm doctor"), "the line does not help")
    said = host.works("bart-pogmdm uninstall")
    expect(f"remove line 1 of {host.home}/.bashrc" in said, "uninstall does not name the line")


def uninstall_leaves_nothing(host):
    bart = host.bart()
    host.path = [bart.parent]
    for mode in (0o755, 0o555):
        before = host.files()
        bart.parent.chmod(mode)
        host.install()
        host.works("bart-pogmdm uninstall")
        expect(host.files() == before, f"it left {set(host.files()) ^ set(before)}")


def a_shim_refuses_options_that_bart_would_drop(host):
    bart = host.bart()
    bart.parent.chmod(0o555)
    host.path = [bart.parent]
    host.install()
    host.refuses("bart -l 8 -e 4 pogmdm kspace image")


def measured(host):
    """Install, and write `one` and `slices`, k-space of one and of three slices (32 x 32, 4 coils)."""
    host.path = [host.bart().parent]
    host.install()
    host.works("bart phantom -x 32 -k -s 4 one; bart scale 2 one two; bart join 13 one two one slices")


def errors_are_one_line_with_exit_code_1(host):
    measured(host)
    for words in ("none image", "one", "--none one image", "one nowhere/image", "one one", "-i x one image"):
        host.refuses(f"bart pogmdm {words}")


def slices_are_bit_equal_to_those_of_python(host):
    measured(host)
    host.works("bart pogmdm -i 2 slices image sens; bart-pogmdm -i 2 slices image2 sens2")
    result = recon(read(host.work / "slices"), iterations=2)
    for name, expected in (("image", result.image), ("sens", result.sens)):
        arrays = [read(host.work / file) for file in (name, f"{name}2")]
        expect(all(np.array_equal(array.squeeze(), expected.squeeze()) for array in arrays), f"{name} differs")
    expect("nan" not in host.works("bart nrmse image image2"), "BART cannot read the image")


def ra_files_come_in_and_go_out(host):
    measured(host)
    host.works("bart copy one one.ra; bart pogmdm -i 2 one.ra image.ra; bart pogmdm -i 2 one image")
    host.works("bart copy image.ra back; bart nrmse -t 0 image back")


def streams_come_in_and_go_out(host):
    measured(host)
    dash = host.dash
    host.works(f"bart phantom -x 32 -k -s 4 {dash} | bart pogmdm -i 2 - - | bart scale {dash_first(dash, 1)} streamed")
    host.works(f"bart pogmdm -i 2 one - | bart scale {dash_first(dash, 1)} sent")
    host.works("bart pogmdm -i 2 one image; bart nrmse -t 0 image streamed; bart nrmse -t 0 image sent")
    expect(not list((host.folder / "tmp").iterdir()), "samples were left in TMPDIR")
    expect(not list(host.work.glob("bart-*")), "samples were left in the working folder")


def dash_first(dash, *words):
    """Return the words with a dash behind them, as a command of that version reads them."""
    return " ".join([*dash.split()[:-1], *map(str, words), "-"])


def binary_streams_come_in(host):
    if host.number < (1, 0):
        return BARE
    measured(host)
    host.works("bart --stream-bin-out phantom -x 32 -k -s 4 - | bart pogmdm -i 2 - - | bart scale 1 - streamed")
    host.works("bart pogmdm -i 2 one image; bart nrmse -t 0 image streamed")
    return None


def named_pipes_come_in_and_go_out(host):
    measured(host)
    if host.number < (1, 0):
        expect("named pipes need BART 1.0" in host.refuses("bart pogmdm one image.fifo"), "it is not refused")
        return BARE
    host.works("bart pogmdm -i 2 one image sens")
    host.works("bart copy one in.fifo & bart pogmdm -i 2 in.fifo out.fifo sens.fifo & bart copy sens.fifo sens2 &"
               " bart copy out.fifo image2; wait; bart nrmse -t 0 image image2; bart nrmse -t 0 sens sens2")
    host.works("bart slice 3 0 one coil")
    host.works("bart tee -i coil a.fifo b.fifo & bart pogmdm -i 2 -I a.fifo b.fifo image3; wait; test -f image3.cfl")
    expect(not list(host.work.glob("*.fifo")), "a pipe was left")
    return None


def names_with_another_meaning_are_refused(host):
    measured(host)
    for ending in (".coo", ".shm", ".mem"):
        host.refuses(f"bart pogmdm one image{ending}")
        host.refuses(f"bart pogmdm one{ending} image")


def sensitivities_of_bart_are_taken(host):
    measured(host)
    calibrations = {"ecalib -m1": 1, "ecalib -m2": 2, "caldir 12": 1} | ({"ncalib": 1} if host.number >= (1, 0) else {})
    for command, sets in calibrations.items():
        host.works(f"bart {command} one maps; bart pogmdm -i 2 --sens maps one image; rm image.*")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconstructionWarning)  # Two iterations do not explain the samples.
            result = recon(read(host.work / "one"), sens=read(host.work / "maps"), iterations=2)
        host.works(f"bart pogmdm -i 2 --sens maps one {command.split()[0]}{sets}")
        image = read(host.work / f"{command.split()[0]}{sets}")
        expect(np.array_equal(image.squeeze(), result.image.squeeze()), f"{command}: not the image of Python")
        said = host.refuses("bart pogmdm one maps image")
        expect("pogmdm kspace image sens" in said, f"{command}: maps are replaced")


def options_are_those_of_nlinv(host):
    measured(host)
    host.works("bart traj -x 32 -y 17 -r traj; bart phantom -k -s 4 -t traj spokes")
    host.works("bart pogmdm -i 2 -t traj -x 32:32:1 spokes a; bart pogmdm -i2 -t traj --dims 32:32:1 spokes b")
    host.works("bart nrmse -t 0 a b")
    if host.number >= (0, 9):
        host.works("bart nlinv -i 2 -t traj -x 32:32:1 spokes c")
        expect(read(host.work / "a").shape == read(host.work / "c").shape, "another size than that of nlinv")
    for words in ("-B one", "-s 1024", "-R T:3:0:.01", "-x 32:32:1", "-m", "-I"):
        host.refuses(f"bart pogmdm {words} one image")


def weights_are_those_of_pics(host):
    measured(host)
    host.works("bart ones 2 32 32 all; bart scale 255 all weights; bart repmat 3 4 all coils")
    for pattern in ("all", "weights", "coils"):
        host.works(f"bart pogmdm -i 2 -p {pattern} one {pattern}.ra")
        host.works(f"bart nrmse -t 0 all.ra {pattern}.ra")
    host.works("bart ecalib -m1 one maps")
    host.works("for p in all weights; do bart pics -S -l2 -r 0 -i 4 -p $p one maps $p.p; done")
    host.works("bart nrmse -t 1e-4 all.p weights.p")


def python_calls_bart(host):
    measured(host)
    host.path = [Path(sys.executable).parent, *host.path]
    lines = ["from bart_pogmdm import bart, read", "one = read('one')",
             "image = bart(1, 'rss 8', bart(1, 'fft -iu 3', one))",
             "assert float(bart(0, 'nrmse', image, 0.5 * image)) > 0.4 and bart.stdout.strip()",
             "assert bart(0, 'bitmask 0 1').strip() == '3' and bart.ERR == 0",
             "assert bart(2, 'nlinv', one, S=True, i=3)[1].shape == (32, 32, 1, 4)",
             "assert bart(1, 'pogmdm', one, i=2).shape == (32, 32)"]
    for wrong in ("'one'", "None", "{}"):
        lines += ["try:", f"    bart(1, 'fft 3', {wrong})", "    raise SystemExit('no TypeError')", "except TypeError:",
                  "    pass"]
    (host.work / "calls.py").write_text("\n".join(lines))
    host.works(f"{shlex.quote(sys.executable)} calls.py")


def sample_takes_the_exported_prior(host):
    measured(host)
    if "needs torch" in host.shell("bart-pogmdm export --size 24:20 prior.pt").stderr:
        return BARE
    sample = "bart sample --dims 24:20 -N4 -K1 -S2 --sigma max=1,min=0.1 --external-graph prior.pt drawn clean"
    done = host.shell(sample)
    if any(absent in done.stderr for absent in ("Unknown bart command", "Not compiled with Pytorch support")):
        return BARE
    host.works(sample)
    drawn, clean = (np.moveaxis(read(host.work / name).reshape(24, 20, 2), -1, 0) for name in ("drawn", "clean"))
    error = float(np.abs(clean - load_prior().denoise(drawn, 0.1 / 2**0.5)).max())  # BART counts both parts of noise
    expect(error < 1e-5, f"the denoised image is wrong by {error:.2g}")
    return None


CHECKS = [a_private_bart_runs_the_command, a_link_to_another_name_runs_all_commands, a_wrapper_script_runs_all_commands,
          a_private_toolbox_gets_the_command_and_keeps_its_variable,
          a_toolbox_that_cannot_be_written_keeps_its_variable, root_prefers_a_private_toolbox,
          of_two_barts_the_one_on_the_path_runs_the_command, an_old_shim_gives_way_to_a_newer_bart,
          a_bart_without_a_version_is_refused, a_failed_install_leaves_nothing,
          before_the_new_shell_the_doctor_tells_the_line, uninstall_leaves_nothing,
          a_shim_refuses_options_that_bart_would_drop, errors_are_one_line_with_exit_code_1,
          slices_are_bit_equal_to_those_of_python, ra_files_come_in_and_go_out, streams_come_in_and_go_out,
          binary_streams_come_in, named_pipes_come_in_and_go_out, names_with_another_meaning_are_refused,
          sensitivities_of_bart_are_taken, options_are_those_of_nlinv, weights_are_those_of_pics, python_calls_bart,
          sample_takes_the_exported_prior]


def outcome(check, binary, number):
    """Return the cell of a check: ok, - or the fault."""
    with tempfile.TemporaryDirectory(prefix="bart-matrix-", ignore_cleanup_errors=True) as name:
        try:
            return check(Host(binary, Path(name), number)) or "ok"
        except Exception as fault:
            return " ".join(str(fault).split()) or type(fault).__name__
        finally:
            for path in Path(name).rglob("*"):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)


def is_hidden():
    """Return True if the folder for all users is hidden by an empty one."""
    return os.environ.get("BART_MATRIX") == "hidden"


def hide_folder_for_all_users():
    """Begin again where it is hidden, and where root, too, may not write to a read-only folder."""
    os.environ["BART_MATRIX"] = "hidden"
    os.execvp("unshare", ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro none {SYSTEM} && exec "$@"', "sh",
                          "setpriv", "--bounding-set", "-dac_override,-dac_read_search", sys.executable, *sys.argv])


def main(paths):
    binaries = [Path(path).resolve() for path in paths or find_real()[:1]]
    if not binaries:
        sys.exit("there is no bart")
    labels = [version(path) for path in binaries]
    width = max(len(check.__name__) for check in CHECKS)
    print(f"{'':{width}}", *(f"{label:<10}" for label in labels), sep="  ")
    faults = 0
    for check in CHECKS:
        cells = [outcome(check, path, version_number(label)) for path, label in zip(binaries, labels)]
        faults += sum(cell not in ("ok", BARE) for cell in cells)
        print(f"{check.__name__.replace('_', ' '):{width}}", *(f"{cell:<10}" for cell in cells), sep="  ", flush=True)
    print(f"{len(CHECKS) * len(binaries)} tried, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    if os.geteuid() == 0 and not is_hidden():
        hide_folder_for_all_users()
    if not is_hidden() and (os.access(SYSTEM, os.W_OK) or (SYSTEM / "bart" / "commands" / "pogmdm").exists()):
        sys.exit(f"{SYSTEM}: expected a folder for all users without the command, which this user cannot write")
    sys.exit(main(sys.argv[1:]))
