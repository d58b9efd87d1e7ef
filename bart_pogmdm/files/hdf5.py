"""HDF5 files, read by a child process, because libhdf5 cannot be trusted with a damaged file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from .child_process import read_in_child

Outcome = TypeVar("Outcome")


def read_hdf5(path: Path, read: Callable[[Any], Outcome]) -> Outcome:
    """Return `read(file)` for an open HDF5 file, called in a child process, see `read_in_child`.

    Raises FileNotFoundError, or ValueError if the file is damaged, if it refers to other files, or if `read` fails.
    """
    import h5py

    def call() -> Outcome:
        with h5py.File(path, "r") as file:
            _refuse_references(file)
            return read(file)

    return read_in_child(path, call)


def _refuse_references(file: Any) -> None:
    """Raise ValueError if a link or a dataset refers to another file, which could be any file of this user."""
    from h5py import h5d, h5l, h5o
    root = file["/"].id

    def is_elsewhere(name: bytes, link: Any) -> bytes | None:
        found = link.type not in (h5l.TYPE_HARD, h5l.TYPE_SOFT)
        if link.type == h5l.TYPE_HARD and isinstance(item := h5o.open(root, name), h5d.DatasetID):
            creation = item.get_create_plist()
            found = creation.get_external_count() > 0 or creation.get_layout() == h5d.VIRTUAL
        return name if found else None  # Anything but None ends the visit.

    name = root.links.visit(is_elsewhere, info=True)
    if name is not None:
        raise ValueError(f"{name.decode(errors='replace')} lies in another file, which is not read")
