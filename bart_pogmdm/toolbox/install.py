"""`bart-pogmdm install`, `uninstall` and `doctor`: how `bart pogmdm` comes to be on a machine."""

import contextlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from .. import __version__

MARK = "bart-pogmdm install"
LAUNCHER = """\
#!/bin/sh
# External command of BART: `bart pogmdm ...` runs the Python package bart_pogmdm.  Written by `bart-pogmdm install`.
python=${{BART_POGMDM_PYTHON:-{python}}}
if ! command -v "$python" >/dev/null 2>&1; then
    echo "ERROR: pogmdm: no Python at $python: run 'bart-pogmdm install' again or set BART_POGMDM_PYTHON" >&2
    exit 1
fi
exec "$python" -c '
import sys
sys.path[:] = [path for path in sys.path if path]
try:
    from bart_pogmdm.commands.main import main
except ImportError as error:
    sys.exit(f"ERROR: pogmdm: {{error}} in {{sys.executable}}: install bart_pogmdm there or set BART_POGMDM_PYTHON")
sys.exit(main())' "$@"
"""
SHIM = """\
#!/bin/sh
# BART 0.8 looks for external commands in system folders only.  Written by `bart-pogmdm install`.
if [ "$1" = pogmdm ]; then
    shift
    exec {launcher} "$@"
fi
exec {bart} "$@"
"""
SYSTEM = Path("/usr/local/lib/bart/commands")


def launcher(python):
    """Text of the external command for a Python interpreter."""
    return LAUNCHER.format(python=shlex.quote(str(python)))


def _home():
    return Path.home() / ".local" / "lib" / "bart"


def _find_bart():
    """The real BART: not our own link or shim; FileNotFoundError without one."""
    folders = [os.environ.get(name) for name in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH")]
    for folder in [*filter(None, folders), *os.environ.get("PATH", "").split(os.pathsep)]:
        found = shutil.which("bart", path=folder) if folder else None
        if found and not _is_ours(found):
            return Path(found).resolve()
    raise FileNotFoundError("bart not found in BART_TOOLBOX_PATH, TOOLBOX_PATH or PATH"
                            " (Debian, Ubuntu: apt-get install bart); `bart-pogmdm` works without it")


def _version(bart):
    run = subprocess.run([bart, "version"], capture_output=True, text=True, check=False)
    match = re.match(r"v?(\d+)\.(\d+)", run.stdout.strip())
    return run.stdout.strip(), tuple(map(int, match.groups())) if match else (0, 8)


def _is_ours(path):
    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(4096)
    except OSError:
        return False


def _put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not _is_ours(path):
        raise FileExistsError(f"{path} exists and was not written by `{MARK}`; it is left as it is")
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(0o755)
    os.replace(temporary, path)
    print(f"wrote {path}")


def _link(link, bart):
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} exists and is no link to BART; it is left as it is")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(bart)
    print(f"linked {link} to {bart}")


def _writable(folder):
    """Whether a folder exists or can be made, and can be written."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def install(argv):
    """Put the launcher where this machine's BART finds it; says what was done and what to export."""
    if _help(install, argv):
        return 0
    bart = _find_bart()
    text, version = _version(bart)
    print(f"BART {text} at {bart}")
    command = launcher(sys.executable)
    if _writable(SYSTEM):
        _put(SYSTEM / "pogmdm", command)
    elif version >= (0, 9) and _writable(bart.parent / "commands"):
        _put(bart.parent / "commands" / "pogmdm", command)
    else:
        if version >= (0, 9):
            _link(_home() / "bart", bart)
        _put(_home() / "commands" / "pogmdm", command)
        if version >= (0, 9):
            print(f"add to your shell's profile:\n    export BART_TOOLBOX_PATH={shlex.quote(str(_home()))}")
        else:
            shim = _home() / "bin" / "bart"
            _put(shim, SHIM.format(launcher=shlex.quote(str(_home() / "commands" / "pogmdm")),
                                   bart=shlex.quote(str(bart))))
            print(f'add to your shell\'s profile:\n    export PATH={shlex.quote(str(shim.parent))}:"$PATH"')
    print("then try: bart pogmdm -h")
    return 0


def uninstall(argv):
    """Remove what `install` wrote."""
    if _help(uninstall, argv):
        return 0
    places = [SYSTEM / "pogmdm", _home() / "commands" / "pogmdm", _home() / "bin" / "bart"]
    with contextlib.suppress(FileNotFoundError):
        places.append(_find_bart().parent / "commands" / "pogmdm")
    removed = [path for path in places if _is_ours(path)]
    if _home() / "commands" / "pogmdm" in removed and (_home() / "bart").is_symlink():
        removed.append(_home() / "bart")
    for path in removed:
        path.unlink()
        print(f"removed {path}")
    for path in removed:
        for folder in (path.parent, path.parent.parent):
            if folder.name in ("commands", "bin", "bart") and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    if not removed:
        print("nothing to remove")
    return 0


def _help(command, argv):
    """Whether the help was asked for, and printed; ValueError for other arguments."""
    if argv in (["-h"], ["--help"]):
        print(f"Usage: bart-pogmdm {command.__name__}\n\n{command.__doc__}")
        return True
    if argv:
        raise ValueError(f"{command.__name__} takes no arguments, got {' '.join(argv)}")
    return False


def _gpu():
    try:
        import cupy
        count = cupy.cuda.runtime.getDeviceCount()
        return f"{count} CUDA device{'s' * (count != 1)}, CuPy {cupy.__version__}"
    except ImportError:
        return "none used (CuPy is not installed)"
    except Exception as error:  # CuPy raises its own kinds where there is no driver
        return f"none (CuPy: {error})"


def doctor(argv):
    """Print versions, BART, the command, GPU and default prior; name what is missing.  Exit code 1 then."""
    if _help(doctor, argv):
        return 0
    missing = []
    versions = []
    for package in ("numpy", "scipy", "numba", "h5py", "tqdm"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(f"the Python package {package}: pip install {package}")
    print(f"bart_pogmdm  {__version__}, Python {platform.python_version()} at {sys.executable}")
    print(f"packages     {', '.join(versions)}")
    try:
        from ..prior.prior_file import load_prior
        prior = load_prior()
        print(f"prior        {prior.name}, {prior.digest}")
    except (ImportError, OSError, ValueError) as error:
        missing.append(f"the default prior: {error}")
    print(f"gpu          {_gpu()}")

    from .find_bart import find, version
    if (bart := find()) is None:
        missing.append("BART (Debian, Ubuntu: apt-get install bart); without it use `bart-pogmdm` instead")
    else:
        print(f"bart         {version()} at {bart}")
        run = subprocess.run([bart, "pogmdm", "-h"], capture_output=True, text=True, check=False)
        if run.returncode == 0 and "Usage: pogmdm" in run.stdout:
            print("command      bart pogmdm works")
        else:
            missing.append("the command `bart pogmdm`: run bart-pogmdm install"
                           + (f" (it says: {run.stderr.strip().splitlines()[-1]})" if run.stderr.strip() else ""))
    for item in missing:
        print(f"missing      {item}")
    return 1 if missing else 0
