"""BART's text header, which holds the sizes of an array: the content of a .hdr file and the start of a stream."""

import re
from itertools import pairwise

from ..arrays.array_types import Shape
from ..arrays.bart_dims import pad_dims
from ..version import __version__

HEADER_LIMIT = 1 << 20  # Bytes; no more of a header is read, because a file that is no header may be large.


def dims_of(text: str, name: str) -> Shape:
    """Return the sizes below '# Dimensions', padded to 16.  Raises ValueError if there are none."""
    for line, sizes in pairwise(text.splitlines()):
        if line.strip() == "# Dimensions":
            if not re.fullmatch(r"\s*[1-9]\d{0,17}(\s+[1-9]\d{0,17})*\s*", sizes):
                raise ValueError(f"{name}: the line below '# Dimensions' must hold positive sizes, got {sizes[:60]!r}")
            return pad_dims(tuple(int(size) for size in sizes.split()), name)
    raise ValueError(f"{name}: not a BART header (no '# Dimensions' section)")


def command_in(text: str) -> str:
    """Return the name of the command that wrote an array, the last of a pipeline; an empty text if it is not noted."""
    found = re.search(r"^# Command\n(?:.*\| )?(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def header_text(shape: Shape, command: str | None = None, data: str | None = None) -> str:
    """Return a header as BART writes it; in a stream, `data` names the file that holds the samples."""
    sections = {"Dimensions": f"{' '.join(map(str, shape))} ", "Data": data, "Command": command,
                "Creator": f"bart_pogmdm {__version__}"}
    return "".join(f"# {name}\n{content}\n" for name, content in sections.items() if content)
