"""A hook of mkdocs: it puts the help of every command into the page of commands."""

import io
import os
import re
import textwrap
from contextlib import redirect_stdout, suppress
from typing import Any
from unittest.mock import patch

from bart_pogmdm.commands import COMMANDS
from bart_pogmdm.commands.bart_help import help_text
from bart_pogmdm.commands.main import main

MARK = "<!-- commands -->"
COLUMNS = 100  # width of the help texts, so that they fit into the page


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the Markdown of a page, with the help in place of MARK."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


def commands() -> str:
    """Return the help of `bart pogmdm` with a table of its options, and that of the other commands as text."""
    usage, description, options = help_text().split("\n\n")
    usage = re.sub(r"\[[^]]*\]", lambda option: option[0].replace(" ", "\xa0"), usage)
    usage = textwrap.fill(usage, COLUMNS, subsequent_indent=" " * 14, break_on_hyphens=False).replace("\xa0", " ")
    rows = [re.split(" {2,}", line.replace("<", "&lt;"), maxsplit=1) for line in options.splitlines()]
    table = "\n".join(f"| `{option}` | {meaning} |" for option, meaning in rows)
    parts = ["## bart pogmdm", f"```text\n{usage}\n```", description, f"| option | meaning |\n|---|---|\n{table}"]
    for name in COMMANDS:
        printed = io.StringIO()
        with patch.dict(os.environ, COLUMNS=str(COLUMNS)), redirect_stdout(printed), suppress(SystemExit):
            main([name, "-h"])
        parts += [f"## bart-pogmdm {name}", f"```text\n{printed.getvalue().strip()}\n```"]
    return "\n\n".join(parts)
