"""The result of a compared method."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays.array_types import Array


@dataclass(frozen=True)
class Estimate:
    """A reconstruction: image (ny, nx), and std (ny, nx) and sens (J, ny, nx) if the method has them.

    warnings: sentences of this package's own methods about doubts.
    """

    image: Array
    std: Array | None = None
    sens: Array | None = None
    warnings: Sequence[str] = ()


class DoesNotApply(Exception):
    """A method is not made for the mask or the data of a case; the text says why."""
