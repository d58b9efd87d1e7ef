"""Reconstruct one slice of a fastMRI file or a BART file in Python, and save image and standard deviation.

usage: from_file.py FILE OUTPUT

FILE: fastMRI .h5 (its middle slice), .cfl or .ra; OUTPUT: a BART file; the standard deviation goes to OUTPUT-std.
"""

import sys

import numpy as np

from bart_pogmdm import recon
from bart_pogmdm.files.cfl import read, write


def read(name):
    """k-space in a layout that `recon` knows."""
    if name.endswith(".h5"):
        import h5py
        with h5py.File(name) as file:
            volume = file["kspace"]
            return volume[len(volume) // 2].astype(np.complex64)  # (coil, y, x), or (y, x) for a single coil
    return read(name)


def main(name, output):
    kspace = read(name)
    result = recon(kspace, samples=10)
    print(f"{kspace.shape}: noise {result.info['noise_std']:.3g}, {result.info['ess']:.0f} effective samples,"
          f" {result.info['seconds']:.0f} s")
    write({output: result.image, f"{output}-std": result.std})


if __name__ == "__main__":
    main(*sys.argv[1:])
