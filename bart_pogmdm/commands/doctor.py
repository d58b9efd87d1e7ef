"""`bart-pogmdm doctor`: says what works on this machine and what is missing."""

from ..toolbox.doctor import diagnose
from .parser import asks_for_help


def doctor(argv: list[str]) -> int:
    """Print versions, BART, the command, GPU and default prior; name what is missing.  Exit code 1 then."""
    if asks_for_help(doctor, argv):
        return 0
    diagnosis = diagnose()
    for label, text in (*diagnosis.found, *(("missing", item) for item in diagnosis.missing)):
        print(f"{label:13}{text}")
    return 1 if diagnosis.missing else 0
