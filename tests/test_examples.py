"""The examples run, on small data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.files.cfl import read, write

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(*words, cwd):
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False, timeout=300,
                          env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_shell_comparison(bart, tmp_path):
    lines = run("bash", EXAMPLES / "compare.sh", 48, cwd=tmp_path).splitlines()
    errors = {line.split()[0]: float(re.search(r"[0-9.]+$", line)[0]) for line in lines}
    assert list(errors) == ["nlinv", "tv", "wavelet", "pogmdm", "mean"]
    assert all(0 < error < 0.5 for error in errors.values()) and errors["pogmdm"] < errors["nlinv"]
    assert not list(tmp_path.iterdir())


def test_radial_in_the_shell(bart, tmp_path):
    pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    lines = run("bash", EXAMPLES / "radial.sh", 48, 15, cwd=tmp_path).splitlines()
    errors = {line.split()[0]: float(re.search(r"[0-9.]+$", line)[0]) for line in lines if line.split()[0] != "delays"}
    assert list(errors) == ["uncorrected", "corrected"] and errors["corrected"] < 0.5 * errors["uncorrected"]
    assert not list(tmp_path.iterdir())


def test_files_in_python(tmp_path):
    import h5py
    kspace, _, _ = simulate((40, 36), coils=4)
    write({tmp_path / "scan": to_bart(kspace)})
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["kspace"] = np.stack([0 * kspace, kspace, 0 * kspace])
    for name, output in (("scan", "one"), ("scan.h5", "two")):
        assert "effective samples" in run(sys.executable, EXAMPLES / "from_file.py", name, output, cwd=tmp_path)
    np.testing.assert_allclose(read(tmp_path / "one").ravel("F"), read(tmp_path / "two").ravel("F"), atol=1e-6)
    assert read(tmp_path / "two-std").real.max() > 0
