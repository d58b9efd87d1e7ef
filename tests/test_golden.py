"""The golden table: a change of any rule of the reconstruction shows in these values."""

import json

import pytest
from golden import ABSOLUTE, CASES, TABLE, TOLERANCES, values


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_table(name):
    if CASES[name].needs_finufft:
        pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    expected, found = json.loads(TABLE.read_text())[name], values(CASES[name])
    assert set(found) == set(expected)
    for key, value in expected.items():
        allowed = TOLERANCES[key] * (1 if key in ABSOLUTE else abs(value))
        assert abs(found[key] - value) <= allowed, f"{key}: {found[key]} instead of {value}"


def test_the_table_has_no_other_cases():
    assert set(json.loads(TABLE.read_text())) == set(CASES)
