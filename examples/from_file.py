"""Reconstruct the middle slice of a file in Python, and save the image and its standard deviation.

usage: from_file.py FILE OUTPUT

FILE: fastMRI or ISMRMRD .h5, .npz, .npy, .cfl or .ra; OUTPUT: a BART file; the standard deviation goes to OUTPUT-std.
"""

import sys

from bart_pogmdm import recon, write
from bart_pogmdm.arrays.bart_dims import BEYOND
from bart_pogmdm.files.kspace import open_kspace


def main(name, output):
    file = open_kspace(name)
    kspace = file.slice(tuple(size // 2 for size in file.shape[BEYOND:]))  # (READ, PHS1, PHS2, COIL)
    result = recon(kspace, samples=10)
    print(f"{kspace.shape}: noise {result.info['noise_std']:.3g}, {result.info['ess']:.0f} effective samples,"
          f" {result.info['seconds']:.0f} s")
    write({output: result.image, f"{output}-std": result.std})


if __name__ == "__main__":
    main(*sys.argv[1:])
