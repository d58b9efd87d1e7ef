"""BART's array files (cfl, ra) and its dimensions; every output appears whole or not at all."""

import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from .. import __version__
from ..arrays.bart_dims import DIMS, pad_dims
from .atomic import write_chunks, write_temporary

HEADER_LIMIT = 1 << 20  # bytes of a .hdr file that are looked at
RA_MAGIC = 0x7961727261776172
RA_COMPLEX = 4


def _split(name):
    """(folder and stem, is_ra): BART names a pair x.hdr, x.cfl by x; x.ra is one file."""
    path = Path(name)
    if path.name.strip(".") == "" or str(name).endswith("/"):
        raise ValueError(f"{str(name)!r} is not a file name")
    if path.suffix == ".ra":
        return path, True
    return (path.with_suffix("") if path.suffix in (".cfl", ".hdr") else path), False


def paths_of(name):
    """The files behind a BART array name: (x.hdr, x.cfl) or (x.ra,)."""
    path, is_ra = _split(name)
    return (path,) if is_ra else tuple(path.with_name(path.name + end) for end in (".hdr", ".cfl"))


def _open(path):
    """The file, to be read.  FileNotFoundError where there is none."""
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None


def _read_dims(path):
    """The sizes in a .hdr file."""
    with _open(path) as file:
        head = file.read(HEADER_LIMIT)
    if b"\0" in head:
        raise ValueError(f"{path}: not a BART header (it is not text)")
    return dims_of(head.decode(errors="surrogateescape"), path)


def dims_of(text, name):
    """The sizes under '# Dimensions' in the text of a .hdr file, padded to 16.  ValueError where there are none."""
    for line, sizes in pairwise(text.splitlines()):
        if line.strip() == "# Dimensions":
            if not re.fullmatch(r"\s*[1-9]\d{0,17}(\s+[1-9]\d{0,17})*\s*", sizes):
                raise ValueError(f"{name}: the line below '# Dimensions' must hold positive sizes, got {sizes[:60]!r}")
            return pad_dims(sizes.split(), str(name))
    raise ValueError(f"{name}: not a BART header (no '# Dimensions' section)")


def samples_of(file, shape, name):
    """complex64 samples in column-major order from where an open file stands; it must hold exactly these."""
    _check_size(file, shape, name)
    samples = np.fromfile(file, dtype="<c8")
    return samples.astype(np.complex64, copy=False).reshape(shape, order="F")


def _check_size(file, shape, name):
    """ValueError unless the file ends with samples of a shape that begin where it stands."""
    offset = file.tell()
    expected, size = offset + 8 * int(np.prod(shape, dtype=object)), os.fstat(file.fileno()).st_size
    if size != expected:
        sizes = " x ".join(str(n) for n in np.trim_zeros(np.array(shape) - 1, "b") + 1) or "1"
        raise ValueError(f"{name}: expected {expected} bytes for {sizes} complex samples, got {size}")


def _read_ra_dims(path):
    """(sizes, offset of the samples) of an .ra file."""
    with _open(path) as file:
        head = file.read(48)
        if len(head) != 48 or head[:8] != RA_MAGIC.to_bytes(8, "little"):
            raise ValueError(f"{path}: not an ra file (magic number missing)")
        _, flags, kind, width, _, ndims = (int(v) for v in np.frombuffer(head, "<u8"))
        if flags & 1 or kind != RA_COMPLEX or width != 8:
            raise ValueError(f"{path}: expected little-endian complex64 samples (ra type 4, 8 bytes),"
                             f" got type {kind}, {width} bytes, flags {flags}")
        if ndims > 64:
            raise ValueError(f"{path}: expected at most {len(DIMS)} dimensions, got {ndims}")
        sizes = file.read(8 * ndims)
        if len(sizes) != 8 * ndims or not (dims := np.frombuffer(sizes, "<u8")).all():
            raise ValueError(f"{path}: the ra header is truncated or holds a zero size")
        return pad_dims(dims, str(path)), file.tell()


def locate(name):
    """(file, shape, offset) of the samples of a cfl/hdr pair or an .ra file: column-major "<c8" to its end.

    Raises FileNotFoundError, or ValueError for a damaged file.
    """
    path, is_ra = _split(name)
    if is_ra:
        shape, offset = _read_ra_dims(path)
    else:
        header, path = paths_of(name)
        shape, offset = _read_dims(header), 0
    with _open(path) as file:
        file.seek(offset)
        _check_size(file, shape, path)
    return path, shape, offset


def read(name):
    """Array of a cfl/hdr pair (named without ending) or an .ra file.

    Returns complex64 with 16 dimensions in BART's order, column-major in memory.
    Raises FileNotFoundError, or ValueError for a damaged file.
    """
    path, shape, offset = locate(name)
    with _open(path) as file:
        file.seek(offset)
        return samples_of(file, shape, path)


def header_text(shape, command=None, data=None):
    """The text of a .hdr file, as BART writes it; `data` names the file of the samples in a stream."""
    sections = {"Dimensions": f"{' '.join(map(str, shape))} ", "Data": data, "Command": command,
                "Creator": f"bart_pogmdm {__version__}"}
    return "".join(f"# {name}\n{content}\n" for name, content in sections.items() if content)


def write(outputs, command=None):
    """Write all arrays of {name: array} as cfl or ra: all of them appear, by renaming at the end, or none.

    Arrays are stored as complex64 with 16 dimensions; `command` goes into the header.
    Raises OSError when the folder cannot be written or the disk is full.
    """
    pending = []
    try:
        for name, array in outputs.items():
            shape = pad_dims(np.shape(array), str(name))
            samples = np.asarray(array, "<c8").reshape(shape, order="F").tobytes(order="F")
            if len(paths := paths_of(name)) == 1:
                head = np.array([RA_MAGIC, 0, RA_COMPLEX, 8, len(samples), len(shape), *shape], "<u8")
                parts = [(head.tobytes(), samples)]
            else:
                parts = [(header_text(shape, command).encode(errors="surrogateescape"),), (samples,)]
            for path, chunks in zip(paths, parts):
                pending.append((write_temporary(path, write_chunks, chunks), path))
        while pending:
            os.replace(*pending[-1])
            pending.pop()
    except OSError as error:
        raise OSError(error.errno, f"{name}: cannot write ({error.strerror or error})") from None
    finally:
        for temporary, _ in pending:
            os.unlink(temporary)


def check_outputs(outputs, inputs):
    """Refuse outputs that could not be written, or that would overwrite an input (OSError, ValueError)."""
    taken = {path.resolve() for name in inputs for path in paths_of(name)}
    for name in outputs:
        for path in paths_of(name):
            if path.resolve() in taken:
                raise ValueError(f"output {name} would overwrite another file of this call")
            taken.add(path.resolve())
            if not path.parent.is_dir():
                raise FileNotFoundError(f"output {name}: the folder {path.parent} does not exist")
            if path.is_dir():
                raise IsADirectoryError(f"output {name}: {path} is a folder")
            try:
                os.unlink(write_temporary(path, lambda file: None))
            except OSError as error:
                raise OSError(error.errno, f"output {name}: cannot write there ({error.strerror})") from None
