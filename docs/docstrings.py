"""An extension of mkdocstrings: docstrings as Markdown."""

import re
from typing import Any

import griffe

ITEM = re.compile(r"^(\w+(?:, \w+)*): ", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Makes lists of paragraphs of `name: meaning`, and escapes characters that Markdown would take for its own."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = "\n\n".join(map(as_markdown, obj.docstring.value.split("\n\n")))


def as_markdown(paragraph: str) -> str:
    """Return a paragraph of a docstring as Markdown."""
    parts = re.split(r"(`[^`]*`)", paragraph)
    text = "".join(part if part[:1] == "`" else re.sub(r"([\\*_\[|#])", r"\\\1", part.replace("<", "&lt;"))
                   for part in parts)
    return ITEM.sub(lambda item: f"- `{item[1]}`: ".replace("\\", ""), text) if ITEM.match(paragraph) else text
