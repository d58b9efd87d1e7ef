"""The README is short, and its Python runs as it stands."""

import re
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).resolve().parents[1] / "README.md"
MOST_WORDS = 900


def test_a_newcomer_reads_it_in_a_few_minutes():
    assert len(README.read_text().split()) <= MOST_WORDS


@pytest.mark.slow
def test_python_blocks_run(bart):
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL):
        exec(block, namespace)
    result = namespace["result"]
    assert result.image.shape == (96, 96, 1, 1)
    assert result.sens.shape == (96, 96, 1, 8)
    assert np.isfinite(result.image).all() and result.info["noise_std"] > 0


def test_files_that_it_links_to_exist():
    links = re.findall(r"\]\((?!http)([^)#]*)", README.read_text())
    assert len(links) > 10
    for link in links:
        assert (README.parent / link).exists(), link


def test_headings_that_it_links_to_exist():
    for page, anchor in re.findall(r"\]\((docs/\w+\.md)#([^)]*)\)", README.read_text()):
        headings = re.findall(r"^#+ (.*)$", (README.parent / page).read_text(), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings], anchor
