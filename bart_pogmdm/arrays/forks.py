"""Copies of this process."""

import os
import warnings


def fork() -> int:
    """Fork this process; 0 in the copy.  Its libraries are prepared for that, but Python warns of their threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
