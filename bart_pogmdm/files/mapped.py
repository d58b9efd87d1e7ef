"""k-space that lies uncompressed in a file and is read slice by slice through a memory map."""

import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import DIMS, index_of, pad_dims, to_bart


@dataclass(frozen=True)
class ArrayLayout:
    """The layout of an array in a file: its samples begin at byte `offset`."""

    dtype: np.dtype
    offset: int
    shape: Shape
    column_major: bool

    @property
    def end(self) -> int:
        """The byte after the last sample."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class MappedArray:
    """An array in a file that is mapped into memory."""

    mapping: mmap.mmap
    layout: ArrayLayout

    @classmethod
    def of(cls, file: BinaryIO, layout: ArrayLayout) -> "MappedArray":
        """Map an open file into memory; it may be closed afterwards.  Raises ValueError if the array does not fit."""
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if min(layout.shape, default=1) < 0 or layout.end > len(mapping):
            raise ValueError(f"an array {layout.dtype} {layout.shape} does not fit the file")
        return cls(mapping, layout)

    @property
    def array(self) -> Array:
        """A read-only view of the whole array."""
        layout = self.layout
        return np.ndarray(layout.shape, layout.dtype, self.mapping, layout.offset,
                          order="F" if layout.column_major else "C")

    def release(self) -> None:
        """Drop the pages read so far from memory, because they count as memory of this process."""
        self.mapping.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class MappedKspace:
    """k-space in a mapped file, (y, x), (coil, y, x) or with more dimensions in BART's order, and its pattern."""

    stored: MappedArray
    pattern: Array | None

    voxel: ClassVar[None] = None  # such files do not say it
    geometry: ClassVar[None] = None
    tags: ClassVar[dict[str, str]] = {}

    @classmethod
    def checked(cls, path: Path, stored: MappedArray, pattern: Array | None) -> "MappedKspace":
        """Return the k-space of a file.  Raises ValueError unless the array is complex and has 2 to 16 dimensions."""
        layout = stored.layout
        if layout.dtype.kind != "c" or not 2 <= len(layout.shape) <= len(DIMS):
            raise ValueError(f"{path}: expected complex k-space of 2 to 16 dimensions,"
                             f" got {layout.dtype} {layout.shape}")
        return cls(stored, pattern)

    @property
    def shape(self) -> Shape:
        """The 16 sizes in BART's order."""
        return pad_dims(self._in_bart_order().shape)

    def slice(self, place: Shape) -> Array:
        """Read k-space (READ, PHS1, PHS2, COIL), complex64, at a place in the dimensions beyond COIL."""
        array = self._in_bart_order().reshape(self.shape)
        kspace = np.array(array[index_of(place)], np.complex64)
        self.stored.release()
        return kspace

    def _in_bart_order(self) -> Array:
        array = self.stored.array
        return array if array.ndim > 3 else to_bart(array)
