"""Finds out whether the package, its default prior, BART and `bart pogmdm` work on this machine."""

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
from dataclasses import dataclass, field

from ..arrays.extras import EXTRAS
from ..version import __version__
from .find_bart import SECONDS, find, find_real, in_shell, version
from .install import NAME, Places, help_of, how_to_reach
from .launcher import is_ours

PACKAGES = ("numpy", "scipy", "numba", "rocket-fft", "h5py", "tqdm")


@dataclass(frozen=True)
class Diagnosis:
    """The state of an installation: (label, text) of each part found, and a sentence on each missing part."""

    found: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def diagnose(seconds: float = SECONDS) -> Diagnosis:
    """Check the Python packages, the default prior, the GPU, BART and `bart pogmdm`.

    seconds: the time after which a program that does not answer counts as hanging.
    """
    diagnosis = Diagnosis()
    _python(diagnosis)
    diagnosis.found.append(("extras", _extras()))
    _prior(diagnosis)
    diagnosis.found.append(("gpu", _gpu()))
    _bart(diagnosis, seconds)
    return diagnosis


def _python(diagnosis: Diagnosis) -> None:
    """Check this package and the packages that it needs."""
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            diagnosis.missing.append(f"the Python package {package}: pip install {package}")
    diagnosis.found.append(("bart_pogmdm", f"{__version__}, Python {platform.python_version()} at {sys.executable}"))
    diagnosis.found.append(("packages", ", ".join(versions)))


def _prior(diagnosis: Diagnosis) -> None:
    """Check the default prior."""
    try:
        from ..prior.prior_file import load_prior
        prior = load_prior()
        diagnosis.found.append(("prior", f"{prior.name}, {prior.digest}"))
    except (ImportError, OSError, ValueError) as error:
        diagnosis.missing.append(f"the default prior: {error}")


def _gpu() -> str:
    """Describe the GPUs that CuPy sees."""
    try:
        import cupy
        count = cupy.cuda.runtime.getDeviceCount()
        return f"{count} CUDA device{'s' * (count != 1)}, CuPy {cupy.__version__}"
    except ImportError:
        return "none used (CuPy is not installed)"
    except Exception as error:  # CuPy raises exceptions of its own if there is no driver.
        return f"none (CuPy: {error})"


def _extras() -> str:
    """Tell which optional packages are there, and how to install the others."""
    there = {module: importlib.util.find_spec(module) is not None for module in EXTRAS}
    texts = [", ".join(module for module in EXTRAS if there[module]) or "none"]
    if absent := [f"{module} ({extra})" for module, extra in EXTRAS.items() if not there[module]]:
        texts.append(f"not installed: {', '.join(absent)}: pip install 'bart_pogmdm[NAME]' with the name in brackets")
    return "; ".join(texts)


def _bart(diagnosis: Diagnosis, seconds: float) -> None:
    """Check that a shell finds BART and runs `bart pogmdm`, and name the BART for Python if it is another one."""
    bart, for_python = in_shell(), find()
    if bart is None:
        diagnosis.missing.append(
            f'BART on the PATH; there is one at {for_python}: export PATH='
            f'{shlex.quote(os.path.dirname(for_python))}:"$PATH"' if for_python else
            "BART (Debian, Ubuntu: apt-get install bart); without it use `bart-pogmdm` instead")
        return
    if _version(diagnosis, "bart", bart, seconds):
        _command(diagnosis, bart, seconds)
    if for_python and not _same(for_python, bart):
        remark = ", another BART: BART_TOOLBOX_PATH or TOOLBOX_PATH names it"
        _version(diagnosis, "in Python", for_python, seconds, remark)


def _version(diagnosis: Diagnosis, label: str, bart: str, seconds: float, remark: str = "") -> bool:
    """Note the version of a BART, and return whether it says one."""
    try:
        diagnosis.found.append((label, f"{version(bart, seconds)} at {bart}{remark}"))
        return True
    except (OSError, ValueError) as error:
        hint = "; run bart-pogmdm install again" if is_ours(bart) else ""
        diagnosis.missing.append(f"a BART that works: {error}{hint}")
        return False


def _same(one: str, other: str) -> bool:
    """Return True if two paths lead to the same BART; a shim leads to the first real one."""
    real = [*find_real(), None]
    return len({os.path.realpath(real[0] or path if is_ours(path) else path) for path in (one, other)}) == 1


def _command(diagnosis: Diagnosis, bart: str, seconds: float) -> None:
    """Check `bart pogmdm` as a user would type it, and if it fails say what to do: `bart` is that on the PATH."""
    try:
        help_of("bart", NAME, seconds=seconds)
        diagnosis.found.append(("command", "bart pogmdm works"))
        return
    except OSError as error:
        places = Places()
        ours = [places.shim, places.home_launcher, *places.launchers(find_real())]
        advice = f"a command that works (run bart-pogmdm install{' again' * any(map(is_ours, ours))}): {error}"
    if is_ours(places.shim) and not os.path.samefile(bart, places.shim):
        try:
            help_of(places.shim, NAME, seconds=seconds)
            advice = (f"the PATH to the command, which is installed at {places.shim}; the `bart` of this shell is"
                      f" {bart}: {how_to_reach(places)}")
        except OSError:
            pass
    diagnosis.missing.append(advice)
