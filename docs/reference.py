"""Fills in the reference pages when the site is built: commands from their parsers, Python from its docstrings."""

import inspect
import io
import os
import re
import textwrap
from contextlib import redirect_stdout, suppress
from importlib import import_module
from unittest.mock import patch

import bart_pogmdm
from bart_pogmdm import cli

MODULES = {  # module: what of it is documented
    "bart_pogmdm": bart_pogmdm.__all__,
    "bart_pogmdm.methods": ("Map", "Gibbs", "Diffusion"),
    "bart_pogmdm.reconstruction": ("Step",),
    "bart_pogmdm.io": ("read", "write", "to_bart", "from_bart"),
    "bart_pogmdm.volume.run": ("Report",),
    "bart_pogmdm.formats": ("load", "source"),
    "bart_pogmdm.coils": ("whitening", "compression"),
    "bart_pogmdm.operators": ("fft2c", "ifft2c", "Sampling", "CoilModel"),
    "bart_pogmdm.evaluate.view": ("figure", "png"),
}
COLUMNS = 100  # of usages, signatures and help


def on_page_markdown(markdown, **_):
    """Replace `<!-- commands -->` and `<!-- python -->`; mkdocs calls this for every page."""
    return re.sub(r"^<!-- (commands|python) -->$", lambda match: globals()[match[1]](), markdown, flags=re.MULTILINE)


def commands():
    """All commands as Markdown."""
    usage = cli.help_text().splitlines()[0].removeprefix("Usage: ")
    rows = [f"| `{f'{flag} {name}'.rstrip()}` | {_escape(text)} |" for flag, _, name, text in cli.OPTIONS]
    parts = [f"## bart {cli.USAGE}", _fence(_wrap(usage)), _escape(cli.DESCRIPTION),
             "\n".join(["| option | meaning |", "|---|---|", *rows, "| `-h` | help |"])]
    for name, module in cli.COMMANDS.items():
        parts += [f"## bart-pogmdm {name}", _fence(_help(getattr(import_module(f"bart_pogmdm.{module}"), name)))]
    return "\n\n".join(parts)


def _help(command):
    """What a command prints for -h."""
    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS=str(COLUMNS)), redirect_stdout(printed), suppress(SystemExit):
        command(["-h"])
    return printed.getvalue().strip()


def python():
    """The documented part of the package as Markdown."""
    parts = []
    for name, members in MODULES.items():
        module = import_module(name)
        parts += [f"## {_escape(name)}", _prose(inspect.getdoc(module))]
        for member in sorted(members, key=str.lower):
            parts += _entry(getattr(module, member), member)
    return "\n\n".join(parts)


def _entry(value, name):
    """Heading, signature and docstring of a function or class, and of what a class defines."""
    yield f"### {_escape(name)}"
    yield _fence(_wrap(name + _signature(value)), "python")
    yield _prose(inspect.getdoc(value))
    for key, member in vars(value).items() if inspect.isclass(value) else ():
        member = getattr(member, "__func__", member)  # a class method's function
        text = inspect.getdoc(member)
        if key.startswith("_") or not text or not (callable(member) or hasattr(type(member), "__get__")):
            continue
        signature = _signature(member) if inspect.isfunction(member) else ""
        yield f"**`{name}.{key}{signature}`**"
        yield _prose(text)


def _signature(value):
    """The parameters with their defaults, without annotations and self."""
    parameters = [parameter.replace(annotation=parameter.empty)
                  for key, parameter in inspect.signature(value).parameters.items() if key not in ("self", "cls")]
    return re.sub(r"<module '(\w+)'[^>]*>", r"\1", str(inspect.Signature(parameters)))


def _prose(docstring):
    """A docstring as Markdown; a paragraph of `name: meaning` becomes a list."""
    paragraphs = []
    for paragraph in docstring.split("\n\n"):
        items = re.split(r"\n(?=\S)", paragraph)
        if all(re.match(r"\w+(, \w+)*: ", item) for item in items):
            pairs = (re.sub(r"\s*\n\s*", " ", item).split(": ", 1) for item in items)
            paragraphs.append("\n".join(f"- `{name}`: {_escape(text)}" for name, text in pairs))
        else:
            paragraphs.append(_escape(re.sub(r"\n\s*", "\n", paragraph)))
    return "\n\n".join(paragraphs)


def _escape(text):
    """Text in which Markdown sees nothing but `code`."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[|#])", r"\\\1", part.replace("<", "&lt;"))
                   for part in parts)


def _wrap(text):
    """A usage or signature in lines of COLUMNS, broken between its arguments only."""
    indent = " " * (re.match(r"\w+", text).end() + 1)
    whole = re.sub(r"\[[^]]*\]", lambda match: match[0].replace(" ", "\xa0"), text)
    return textwrap.fill(whole, COLUMNS, subsequent_indent=indent, break_on_hyphens=False).replace("\xa0", " ")


def _fence(text, language="text"):
    return f"```{language}\n{text}\n```"
