"""A guard against the order of `pics`, whose output comes after the sensitivities: here it comes before them."""

import numpy as np

from ..arrays.array_types import Shape
from ..arrays.bart_dims import COIL, MAPS
from ..arrays.doubts import without_doubts
from ..files.cfl import command_of, locate
from ..files.file_kind import kind_of
from ..files.kspace import open_kspace
from .bart_help import USAGE

# Commands of BART that write what goes into a reconstruction: sensitivities, k-space, patterns, trajectories, noise.
SOURCES = ("ecalib", "caldir", "ncalib", "walsh", "phantom", "twixread", "ismrmrd", "ccapply", "whiten", "pattern",
           "poisson", "upat", "traj", "noise")
EVEN = 1e-3  # Relative spread of the magnitudes, apart from zeros, of a pattern or of the sensitivity of one coil.


def check_order(target: str, kspace: Shape, is_cartesian: bool = True,
                order: str = f"{USAGE} kspace image sens, and known sensitivities as --sens file") -> None:
    """Raise ValueError if the image would replace an array that looks like an input; an earlier image may be replaced.

    An image of this command may have any sizes, because its call may have been wrong, such as one without -t.
    kspace: the shape of k-space.  order: of the arguments, for the message.
    """
    try:
        path, shape, offset = locate(target)
        command = command_of(target)
    except (OSError, ValueError):  # There is no such array of BART.
        path, kind = None, _kind_of_file(target)
    else:
        is_ours = command == USAGE and shape[COIL] == 1
        kind = "" if is_ours else _kind(shape, kspace, is_cartesian)
    if path and not kind:
        first = np.fromfile(path, "<c8", int(np.prod(shape[:COIL])), offset=offset)
        first = first[first != 0]
        magnitude = np.abs(first)
        if command in SOURCES:
            kind = f"was written by {command}"
        elif magnitude.size and np.ptp(magnitude) < EVEN * magnitude.max():
            kind = "has the same magnitude everywhere, like a pattern or the sensitivity of one coil"
        elif magnitude.size and not is_ours and bool((first == magnitude).all()):
            kind = "is real and nowhere negative, like weights"
    if kind:
        raise ValueError(f"output {target}: it exists and {kind}; expected the order {order} (if it is not"
                         " needed, remove it)")


def _kind_of_file(target: str) -> str:
    """Return what tells that a file in a format of scanners or NumPy holds k-space, or an empty text."""
    try:
        kind = kind_of(target)
        with without_doubts():  # It is no input.
            shape = () if kind not in ("hdf5", "npz", "npy") else open_kspace(target).shape
    except (OSError, ValueError, ImportError):  # There is no such file, or it holds other things.
        return ""
    if kind == "npy":
        return f"holds {shape[COIL]} coils" if shape[COIL] > 1 else ""
    return "holds k-space" if shape else ""


def _kind(shape: Shape, kspace: Shape, is_cartesian: bool) -> str:
    """Return what the dimensions tell of an array that cannot be an earlier image, or an empty text."""
    if shape[COIL] > 1:
        return f"holds {shape[COIL]} coils"
    if shape[MAPS] > kspace[MAPS]:
        return f"holds {shape[MAPS]} sets of maps"
    if not is_cartesian and shape[0] in (1, 3):
        return "holds samples along a trajectory, or a trajectory"
    return ""
