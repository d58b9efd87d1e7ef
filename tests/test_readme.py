"""The README's Python runs as it stands."""

import re
from pathlib import Path

import numpy as np

README = Path(__file__).resolve().parents[1] / "README.md"


def test_python_blocks_run(bart):
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block, namespace)
    assert namespace["result"].image.shape == (96, 96, 1, 1)
    assert namespace["result"].sens.shape == (96, 96, 1, 8)
    assert np.isfinite(namespace["energy"])


def test_options_are_those_of_the_help():
    from bart_pogmdm.commands.main import OPTIONS, help_text
    text = README.read_text()
    for flag, _, name, _ in OPTIONS:
        assert f"| `{f'{flag} {name}'.strip()}` |" in text
    usage = help_text().splitlines()[0].removeprefix("Usage: ")
    assert " ".join(text.split()).find(usage) > 0
