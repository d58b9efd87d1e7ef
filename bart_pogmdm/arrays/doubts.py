"""Doubt about a result, as warnings of one category."""

import warnings


class ReconstructionWarning(UserWarning):
    """A sentence about an image that may be wrong: check the data, the pattern or the trajectory that it names."""


def doubt(sentence: str) -> None:
    """Raise a ReconstructionWarning through `warnings`."""
    warnings.warn(sentence, ReconstructionWarning, stacklevel=3)
