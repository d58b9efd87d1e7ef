"""The check of output names, for every command: only what the user named as output may be replaced."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .atomic import behind_links, write_temporary
from .cfl import OTHER_MEANINGS, paths_of

# Endings of other formats, which BART's files cannot have: an image named x.png is not meant to be x.png.cfl.
OTHER_ENDINGS = frozenset((".h5", ".hdf5", ".mrd", ".npz", ".npy", ".mat", ".nii", ".gz", ".dcm", ".png",
                           ".jpg", ".jpeg", ".tif", ".tiff", ".csv", ".ckpt", *OTHER_MEANINGS))
PICTURE_SOURCE = "bart_pogmdm"  # By this text an earlier picture is recognised.
PICTURE_HEAD = 256              # Bytes of a PNG file, in which this text stands.
IsOwn: TypeAlias = Callable[[Path], bool]  # Whether an existing file is an earlier output of the same kind.
Identity: TypeAlias = tuple[int, int, str]  # Device, inode and, for a file that need not exist, its name in the folder.


@dataclass(frozen=True)
class Target:
    """An output as the user named it.

    files: the files for which the name stands; existing ones are replaced.
    beside: files that the user did not name and that are written, too; existing ones are replaced only if they are own.
    makes_folders: True if missing folders are created.
    """

    name: str
    files: tuple[Path, ...] = ()
    beside: Mapping[Path, IsOwn] = field(default_factory=dict)
    makes_folders: bool = False


def bart_target(name: str, others: str = "") -> Target:
    """Return an array of BART as output.  Raises ValueError for the ending of another format.

    others: words for the message about formats in which the output may be as well.
    """
    ending = Path(name).suffix
    if ending.lower() in OTHER_ENDINGS:
        raise ValueError(f"output {name}: expected one of BART's names, without ending or with .cfl, .hdr or .ra"
                         f"{others}, got {ending}")
    return Target(name, paths_of(name))


def picture_target(name: str | None, default: str) -> Target:
    """Return a PNG picture as output.  Raises ValueError for another ending."""
    if name is None:
        return Target(default, beside={Path(default): is_own_picture})
    if Path(name).suffix != ".png":
        raise ValueError(f"output {name}: expected a name that ends in .png")
    return Target(name, (Path(name),))


def is_own_picture(path: Path) -> bool:
    """Return True if a PNG file is a picture of this package."""
    with open(path, "rb") as file:
        return PICTURE_SOURCE.encode() in file.read(PICTURE_HEAD)


def check_outputs(targets: Iterable[Target], inputs: Iterable[str | Path]) -> None:
    """Refuse outputs that would destroy an input, another output or a foreign file, or that cannot be written.

    Files are compared by what they are: links and other spellings of a name do not matter.
    inputs: names of files as readers take them; x may stand for x.hdr and x.cfl.
    Raises ValueError or OSError that names the output and the other file.  Nothing is created.
    """
    taken = {identity: f"input {name}" for name in inputs for path in (Path(name), *paths_of(name))
             for identity in _identities(path)}
    for target in targets:
        if target.name == "-":
            raise ValueError("output -: expected the name of a file; only bart pogmdm writes into a pipe")
        for path in (*target.files, *target.beside):
            mine = dict.fromkeys(_identities(path), f"output {target.name}")
            for identity in mine.keys() & taken.keys():
                raise ValueError(f"output {target.name} would overwrite the {taken[identity]} (file {path})")
            taken |= mine
            _check_place(target, path)
        for path, is_own in target.beside.items():
            if path.exists() and not is_own(path):
                raise ValueError(f"output {target.name}: it would replace {path}, which you did not name and no earlier"
                                 " run wrote; move it away or choose another name")


def _identities(path: Path) -> Iterator[Identity]:
    """Yield the place of a file behind all links, and its inode if it exists."""
    real = behind_links(path)
    for found, name in ((real.parent, real.name), (real, "")):
        if (status := _status(found)) is not None:
            yield status.st_dev, status.st_ino, name


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _check_place(target: Target, path: Path) -> None:
    """Raise OSError unless a file of this name can be written or replaced."""
    real, status = behind_links(path), _status(path)
    if status is not None and not stat.S_ISREG(status.st_mode):
        what = "folder" if stat.S_ISDIR(status.st_mode) else "special file"
        raise OSError(f"output {target.name}: {path} is a {what}")
    if status is not None and not os.access(path, os.W_OK):
        raise PermissionError(f"output {target.name}: {path} is write-protected")
    folder = real.parent
    while target.makes_folders and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        fault = "is a file" if folder.exists() else "does not exist"
        shown = folder if path.is_symlink() else path.parent
        raise FileNotFoundError(f"output {target.name}: the folder {shown} {fault}")
    try:
        os.unlink(write_temporary(folder / real.name, lambda file: None))
    except OSError as error:
        hint = f": the folder {folder} must be writable" if isinstance(error, PermissionError) else ""
        raise OSError(error.errno, f"output {target.name}: cannot write there ({error.strerror}){hint}") from None
