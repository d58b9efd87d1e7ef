#!/usr/bin/env bash
# Set up a virtual environment, install the package and BART if need be, and run all tests.
# Arguments go to pytest: `bash tests/run.sh -k prior`, `bash tests/run.sh -m quick`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/setup.sh test
ruff check .
mypy
exec python -m pytest -n 2 --dist worksteal "$@"
