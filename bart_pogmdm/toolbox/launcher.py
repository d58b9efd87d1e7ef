"""Texts of the two scripts that `bart-pogmdm install` writes, and the mark that identifies them."""

import shlex
from pathlib import Path

# This line stands in every script that we write; files without it are never replaced or removed.
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
# `bart pogmdm` runs bart_pogmdm, and all else the next BART on the PATH.  Written by `bart-pogmdm install`.
if [ "$1" = pogmdm ]; then
    shift
    exec {launcher} "$@"
fi
is_value=
for word do
    if [ "$is_value" ]; then is_value=; continue; fi
    case $word in
        pogmdm) echo "ERROR: pogmdm: BART does not hand on its own options, here $1: write 'bart pogmdm' first;" \
                     "dimensions beyond COIL are looped over without an option" >&2; exit 1 ;;
        -r | --ref-file) is_value=yes ;;
        -* | [0-9]*) ;;
        *) break ;;
    esac
done
is_next=
IFS=:
set -f
for folder in $PATH; do
    if [ "$folder/bart" -ef "$0" ]; then is_next=yes
    elif [ "$is_next" ] && [ -f "$folder/bart" ] && [ -x "$folder/bart" ]; then exec "$folder/bart" "$@"
    fi
done
exec {bart} "$@"
"""
MARK_BYTES = 4096  # The mark is within this many bytes from the start, so that a large binary is not read whole.


def launcher_text(python: str | Path) -> str:
    """Return the text of the external command `pogmdm` that runs this package with a Python interpreter."""
    return LAUNCHER.format(python=shlex.quote(str(python)))


def shim_text(launcher: Path, bart: Path) -> str:
    """Return the text of a script `bart` that runs the launcher for `bart pogmdm`, and otherwise the real BART.

    The real BART is the next on the PATH, so that a new one is used at once; `bart` only if there is none.  Options
    before the word `pogmdm` are refused: BART itself would drop them in silence.
    """
    return SHIM.format(launcher=shlex.quote(str(launcher)), bart=shlex.quote(str(bart)))


def is_ours(path: str | Path) -> bool:
    """Return True if `bart-pogmdm install` wrote a file; False for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return MARK.encode() in file.read(MARK_BYTES)
    except OSError:
        return False
