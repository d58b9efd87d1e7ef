"""The header of .ra files, which hold an array in one file: https://github.com/davidssmith/ra."""

from typing import BinaryIO

import numpy as np

from ..arrays.array_types import Shape
from ..arrays.bart_dims import DIMS, pad_dims

RA_MAGIC = 0x7961727261776172  # "rawarray" in ASCII, little-endian.
COMPLEX = 4                    # The number of the type "complex".
SAMPLE_BYTES = 8               # Bytes of a complex64 sample, as BART stores them.
FIXED_BYTES = 48               # Six integers of 8 bytes: magic, flags, type, item bytes, total bytes, dimensions.
MAX_DIMS = 64                  # A header that states more dimensions is refused before they are read.


def read_ra_dims(file: BinaryIO, name: str) -> Shape:
    """Return the sizes in an open file, padded to 16, and leave the file at the first sample.

    Raises ValueError for a damaged header, or for samples that are not little-endian complex64.
    """
    head = file.read(FIXED_BYTES)
    if len(head) != FIXED_BYTES or head[:8] != RA_MAGIC.to_bytes(8, "little"):
        raise ValueError(f"{name}: not an ra file (magic number missing)")
    _, flags, kind, width, _, ndims = (int(value) for value in np.frombuffer(head, "<u8"))
    if flags & 1 or kind != COMPLEX or width != SAMPLE_BYTES:
        raise ValueError(f"{name}: expected little-endian complex64 samples (ra type 4, 8 bytes),"
                         f" got type {kind}, {width} bytes, flags {flags}")
    if ndims > MAX_DIMS:
        raise ValueError(f"{name}: expected at most {len(DIMS)} dimensions, got {ndims}")
    sizes = file.read(8 * ndims)
    if len(sizes) != 8 * ndims or not (dims := np.frombuffer(sizes, "<u8")).all():
        raise ValueError(f"{name}: the ra header is truncated or holds a zero size")
    return pad_dims(tuple(int(size) for size in dims), name)


def ra_header(shape: Shape, sample_bytes: int) -> bytes:
    """Return the header of an array of this shape, whose samples take `sample_bytes` bytes."""
    return np.array([RA_MAGIC, 0, COMPLEX, SAMPLE_BYTES, sample_bytes, len(shape), *shape], "<u8").tobytes()
