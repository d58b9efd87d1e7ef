"""Siemens' raw data: every kind of line has its place, and what is damaged is refused with one sentence."""

import re
import warnings

import numpy as np
import pytest
from conftest import SHARED
from properties import random_complex

from bart_pogmdm import ReconstructionWarning
from bart_pogmdm.arrays.bart_dims import BATCH, SLICE, TE, TIME, TIME2
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.kspace import load, open_kspace
from bart_pogmdm.physics.coil_compression import whitening
from bart_pogmdm.physics.fourier import fft2c, ifft2c

pytest.importorskip("twixtools", reason="twixtools is not installed (pip install 'bart_pogmdm[twix]')")
from twix_data import QUATERNION, header, line, lines, write_twix

NX, NY, COILS = 8, 12, 3
FORMS = pytest.mark.parametrize("is_new", [True, False], ids=["VD", "VB"])


@pytest.fixture
def kspace(rng):
    """k-space (coil, x, y)."""
    return random_complex(rng, (COILS, NX, NY), np.complex64)


def oversampled(kspace):
    """k-space (coil, x, …) with twice the samples in x: the image has margins of zeros."""
    image = np.pad(ifft2c(kspace, axes=(1,)), ((0, 0), (NX // 2, NX // 2), *(kspace.ndim - 2) * ((0, 0),)))
    return fft2c(image, axes=(1,)).astype(np.complex64)


def found_in(path, **options):
    """k-space (coil, x, y, …) of a file, with the dimensions longer than 1."""
    return np.moveaxis(load(path, **options)[0].squeeze(), 2, 0)


@FORMS
def test_lines_are_sorted_and_the_oversampling_is_removed(tmp_path, kspace, is_new):
    scan = lines(oversampled(kspace), CenterLin=NY // 2)
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), scan), is_new=is_new)
    np.testing.assert_allclose(found_in(path), kspace, atol=1e-5)


@FORMS
def test_other_lines_than_those_of_the_image_are_told_apart(tmp_path, rng, kspace, is_new):
    wide, noise = oversampled(kspace), random_complex(rng, (COILS, 2 * NX), np.complex64)
    others = [line(9 * wide[:, :, 0], 3, *flags) for flags in (
        ("PHASCOR",), ("PHASCOR", "REFLECT"), ("RTFEEDBACK",), ("HPFEEDBACK",), ("REFPHASESTABSCAN",),
        ("PHASESTABSCAN",), ("RETRO_DUMMYSCAN",), ("PACE",), ("CT_NORMALIZE",))]
    noises = [line(noise + n, 0, "NOISEADJSCAN") for n in range(2)]
    found = found_in(write_twix(tmp_path / "a.dat", (header(NX, NY), noises + others + lines(wide)), is_new=is_new))
    matrix = whitening(np.concatenate([noise, noise + 1], 1))
    np.testing.assert_allclose(found, np.tensordot(matrix, kspace, 1), atol=1e-4)


def test_averages_are_averaged_and_all_other_counters_are_dimensions(tmp_path, kspace):
    wide = oversampled(kspace)
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), lines(wide) + lines(3 * wide, Ave=1)))
    np.testing.assert_allclose(found_in(path), 2 * kspace, atol=1e-5)
    for counter, axis in (("Sli", SLICE), ("Eco", TE), ("Phs", TIME), ("Rep", TIME2), ("Set", BATCH)):
        path = write_twix(tmp_path / "a.dat", (header(NX, NY), lines(2 * wide, **{counter: 1}) + lines(wide)))
        assert load(path)[0].shape[axis] == 2
        np.testing.assert_allclose(found_in(path), np.stack([kspace, 2 * kspace], -1), atol=1e-5)


