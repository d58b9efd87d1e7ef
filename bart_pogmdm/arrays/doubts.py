"""Doubt about a result, as warnings of one category."""

import contextlib
import warnings
from collections.abc import Iterator


class ReconstructionWarning(UserWarning):
    """A sentence about an image that may be wrong: check the data, the pattern or the trajectory that it names."""


@contextlib.contextmanager
def without_doubts() -> Iterator[None]:
    """Raise none of these warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconstructionWarning)
        yield


def doubt(sentence: str) -> None:
    """Raise a ReconstructionWarning through `warnings`."""
    warnings.warn(sentence, ReconstructionWarning, stacklevel=3)
