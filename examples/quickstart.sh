#!/usr/bin/env bash
# Set up a virtual environment and BART, reconstruct undersampled 8-coil k-space, and draw a picture.
# usage: quickstart.sh [FILE]    FILE: .npz, .npy, .h5 (fastMRI or ISMRMRD), .cfl or .ra with one slice
set -euo pipefail
here=$(pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source examples/setup.sh plot
if [ $# -gt 0 ]; then
    case $1 in /*) set -- "$1" ;; *) set -- "$here/$1" ;; esac
fi
exec python examples/quickstart.py "$@"
