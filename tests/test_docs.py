"""The documentation: the site builds without a warning, holds every option, and its code runs as it stands."""

import dataclasses
import importlib
import importlib.util
import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

import bart_pogmdm
from bart_pogmdm.commands import COMMANDS
from bart_pogmdm.commands.main import main
from bart_pogmdm.toolbox.find_bart import find

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for module in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed (pip install '.[docs]')")
    folder = tmp_path_factory.mktemp("site")
    # Without --quiet, which would hide the warnings from --strict, too.
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False,
                         env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def text_of(site, page):
    """What a reader sees of a page."""
    body = re.sub(r"<(script|style).*?</\1>", "", (site / page).read_text(), flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", "", body))


def test_every_page_is_there_and_nothing_is_left_to_fill_in(site):
    for page in PAGES:
        html = (site / page).with_suffix(".html").read_text()
        assert "<!-- commands -->" not in html and ":::" not in html
        assert str(ROOT) not in html and sys.prefix not in html
    assert not list(site.rglob("*.py"))


def test_the_site_fetches_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", path.read_text()):
            assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag), f"{path.name}: {tag}"
    for path in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", path.read_text()), path.name


def test_options_are_those_of_the_help(site):
    run = subprocess.run([sys.executable, "-m", "bart_pogmdm", "-h"], cwd=ROOT, capture_output=True, text=True,
                         check=True)
    said = dict(re.split(" {2,}", line, maxsplit=1) for line in run.stdout.splitlines() if line.startswith("-"))
    html = (site / "commands.html").read_text()
    documented = {unescape(name) for name in re.findall(r"<td><code>(-.*?)</code></td>", html)}
    assert documented == set(said) and len(said) > 20
    text = text_of(site, "commands.html")
    for meaning in said.values():
        assert meaning in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_is_there(site, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    try:
        assert main([command, "-h"]) == 0
    except SystemExit as ended:
        assert ended.code == 0
    assert capsys.readouterr().out.strip() in text_of(site, "commands.html")


def test_python_reference_holds_what_is_public(site):
    html, text = (site / "python.html").read_text(), " ".join(text_of(site, "python.html").split())
    for name in bart_pogmdm.__all__:
        assert f'<h3 id="bart_pogmdm.{name}"' in html
    for name in ("Result.plot", "PoGMDM.denoise", "PoGMDM.score"):
        assert f'<h4 id="bart_pogmdm.{name}"' in html
    for sentence in ("Reconstruct image and coil sensitivities jointly from undersampled multi-coil k-space.",
                     "p(x, c | z) ∝ p(x) p(c) prod_j N(z_j; M F (c_j x), noise_std^2)",
                     "noise_std: of the data (samples of weight 1) per real and imaginary part, in all coils; None:",
                     "chains: int = 4", "burn_in: int = 10", "thin: int = 6"):
        assert sentence in text
    assert re.search(r"<li><p>?<code>kspace</code>|<li><code>kspace</code>", " ".join(html.split()))


@pytest.fixture
def commands(bart, tmp_path):
    """The environment in which a reader would be after `bart-pogmdm install`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    ours = f'export PYTHONPATH="{ROOT}"\nexec "{sys.executable}" -m bart_pogmdm "$@"\n'
    for name, text in (("bart-pogmdm", ours),
                       ("bart", f'if [ "$1" = pogmdm ]; then\nshift\n{ours}fi\nexec "{find()}" "$@"\n')):
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    environment = {key: value for key, value in os.environ.items() if not key.endswith("TOOLBOX_PATH")}
    return environment | {"PYTHONPATH": str(ROOT), "PATH": os.pathsep.join(
        [str(folder), os.path.dirname(sys.executable), environment["PATH"]])}


@pytest.mark.parametrize("page", PAGES)
def test_code_runs(commands, tmp_path, monkeypatch, page):
    blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
    if not blocks:
        assert page in ("concepts.md", "choices.md", "gallery.md", "raw_data.md", "results.md",
                        "server.md")
        return
    pytest.importorskip("matplotlib")
    if page == "train.md":
        pytest.importorskip("torch")
    if page == "volumes.md":
        pytest.importorskip("distributed")
    if page in ("compare.md", "python.md"):
        pytest.importorskip("skimage")
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for language, code in blocks:
        if language == "python":
            exec(compile(code, page, "exec"), namespace)
        else:
            run = subprocess.run(["bash", "-euo", "pipefail", "-c", code], env=commands, capture_output=True, text=True,
                                 check=False, timeout=300)
            assert run.returncode == 0, f"{code}\n{run.stdout}{run.stderr}"


def test_every_fence_is_run_or_marked_as_text():
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text()
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        assert set(fences[::2]) <= {"python", "sh", "text"} and set(fences[1::2]) <= {""}
        assert not re.search(r"^    ", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)


def test_the_way_of_the_data_names_what_is_there():
    steps = re.findall(r"^\d\. `(\w+/[\w/]+\.py)`: .*?`(\w+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert len(steps) == 8
    for path, name in steps:
        source = (ROOT / "bart_pogmdm" / path).read_text()
        assert re.search(rf"^(def|class) {name}\b", source, re.MULTILINE), f"{path}: {name}"


def test_choices_name_records_and_fields_that_exist():
    text = (ROOT / "docs" / "choices.md").read_text()
    rows = re.findall(r"`([a-z_]+\.[a-z_]+)\.([A-Z]\w+)`((?:: )?(?:`\w+`(?:, )?)*)", text)
    assert len(rows) > 10
    for module, record, names in rows:
        cls = getattr(importlib.import_module(f"bart_pogmdm.{module}"), record)
        assert set(re.findall(r"`(\w+)`", names)) <= {field.name for field in dataclasses.fields(cls)}, record


def test_choices_name_every_number_of_the_rules():
    text, listed = (ROOT / "docs" / "choices.md").read_text(), {}
    for module, record, names in re.findall(r"`([a-z_]+\.[a-z_]+)\.([A-Z]\w+)`: ((?:`\w+`(?:, )?)+)", text):
        cls = getattr(importlib.import_module(f"bart_pogmdm.{module}"), record)
        listed.setdefault(cls, set()).update(re.findall(r"`(\w+)`", names))
    for cls, names in listed.items():
        assert {field.name for field in dataclasses.fields(cls) if type(field.default) in (int, float)} <= names, cls
