"""Runs a program whose text is shown while it comes, and kept."""

import codecs
import re
import selectors
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, NamedTuple

CHUNK_BYTES = 65536  # Text that is read at once: as much as a pipe of Linux holds.
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Printed(NamedTuple):
    """The exit code of a program and its text on standard output and standard error, without colours."""

    returncode: int
    stdout: str
    stderr: str


def run(words: Sequence[str], show: bool) -> Printed:
    """Run a program without input; if `show` is set, its text appears on our sys.stdout and sys.stderr as it comes.

    The program ends with us if we are interrupted.
    """
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout and program.stderr
        try:
            stdout, stderr = _follow(program.stdout, program.stderr, show)
        except BaseException:
            program.kill()
            raise
    return Printed(program.returncode, COLOURS.sub("", stdout), COLOURS.sub("", stderr))


def _follow(stdout: IO[bytes], stderr: IO[bytes], show: bool) -> tuple[str, str]:
    """Read two pipes to their ends, both in this thread: whoever captures its text captures BART's, too."""
    texts = {"stdout": "", "stderr": ""}
    with selectors.DefaultSelector() as pipes:
        for name, pipe in (("stdout", stdout), ("stderr", stderr)):
            pipes.register(pipe, selectors.EVENT_READ, (name, codecs.getincrementaldecoder("utf-8")("replace")))
        while pipes.get_map():
            for key, _ in pipes.select():
                name, decoder = key.data
                chunk = key.fileobj.read1(CHUNK_BYTES)  # type: ignore[union-attr]
                text = decoder.decode(chunk, final=not chunk)
                texts[name] += text
                if show and text:
                    print(text, end="", file=getattr(sys, name), flush=True)
                if not chunk:
                    pipes.unregister(key.fileobj)
    return texts["stdout"], texts["stderr"]