def test_partial_fourier_and_asymmetric_echoes_keep_their_centre(tmp_path, kspace):
    """The first 4 lines and 6 samples are missing; the numbers of the lines begin with 0 all the same."""
    wide = oversampled(kspace)
    cut = [line(wide[:, 6:, row + 4], row, center=2, CenterLin=2) for row in range(8)]
    full = load(write_twix(tmp_path / "a.dat", (header(NX, NY), lines(wide))))[0]
    found, pattern = load(write_twix(tmp_path / "b.dat", (header(NX, NY), cut)))
    assert not pattern[:, :4].any() and pattern[3:, 4:].all() and not pattern[:3].any()
    measured = np.broadcast_to(pattern, found.shape)
    assert abs(found[measured]).min() > 0 and found.shape == full.shape


@pytest.mark.parametrize("mode, is_image", [(2, True), (4, False)])
def test_reference_lines_belong_to_the_image_if_the_header_says_so(tmp_path, kspace, mode, is_image):
    wide = oversampled(kspace)
    scan = [*lines(wide, range(0, NY, 2)), *lines(wide, [5, 7], "PATREFSCAN"),
            *lines(wide, [6], "PATREFSCAN", "PATREFANDIMASCAN")]
    pattern = load(write_twix(tmp_path / "a.dat", (header(NX, NY, factor=2, mode=mode), scan)))[1]
    assert sorted(np.flatnonzero(pattern[0])) == sorted([*range(0, NY, 2), *((5, 7) if is_image else ())])


def test_reflected_lines_are_mirrored(tmp_path, kspace):
    wide = oversampled(kspace)
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), lines(wide[:, ::-1], None, "REFLECT", center=NX - 1)))
    np.testing.assert_allclose(found_in(path), kspace, atol=1e-5)


def test_partitions_are_phs2_and_the_slab_has_its_oversampling(tmp_path, rng):
    kspace = random_complex(rng, (COILS, NX, NY, 4), np.complex64)
    wide = oversampled(kspace)
    scan = [one for number in range(4) for one in lines(wide[..., number], partition=number, CenterPar=2)]
    path = write_twix(tmp_path / "a.dat", (header(NX, NY, partitions=4), scan))
    np.testing.assert_allclose(np.moveaxis(load(path)[0].squeeze(), 3, 0), kspace, atol=1e-5)
    assert open_kspace(path).voxel == (240 / NX, 180 / NY, 6 * 1.5 / 4)


def test_the_place_is_that_of_the_lines(tmp_path, kspace):
    """The quaternion turns phase encoding, readout and normal; the numbers are those of the rotation by hand."""
    wide = oversampled(kspace)
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), [*lines(wide, Sli=1, position=(5, -6, 13)),
                                                            *lines(wide, Sli=0, position=(5, -6, 7))]))
    first, second = open_kspace(path).geometry
    assert first.position == (5, -6, 7) and second.position == (5, -6, 13) and first.voxel == (30, 15, 6)
    w, vector = QUATERNION[0], QUATERNION[1:]
    for unit, found in zip(np.eye(3), (first.directions[1], first.directions[0], first.directions[2])):
        turned = unit + 2 * np.cross(vector, np.cross(vector, unit) + w * unit)
        np.testing.assert_allclose(found, turned, atol=1e-6)
    assert open_kspace(path).tags["EchoTime"] == "2.5\\5.0" and open_kspace(path).tags["PatientID"] == "4711"


def test_measurements_of_a_file(tmp_path, rng, kspace, capsys):
    """The last one is the default; its noise scan may be in an earlier one."""
    wide, noise = oversampled(kspace), random_complex(rng, (COILS, 400), np.complex64)
    head = header(NX, NY)
    path = write_twix(tmp_path / "a.dat", (head, [line(noise, 0, "NOISEADJSCAN")]), (head, lines(2 * wide)),
                      (head, lines(wide)))
    matrix = whitening(noise)
    np.testing.assert_allclose(found_in(path), np.tensordot(matrix, kspace, 1), atol=1e-4)
    np.testing.assert_allclose(found_in(path, measurement="2"), np.tensordot(matrix, 2 * kspace, 1), atol=1e-4)
    assert main(["info", "--measurement", "2", str(path)]) == 0
    assert "measurement:  2 of 3\n" in capsys.readouterr().out
    for name, said in (("1", "no line of an image among 1 lines"), ("4", "a number from 1 to 3, got 4"),
                       ("x", "a number from 1 to 3, got x")):
        with pytest.raises(ValueError, match=said):
            load(path, measurement=name)


