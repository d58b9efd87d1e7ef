"""The records of measurements: docs/results.md is what they say, and a run that was killed goes on."""

import math
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import records  # noqa: E402
import results  # noqa: E402
from tables import Table, name_of, table  # noqa: E402


@pytest.mark.parametrize("best", range(10))
def test_a_sweep_is_climbed_to_its_best(best):
    tried = records.climbed(lambda choice: -abs(choice - best), range(10), 4)
    assert max(tried, key=tried.get) == best and len(tried) < 10
    assert records.climbed(lambda choice: -math.inf, range(10), 4) == {4: -math.inf}


FAKE = """
import os, signal
from pathlib import Path

def counted(name, is_deadly):
    log = Path(__file__).with_name("log")
    with log.open("a") as file:
        print(name, file=file)
    if is_deadly and log.read_text().split().count(name) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"value": name}

def fake(places):
    return {name: lambda name=name: counted(name, name == "c") for name in "abcd"}

def other(places):
    return {"x": lambda: {"value": "x"}, "y": refuse}

def refuse():
    raise ValueError("y: expected something else")
"""
RUN = """
import sys
sys.path[:0] = [{benchmarks!r}, {here!r}]
import results
from test_results import TABLES
sys.exit(results.main(sys.argv[1:], TABLES))
"""


def lines(rows):
    return table("case | value", [(name_of(row), row["value"]) for row in rows])


TABLES = (Table("fake", "A fake", "fake_table", "none", "", "Letters.", lines),
          Table("other", "Another", "fake_table", "none", "", "More.", lines))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "fake_table.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("fake_table", None)


def record(folder, name="fake"):
    return records.read(folder / "benchmarks" / "results" / f"{name}.jsonl")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_no_case_has_two_rows(fake):
    code = RUN.format(benchmarks=str(BENCHMARKS), here=str(ROOT / "tests"))
    words = [sys.executable, "-c", code, "--only", "fake", "--out", str(fake)]
    environment = {"PYTHONPATH": f"{fake}:{ROOT}", "PATH": "/usr/bin:/bin"}
    killed = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["case"] for row in record(fake)] == ["a", "b"]
    assert subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0
    assert [row["case"] for row in record(fake)] == ["a", "b", "c", "d"]
    assert (fake / "log").read_text().split() == ["a", "b", "c", "c", "d"]


def test_only_measures_one_table_and_some_cases(fake, capsys):
    assert results.main(["--only", "other", "--cases", "x", "--out", str(fake)], TABLES) == 0
    assert [row["case"] for row in record(fake, "other")] == ["x"] and not record(fake)
    page = (fake / "docs" / "results.md").read_text()
    fake_section, other = page.split("## Another")
    assert results.NOT_MEASURED in fake_section.split("## A fake")[1] and "| x | x |" in other
    assert results.main(["--list", "--only", "other", "--out", str(fake)], TABLES) == 0
    assert "1 of 2 cases" in capsys.readouterr().out


def test_a_case_that_fails_is_named_and_the_others_are_recorded(fake, capsys):
    assert results.main(["--only", "other", "--out", str(fake)], TABLES) == 1
    assert "ERROR: other: y: ValueError: y: expected something else" in capsys.readouterr().err
    assert [row["case"] for row in record(fake, "other")] == ["x"]


def test_a_row_of_an_earlier_version_is_marked_and_measured_again(fake):
    path = fake / "benchmarks" / "results" / "other.jsonl"
    cases = {"x": lambda: {"value": "new"}}
    records.measure(path, cases)
    old, = records.read(path)
    path.write_text(path.read_text().replace(f'"version": "{old["version"]}"', '"version": "0.0.9"'))
    assert results.main(["--pages", "--out", str(fake)], TABLES) == 0
    page = (fake / "docs" / "results.md").read_text()
    assert "| x † | new |" in page and "0.0.9" in page and "earlier version" in page
    records.measure(path, cases)
    assert [row["version"] for row in records.read(path)] == [old["version"]]


def test_methods_are_measured_again_beside_the_others(tmp_path):
    path, methods = tmp_path / "rows.jsonl", {"pogmdm": [30, 0.9, None], "pics-tv": [29, 0.8, 0.1]}
    records.measure(path, {"x": lambda: {"methods": methods}})
    path.write_text(path.read_text().replace(records.stamp()["commit"], "0000001"))
    records.measure(path, {"x": lambda: {"methods": {}}}, again=True)
    assert records.read(path)[0]["commit"] == "0000001"
    records.measure(path, {"x": lambda: {"methods": {"pogmdm": [31, 0.9, None]}}}, again=True)
    row, = records.read(path)
    assert row["methods"] == methods | {"pogmdm": [31, 0.9, None]}
    assert row["commit"] == f"{records.stamp()['commit']}, others 0000001"
    records.measure(path, {"x": lambda: {"methods": {"nlinv": [20, 0.5, 8]}}}, again=True)
    row, = records.read(path)
    assert list(row["methods"]) == ["pogmdm", "pics-tv", "nlinv"]
    assert row["commit"] == "{0}, others 0000001 and {0}".format(records.stamp()["commit"])


def test_every_row_says_what_measured_it():
    for path in (BENCHMARKS / "results").glob("*.jsonl"):
        rows = records.read(path)
        assert len({row["case"] for row in rows}) == len(rows), path.name
        for row in rows:
            assert {"case", "version", "commit", "date", "bart", "machine", "seconds"} <= set(row), path.name


def test_the_pages_and_the_figures_of_the_readme_are_those_of_the_records(tmp_path):
    shutil.copytree(BENCHMARKS / "results", tmp_path / "benchmarks" / "results")
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.png", "*.py"))
    shutil.copy(ROOT / "README.md", tmp_path)
    for path in (tmp_path / "README.md", *(tmp_path / "docs").glob("*.md")):
        path.write_text(results.SPAN.sub(r"<!--=\1-->?<!--/-->", path.read_text()))
    (tmp_path / "docs" / "results.md").unlink()
    (tmp_path / "docs" / "gallery.md").unlink()
    assert results.main(["--pages", "--out", str(tmp_path)]) == 0
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert (tmp_path / path.relative_to(ROOT)).read_bytes() == path.read_bytes(), path.name


def test_a_figure_without_record_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("It is <!--=scans.mean-->3 dB<!--/--> better.")
    with pytest.raises(ValueError, match=r"README\.md: no record holds scans\.mean"):
        results.main(["--pages", "--out", str(tmp_path)])


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_no_measured_figure_stands_outside_of_a_span(page):
    text = results.SPAN.sub("", re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL))
    assert not re.findall(r"\d[\d.]* ?(?:dB|%|s\b|times\b|seconds|minutes)", text)
