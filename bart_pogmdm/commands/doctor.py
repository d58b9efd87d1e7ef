"""`bart-pogmdm doctor`: prints the working and the missing parts of the installation on this machine."""

from ..toolbox.doctor import diagnose
from .parser import no_arguments


def doctor(argv: list[str]) -> int:
    """Print versions, default prior, GPU, BART and the command; with missing parts the exit code is 1."""
    if no_arguments(doctor, argv):
        return 0
    diagnosis = diagnose()
    for label, text in (*diagnosis.found, *(("missing", item) for item in diagnosis.missing)):
        print(f"{label:13}{text}")
    return 1 if diagnosis.missing else 0
