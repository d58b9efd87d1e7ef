"""Named pipes: since BART 1.0, a file name that ends in `.fifo` stands for one that carries a stream."""

import contextlib
import os
import stat

ENDING = ".fifo"


def is_named_pipe(name: str) -> bool:
    """Return True if BART 1.0 takes a name for that of a pipe."""
    return name.endswith(ENDING) and os.path.basename(name) != ENDING


def make_pipe(name: str) -> bool:
    """Make a named pipe, unless it exists, and return True if it was made.

    Raises ValueError if something else has this name, and OSError if the pipe cannot be made.
    """
    try:
        os.mkfifo(name)
    except FileExistsError:
        if not is_pipe(name):
            raise ValueError(f"{name}: expected a named pipe, got another kind of file") from None
        return False
    except OSError as error:
        raise OSError(error.errno, f"{name}: cannot make a named pipe ({error.strerror})") from None
    return True


def is_pipe(name: str) -> bool:
    """Return True if there is a named pipe of this name."""
    return os.path.exists(name) and stat.S_ISFIFO(os.stat(name).st_mode)


def release_reader(name: str) -> None:
    """Open and close a named pipe for writing, so that a process which waits for an array ends."""
    with contextlib.suppress(OSError):  # No process waits.
        os.close(os.open(name, os.O_WRONLY | os.O_NONBLOCK))


def remove_pipe(name: str) -> None:
    """Remove a named pipe, unless it is gone."""
    if is_pipe(name):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
