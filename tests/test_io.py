import os
import resource
import subprocess
import sys

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm.arrays.bart_dims import from_bart, pad_dims, to_bart
from bart_pogmdm.files.cfl import read, write


@pytest.mark.parametrize("name", ["array", "array.ra", "with space", "dotted.name"])
@pytest.mark.parametrize("shape", [(3,), (4, 5, 1, 2), (2,) * 4 + (1,) * 11 + (3,)])
def test_round_trip(name, shape, tmp_path, rng):
    array = random_complex(rng, shape, np.complex64)
    write({tmp_path / name: array})
    copy = read(tmp_path / name)
    assert copy.shape == pad_dims(shape) and copy.dtype == np.complex64
    np.testing.assert_array_equal(copy.reshape(shape, order="F"), array)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("ending", ["", ".ra"])
def test_bart_reads_what_we_write_and_the_other_way(tmp_path, rng, bart, order, ending):
    from bart_pogmdm.toolbox.find_bart import find
    array = np.asarray(random_complex(rng, (6, 5, 1, 3), np.complex64), order=order)
    name, back = (str(tmp_path / (stem + ending)) for stem in ("ours", "barts"))
    write({name: array})
    shown = subprocess.run([find(), "show", "-m", name], capture_output=True, text=True, check=True).stdout
    assert "AoD:\t6\t5\t1\t3" in shown
    subprocess.run([find(), "scale", "1", name, back], check=True)
    np.testing.assert_array_equal(read(back), read(name))
    nrmse = subprocess.run([find(), "nrmse", name, back], capture_output=True, text=True, check=True).stdout
    assert float(nrmse) < 1e-6


def test_headers_of_others_are_read(tmp_path):
    (tmp_path / "a.hdr").write_text("# Dimensions\n2 3\n# Data\na.cfl\n# Command\nphantom\n# Unknown\nstuff\n")
    np.arange(6, dtype=np.complex64).tofile(tmp_path / "a.cfl")
    np.testing.assert_array_equal(read(tmp_path / "a").ravel(order="F"), np.arange(6))
    np.testing.assert_array_equal(read(tmp_path / "a.cfl"), read(tmp_path / "a.hdr"))


@pytest.mark.parametrize("header, message", [
    ("", "no '# Dimensions' section"),
    ("# Dimensions\n", "no '# Dimensions' section"),
    ("# Dimensions\n2 x\n", "must hold positive sizes"),
    ("# Dimensions\n0 2\n", "must hold positive sizes"),
    ("# Dimensions\n-2 2\n", "must hold positive sizes"),
    ("# Dimensions\n" + "1 " * 16 + "2\n", "at most 16 dimensions"),
    ("# Dimensions\n2 3 4\n", "expected 192 bytes for 2 x 3 x 4 complex samples, got 48"),
    ("# Dimensions\n1\n", "expected 8 bytes for 1 complex samples, got 48"),
    ("# Dimensions\n99999999999 99999999999\n", "got 48"),
    ("\x00\xff", "not a BART header"),
])
def test_bad_cfl(tmp_path, header, message):
    (tmp_path / "a.hdr").write_bytes(header.encode("latin1"))
    np.zeros(6, np.complex64).tofile(tmp_path / "a.cfl")
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a")


def test_bad_ra(tmp_path):
    write({tmp_path / "a.ra": np.ones((2, 3))})
    whole = (tmp_path / "a.ra").read_bytes()

    def changed(position, value):
        fields = np.frombuffer(whole, "<u8").copy()
        fields[position] = value
        return fields.tobytes()

    for content, message in ((b"", "not an ra file"), (changed(0, 1), "not an ra file"),
                             (whole[:-1], "expected 224 bytes"),
                             (changed(2, 3), "expected little-endian complex64"), (changed(5, 999), "at most 16"),
                             (changed(6, 0), "truncated or holds a zero size"), (whole[:60], "truncated")):
        (tmp_path / "bad.ra").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "bad.ra")


def test_missing_files_are_named(tmp_path):
    (tmp_path / "a.hdr").write_text("# Dimensions\n2 3\n")
    for name in ("none", "none.ra", "a"):
        with pytest.raises(FileNotFoundError, match="no such file"):
            read(tmp_path / name)


def test_all_outputs_or_none(tmp_path):
    """Where only 10 kB can be written, as on a full disk, the first output, which fits, does not appear either."""
    code = ("import numpy as np; from bart_pogmdm.files import cfl;"
            "cfl.write({'small': np.ones(10), 'large.ra': np.ones(10000)})")
    (tmp_path / "small.hdr").write_text("precious")
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000)))
    assert run.returncode == 1 and "large.ra: cannot write (File too large)" in run.stderr
    assert sorted(os.listdir(tmp_path)) == ["small.hdr"]
    assert (tmp_path / "small.hdr").read_text() == "precious"


def test_written_files_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write({tmp_path / "a": np.ones(3)})
    finally:
        os.umask(before)
    assert (tmp_path / "a.cfl").stat().st_mode & 0o777 == 0o640


def test_bart_dimensions(rng):
    kspace = random_complex(rng, (3, 8, 7))
    assert to_bart(kspace).shape == (8, 7, 1, 3)
    np.testing.assert_array_equal(from_bart(to_bart(kspace)), kspace)
    assert to_bart(kspace[0]).shape == (8, 7, 1, 1)
    for array in (kspace[0, 0], kspace[None, None]):
        with pytest.raises(ValueError, match=r"array: expected \(y, x\), .coil, y, x. or"):
            to_bart(array)
    assert from_bart(np.ones((8, 7, 2, 3))).shape == (3, 8, 7, 2)
    with pytest.raises(ValueError, match="expected"):
        from_bart(np.ones((8, 7, 1, 3, 2)))
