"""Compilation by numba, which keeps machine code on the disk; that cache may be damaged, full or read-only."""

import contextlib
import hashlib
import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import rocket_fft
from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

DIGEST_BYTES = hashlib.sha256().digest_size


def jit(function: Any) -> Any:
    """Compile a function without Python's lock, and keep the machine code on disk where that is possible.

    a * b + c may be rounded once, as processors do it in one step.
    """
    compiled: Any = njit(nogil=True, fastmath={"contract"})(function)
    with contextlib.suppress(RuntimeError, OSError):  # There is no folder to cache in: each process compiles anew.
        compiled._cache = _Cache(function)
    return compiled


class _Cache(FunctionCache):
    """A cache in which a file that cannot be read counts as missing, and one that cannot be written is left out."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        # Machine code holds that of loops in other files, and calls functions of rocket-fft.
        stamp = self._impl.locator.get_source_stamp(), _digest_of_loops(), rocket_fft.__version__
        self._cache_file = _SignedFiles(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with contextlib.suppress(Exception):
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


@lru_cache(maxsize=1)
def _digest_of_loops() -> str:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


class _SignedFiles(IndexDataCacheFile):
    """The files of a cache, each of which ends with the SHA-256 of its content: damaged machine code must not run."""

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BinaryIO]:
        content = io.BytesIO()
        yield content
        with super()._open_for_write(filepath) as file:
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())

    def _load_index(self) -> Any:
        return super()._load_index() if _is_intact(self._index_path) else {}

    def _load_data(self, name: str) -> Any:
        if not _is_intact(self._data_path(name)):
            raise OSError("damaged")  # numba takes it for missing.
        return super()._load_data(name)


def _is_intact(path: str) -> bool:
    """Return True if a file ends with the digest of what comes before.  Pickles, which numba writes, ignore the end."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        content = file.read()
        return content[-DIGEST_BYTES:] == hashlib.sha256(content[:-DIGEST_BYTES]).digest()
    return False
