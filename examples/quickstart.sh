#!/usr/bin/env bash
# Set everything up, reconstruct undersampled 8-coil k-space, and write a picture.
# usage: quickstart.sh [kspace]    kspace: a BART file (cfl or ra) or an .npz with `kspace` (coil, y, x)
set -euo pipefail
here=$(pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/setup.sh plot
if [ $# -gt 0 ]; then
    case $1 in /*) set -- "$1" ;; *) set -- "$here/$1" ;; esac
fi
exec python examples/quickstart.py "$@"
