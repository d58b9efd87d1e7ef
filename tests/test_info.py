"""`bart-pogmdm info`: what it says is what the file holds and what a reconstruction does."""

import re

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex

from bart_pogmdm import write
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.reconstruction.options import Options

pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
from raw_data import encoding, line, lines, partitions, write_raw
from test_geometry import OBLIQUE, placed


@pytest.fixture
def said(capsys):
    """said(words) -> {word: text} of what the command prints."""
    def call(*words):
        assert main(["info", *map(str, words)]) == 0
        out = capsys.readouterr().out
        return {word: text.strip() for word, text in (one.split(":", 1) for one in out.splitlines())}
    return call


def test_raw_data_with_everything(tmp_path, rng, said):
    """Two slices, a noise scan, oversampling, R = 3 with calibration, an oblique plane, an asymmetric echo."""
    kspace, noise = random_complex(rng, (2, 16, 24), np.complex64), random_complex(rng, (2, 50), np.complex64)
    scan = [one for number in range(2) for one in placed(
        [*lines(kspace[:, 4:], range(0, 24, 3), slice=number, center_sample=4),
         *lines(kspace[:, 4:], (10, 11, 13, 14), 20, slice=number, center_sample=4)], (1, 2, 3 + 4 * number))]
    path = write_raw(tmp_path / "a.mrd", encoding((16, 24), (320, 240, 4), (8, 24), (160, 240)),
                     [line(noise, 0, 19), *scan])
    found = said(path)
    assert found["matrix"] == "8 x 24, SLICE 2" and found["channels"] == "2"
    assert found["view"] == "160 x 240 x 4 mm" and found["voxel"] == "20 x 10 x 4 mm"
    assert found["plane"].startswith("oblique")
    assert found["centre"] == "(1.00, 2.00, 3.00) to (1.00, 2.00, 7.00) mm in LPS"
    assert found["sampling"] == "12 of 24 lines in the first image, R = 2, every 3 lines outside the calibration"
    assert found["calibration"] == "7 lines without gaps about the centre"
    assert found["readout"] == "6 of 8 samples (asymmetric echo)"
    assert found["lines"] == "24 of 25 are the image's (flags: 1 noise measurement, 8 parallel calibration)"
    assert found["noise scan"] == "1 lines" and found["oversampling"] == "2 in the readout"
    assert found["to be done"] == ("prewhitening by the noise scan; oversampling of the readout removed; method map,"
                                   f" 2 images in about {Options.iterations} iterations")
    assert re.fullmatch(r"about [\d.]+ [KM]iB \(an estimate from the sizes\)", found["memory"])
    assert re.fullmatch(r"about [\d.]+ s on one core \(an estimate from the sizes\)", found["time"])


def test_volumes_and_arrays(tmp_path, rng, said):
    kspace = random_complex(rng, (2, 8, 6, 5), np.complex64)
    path = write_raw(tmp_path / "a.mrd", encoding((8, 6, 5), (160, 150, 40), partitions=(0, 4, 2)),
                     placed(partitions(kspace), (1, 2, 3), OBLIQUE * 0))
    found = said(path)
    assert found["matrix"] == "8 x 6 x 5" and found["place"].startswith("not known")
    assert found["sampling"] == "30 of 30 lines in the first image, R = 1" and "1 volume in" in found["to be done"]
    kspace = simulate((32, 28), coils=2)[0]
    write({tmp_path / "b": to_bart(kspace)})
    found = said(tmp_path / "b")
    assert "samples in the first image, R = " in found["sampling"] or "lines" in found["sampling"]
    assert "lines" not in found and found["channels"] == "2"


def test_a_plane_without_readout_is_an_image(tmp_path, rng, said):
    write({tmp_path / "a": random_complex(rng, (1, 8, 6, 2), np.complex64)})
    found = said(tmp_path / "a")
    assert "1 image in" in found["to be done"] and "samples along a trajectory" in found["layout"]


def test_what_is_no_kspace_is_refused(tmp_path, capsys):
    (tmp_path / "a.dat").write_text("nothing")
    assert main(["info", str(tmp_path / "a.dat")]) == 1
    assert re.fullmatch("ERROR: .*a.dat: expected HDF5.*\n", capsys.readouterr().err)