def test_lines_that_are_only_numbered_are_echoes_or_repetitions(tmp_path, kspace):
    """Pulseq without labels: the header is that of another protocol, and the centre shows what belongs together."""
    square = np.zeros((COILS, 12, 12), np.complex64)
    square[:, 2:10] = kspace
    square[:, :, 6] *= 9
    both = np.stack([square, 2 * square], -1)
    for order, axis in (((0, 1, 2, 3), TE), ((0, 1, 3, 2), TIME2)):
        path = write_twix(tmp_path / "a.dat", (header(4, 4), lines(both.transpose(order).reshape(COILS, 12, 24))))
        with pytest.warns(ReconstructionWarning) as caught:
            found = load(path)[0]
        assert found.shape[axis] == 2 and [str(one.message).count("field of view, 240 x 180 mm") for one in caught] == [
            1, 0]
        np.testing.assert_array_equal(np.moveaxis(found.squeeze(), 2, 0), both)


def test_simultaneous_slices_are_refused(tmp_path, kspace):
    with pytest.raises(ValueError, match="slices that were excited one by one"):
        load(write_twix(tmp_path / "a.dat", (header(NX, NY, bands=2), lines(oversampled(kspace)))))


@FORMS
def test_damaged_files_are_refused_in_one_sentence(tmp_path, rng, kspace, is_new):
    """Cut off anywhere, and with single bytes changed in headers of lines: an image or one sentence."""
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), lines(oversampled(kspace))), is_new=is_new)
    content, refused = path.read_bytes(), 0
    start = content.index(b"ASCCONV END")
    for number in range(16):
        damaged = bytearray(content)
        if number < 6:
            damaged = damaged[:int(rng.integers(20, len(content) - 700))]
        else:
            damaged[int(rng.integers(start, start + 600))] = int(rng.integers(256))
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconstructionWarning)
            try:
                load(path)
            except ValueError as error:
                assert str(error).count("a.dat") == 1 and "\n" not in str(error)
                refused += 1
    assert refused >= 6


def test_a_damaged_file_is_one_line_of_a_command(tmp_path, kspace, capsys):
    path = write_twix(tmp_path / "a.dat", (header(NX, NY), lines(oversampled(kspace))))
    path.write_bytes(path.read_bytes()[:-2000])
    assert main([str(path), str(tmp_path / "image.nii.gz")]) == 1
    assert re.fullmatch(r"ERROR: \S*a.dat: .*cut off.*\n", capsys.readouterr().err) and not (
        tmp_path / "image.nii.gz").exists()
    (tmp_path / "b.dat").write_bytes(b"something else")
    assert main([str(tmp_path / "b.dat"), str(tmp_path / "image")]) == 1
    assert "expected HDF5, npz, npy, TWIX or BART's files" in capsys.readouterr().err


@pytest.mark.parametrize("name, shape, echoes", [
    ("mrphysics_2ch", (128, 128, 1, 2), 1), ("mrphysics_32ch", (64, 64, 1, 32), 1),
    ("pulseq_gre_1ch", (256, 256, 1, 1), 1), ("pulseq_gre_3echoes", (256, 256, 1, 1), 3)])
def test_real_scans(name, shape, echoes):
    path = SHARED / "data" / "raw" / f"twix_{name}.dat"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconstructionWarning)
        kspace, pattern = load(path)
    assert kspace.shape[:4] == shape and kspace.shape[TE] == echoes and pattern.all()
    import twixtools
    scan = twixtools.read_twix(str(path), verbose=False, parse_pmu=False, parse_geometry=False)[-1]["mdb"]
    expected = np.array([one.data for one in scan]).reshape(shape[1], echoes, shape[3], shape[0])
    np.testing.assert_array_equal(kspace.squeeze((2, 4, *range(6, 16))), expected.transpose(3, 0, 2, 1))
