"""Finds out whether the package, its default prior, BART and `bart pogmdm` work on this machine."""

import importlib.metadata
import platform
import subprocess
import sys
from dataclasses import dataclass, field

from ..version import __version__
from .find_bart import find, version

PACKAGES = ("numpy", "scipy", "numba", "h5py", "tqdm")


@dataclass(frozen=True)
class Diagnosis:
    """The state of an installation: (label, text) of each part found, and a sentence on each missing part."""

    found: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def diagnose() -> Diagnosis:
    """Check the Python packages, the default prior, the GPU, BART and `bart pogmdm`."""
    diagnosis = Diagnosis()
    _python(diagnosis)
    _prior(diagnosis)
    diagnosis.found.append(("gpu", _gpu()))
    _bart(diagnosis)
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


def _bart(diagnosis: Diagnosis) -> None:
    """Check that BART exists and runs `bart pogmdm`."""
    bart = find()
    if bart is None:
        diagnosis.missing.append("BART (Debian, Ubuntu: apt-get install bart); without it use `bart-pogmdm` instead")
        return
    diagnosis.found.append(("bart", f"{version(bart)} at {bart}"))
    run = subprocess.run([bart, "pogmdm", "-h"], capture_output=True, text=True, check=False)
    if run.returncode == 0 and "Usage: pogmdm" in run.stdout:
        diagnosis.found.append(("command", "bart pogmdm works"))
    else:
        said = run.stderr.strip().splitlines()
        diagnosis.missing.append("the command `bart pogmdm`: run bart-pogmdm install"
                                 + (f" (it says: {said[-1]})" if said else ""))
