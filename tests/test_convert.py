"""`bart-pogmdm convert`: what goes into another format and back is the same, and nonsense is refused."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from properties import random_complex

import bart_pogmdm
from bart_pogmdm import ReconstructionWarning, read, write
from bart_pogmdm.arrays.bart_dims import SLICE, TE, pad_dims
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import masks
from bart_pogmdm.files.geometry import geometry_of
from bart_pogmdm.files.image_origin import IMAGE, Origin, Style
from bart_pogmdm.files.image_outputs import write_images
from bart_pogmdm.files.kspace import load, open_kspace
from bart_pogmdm.files.stored_arrays import read_any

ismrmrd = pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed (pip install 'bart_pogmdm[nifti]')")
pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed (pip install 'bart_pogmdm[dicom]')")
from raw_data import encoding, lines, partitions, write_raw  # noqa: E402
from test_geometry import OBLIQUE, placed  # noqa: E402

NX, NY, NZ = 8, 6, 5


def test_coils_written_as_images_are_doubtful(tmp_path, rng, capsys):
    write({tmp_path / "a": random_complex(rng, (4, 3, 1, 2), np.complex64)})
    for words, doubtful in (("a", "b.npz"), True), (("a", "b"), False), (("--kspace", "a", "b.npz"), False):
        assert main(["convert", *(str(tmp_path / word) if word[0] != "-" else word for word in words)]) == 0
        assert ("a has 2 coils and is written as images: give --kspace" in capsys.readouterr().err) == doubtful


def converted(*words):
    assert main(["convert", *map(str, words)]) == 0


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Raw data of two slices, without some lines and with asymmetric echoes, in an oblique plane."""
    kspace = random_complex(np.random.default_rng(0), (2, NX, NY, 2), np.complex64)
    scan = [one for number in range(2) for one in placed(
        lines(kspace[:, 2:, :, number], (0, 1, 3, 4), slice=number, center_sample=2),
        np.array([1, 2, 3]) + 5 * number * OBLIQUE[2])]
    return write_raw(tmp_path_factory.mktemp("raw") / "raw.mrd", encoding((NX, NY, 1), (160, 150, 4)), scan)


def test_kspace_goes_from_format_to_format(raw, tmp_path):
    expected, pattern = load(raw)
    for ending in ("", ".ra", ".npy", ".npz", ".mrd"):
        converted(raw, tmp_path / f"a{ending}")
        found, mask = load(tmp_path / f"a{ending}")
        np.testing.assert_array_equal(found, expected)
        if mask is not None:
            np.testing.assert_array_equal(mask.reshape(pad_dims(mask.shape)), pattern)
    for words in (["--kspace", tmp_path / "a"], [tmp_path / "a.npz"]):
        converted(*words, tmp_path / "b.mrd")
        np.testing.assert_array_equal(load(tmp_path / "b.mrd")[0], expected)
    for one, other in zip(open_kspace(raw).geometry, open_kspace(tmp_path / "a.mrd").geometry, strict=True):
        assert one == other
    ismrmrd.Dataset(str(tmp_path / "a.mrd"), "dataset", create_if_needed=False).read_acquisition(3)


def test_volumes_stay_volumes(tmp_path, rng):
    kspace = random_complex(rng, (2, NX, NY, NZ), np.complex64)
    path = write_raw(tmp_path / "raw.mrd", encoding((NX, NY, NZ), (160, 150, 40), partitions=(0, NZ - 1, NZ // 2)),
                     placed(partitions(kspace), (1, 2, 3)))
    converted(path, tmp_path / "a.mrd")
    np.testing.assert_array_equal(load(tmp_path / "a.mrd")[0], load(path)[0])
    assert open_kspace(tmp_path / "a.mrd").geometry == open_kspace(path).geometry


@pytest.mark.parametrize("mask", ["gaussian8", "poisson8", "radial8", "cartesian3"])
def test_samples_with_gaps_along_the_readout_stay_where_they_are(tmp_path, rng, mask):
    """Complete k-space with a mask: only the samples of the mask are measured in any format, each at its place."""
    pattern = masks.named(mask, (33, 40), 0)
    kspace = random_complex(rng, (3, 33, 40), np.complex64)
    np.savez(tmp_path / "a.npz", kspace=kspace, mask=pattern)
    expected = np.moveaxis(kspace * pattern, 0, -1)
    for ending in ("", ".ra", ".npy", ".npz", ".mrd"):
        converted(tmp_path / "a.npz", tmp_path / f"b{ending}")
        found, read_pattern = load(tmp_path / f"b{ending}")
        if read_pattern is not None:
            np.testing.assert_array_equal(np.reshape(read_pattern, pattern.shape, order="F") != 0, pattern)
        np.testing.assert_array_equal(found.squeeze() * pattern[:, :, None], expected)
        np.testing.assert_array_equal((found != 0).any(3).squeeze(), pattern | (ending == ".npz"))


def test_a_mask_of_the_phase_encodings_of_a_volume(tmp_path, rng, capsys):
    kspace, pattern = random_complex(rng, (8, 6, 6, 2), np.complex64), rng.random((6, 6)) < 0.5
    np.savez(tmp_path / "a.npz", kspace=kspace, mask=pattern)
    converted(tmp_path / "a.npz", tmp_path / "b.mrd")
    np.testing.assert_array_equal(load(tmp_path / "b.mrd")[0].squeeze(), kspace * pattern[None, :, :, None])
    assert main(["info", str(tmp_path / "a.npz")]) == 0
    assert f"{pattern.sum()} of 36 lines" in capsys.readouterr().out


def test_weights_go_to_npz_only(tmp_path, rng, capsys):
    np.savez(tmp_path / "a.npz", kspace=random_complex(rng, (2, 8, 9), np.complex64), mask=rng.random((8, 9)) + 0.1)
    converted(tmp_path / "a.npz", tmp_path / "b.npz")
    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "b.mrd")]) == 1
    assert "its format has no weights, which the input has" in capsys.readouterr().err


@pytest.fixture
def image(rng):
    """An image of two echoes of three slices, and its origin."""
    shape = [NX, NY] + 14 * [1]
    shape[TE], shape[SLICE] = 2, 3
    places = [np.array([1, 2, 3]) + 5 * number * OBLIQUE[2] for number in range(3)]
    return random_complex(rng, tuple(shape), np.complex64), Origin(tuple(
        geometry_of(place, np.float32(OBLIQUE), (2.0, 3.0, 4.0)) for place in places))


@pytest.mark.parametrize("ending, part, expected", [
    (".nii", "complex", np.asarray), (".nii", "phase", np.angle), (".nii.gz", "magnitude", np.abs),
    (".mrd", "complex", np.asarray), (".mrd", "magnitude", np.abs), (".npy", "phase", np.angle),
    (".npz", "complex", np.asarray)])
def test_images_go_there_and_back(tmp_path, image, ending, part, expected):
    array, origin = image
    write_images({str(tmp_path / f"a{ending}"): (IMAGE, array)}, origin, Style(part))
    found = read_any(str(tmp_path / f"a{ending}"))
    np.testing.assert_array_equal(found.array, expected(array))
    converted(tmp_path / f"a{ending}", tmp_path / "b")
    np.testing.assert_array_equal(read(tmp_path / "b"), expected(array).astype("c8"))
    if ending in (".nii", ".nii.gz", ".mrd"):
        for one, other in zip(found.origin.geometry, origin.geometry, strict=True):
            np.testing.assert_allclose(one.position, other.position, atol=1e-5)
            np.testing.assert_allclose(one.directions, other.directions, atol=1e-6)
            np.testing.assert_allclose(one.voxel[:2], other.voxel[:2], atol=1e-6)
        converted(tmp_path / f"a{ending}", f"{tmp_path}/c/")
        assert len(list((tmp_path / "c").iterdir())) == 6


def test_dicom_goes_there_and_back_in_its_own_order(tmp_path, image):
    """Pixels may have been turned for the screen: what counts is the value at each place in the patient."""
    array, origin = image
    write_images({f"{tmp_path}/a/": (IMAGE, array)}, origin, Style())
    converted(f"{tmp_path}/a/", tmp_path / "a.nii")
    found = nibabel.load(tmp_path / "a.nii")
    values = np.asarray(found.dataobj)
    back = np.linalg.inv(found.affine)
    for index in np.ndindex(NX, NY, 3):
        x, y, slice_number = index
        place = origin.geometry[slice_number].affine((NX, NY, 1)) @ [x, y, 0, 1] * [-1, -1, 1, 1]
        voxel = np.rint((back @ place)[:3]).astype(int)
        np.testing.assert_allclose(values[tuple(voxel)], abs(array)[x, y].squeeze()[:, slice_number], atol=1e-4)


def test_barts_images_get_their_place_from_the_raw_data(raw, tmp_path, rng):
    image = abs(random_complex(rng, load(raw)[0][:, :, :, :1].shape, np.complex64))
    write({tmp_path / "image": image})
    converted(tmp_path / "image", tmp_path / "a.nii", "--like", raw)
    found = nibabel.load(tmp_path / "a.nii")
    np.testing.assert_array_equal(np.asarray(found.dataobj), image.squeeze())
    np.testing.assert_allclose((found.affine @ [NX // 2, NY // 2, 0, 1])[:3], [-1, -2, 3], atol=1e-5)
    with pytest.warns(ReconstructionWarning, match="does not say where"):
        write_images({str(tmp_path / "b.nii"): (IMAGE, image)}, Origin(), Style())


def test_foreign_nifti_files_have_the_usual_dimensions(tmp_path, rng):
    values = rng.standard_normal((NX, NY, NZ, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 3, 4, 1])), tmp_path / "a.nii.gz")
    converted(tmp_path / "a.nii.gz", tmp_path / "b")
    found = read(tmp_path / "b")
    assert found.shape[:4] == (NX, NY, NZ, 1) and found.shape[10] == 3
    np.testing.assert_array_equal(found.squeeze(), values)


@pytest.mark.parametrize("words, said", [
    (["raw.mrd", "a.nii"], "holds images, and raw.mrd holds k-space; `bart-pogmdm raw.mrd a.nii` reconstructs"),
    (["raw.mrd", "a/"], "its format holds images"),
    (["raw.mrd", "a", "--phase"], "--phase: goes with images, and raw.mrd holds k-space"),
    (["raw.mrd", "raw.mrd"], "would overwrite the input"), (["raw.mrd", "a.h5"], "expected one of BART's names"),
    (["a.nii", "b.npz", "--kspace"], "a.nii holds images"), (["bad.nii", "b"], "bad.nii: not a readable nii file"),
    (["bad.dcm", "b"], "bad.dcm: not a readable dcm file"), (["bad.nii.gz", "b"], "bad.nii.gz: not a readable gz file"),
    (["empty/", "b"], "expected DICOM files of one series, all of one size, got none"),
    (["none.nii", "b"], "no such file"), (["a.nii", "b.dcm"], "expected the name of a folder"),
    (["a.nii", "b.nii.gz", "--like", "raw.mrd"], "PHS1, PHS2 and SLICE of the input, 4 x 3 x 2 x 1, got"),
    (["a.nii", "b", "--scale", "max:1"], "other formats than BART"),
    (["a.nii", "b.nii", "--phase"], "--phase: goes with complex images, and a.nii holds real ones"),
    (["a.nii", "b", "--measurement", "1"], "--measurement: goes with raw data of ISMRMRD and TWIX, and a.nii holds"),
])
def test_nonsense_is_refused_in_one_line(raw, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    shutil.copy(raw, "raw.mrd")
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 3, 2), np.float32), np.eye(4)), "a.nii")
    for name in ("bad.nii", "bad.dcm", "bad.nii.gz"):
        Path(name).write_bytes(b"nothing")
    Path("empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main(["convert", *words]) == 1
    error = capsys.readouterr().err
    assert said in error and re.fullmatch("ERROR: .*\n", error) and sorted(tmp_path.rglob("*")) == before


def test_a_missing_package_is_one_line_before_the_work(raw, tmp_path):
    """The sentence names the extra; nothing is written."""
    pytest.importorskip("twixtools", reason="twixtools is not installed (pip install 'bart_pogmdm[twix]')")
    from twix_data import header, write_twix
    from twix_data import lines as twix_lines
    scan = write_twix(tmp_path / "a.dat", (header(4, 4), twix_lines(np.ones((1, 8, 4)))))
    code = ("import sys; from bart_pogmdm.commands.main import main\n"
            "for name in ('nibabel', 'pydicom', 'twixtools'): sys.modules[name] = None\n"
            f"print([main([{str(raw)!r}, 'a.nii']), main([{str(raw)!r}, 'a/']), main([{str(scan)!r}, 'a'])])")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
                         env=os.environ | {"PYTHONPATH": str(Path(bart_pogmdm.__file__).parents[1])})
    assert run.stdout == "[1, 1, 1]\n" and run.stderr.splitlines() == [
        f"ERROR: {what} need {package}: pip install 'bart_pogmdm[{extra}]'" for what, package, extra in (
            ("NIfTI files", "nibabel", "nifti"), ("DICOM files", "pydicom", "dicom"),
            ("Siemens' raw data", "twixtools", "twix"))]
    assert [path.name for path in tmp_path.iterdir()] == ["a.dat"]


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.dcm", "a.mrd"])
def test_damaged_images_are_refused_in_one_sentence(tmp_path, image, rng, name):
    """Cut off, or with bytes changed: an image or one sentence that names the file."""
    array, origin = image
    write_images({str(tmp_path / name): (IMAGE, array[..., :1, :, :][:, :, :, :, :, :1])}, origin, Style())
    content, refused = (tmp_path / name).read_bytes(), 0
    for number in range(12):
        damaged = bytearray(content)
        if number < 4:
            damaged = damaged[:int(rng.integers(1, len(content) // 2))]
        for place in rng.integers(len(damaged), size=3):
            damaged[place] = int(rng.integers(256))
        (tmp_path / name).write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_any(str(tmp_path / name))
            except ValueError as error:
                refused += 1
                assert str(error).startswith(f"{tmp_path / name}: ") and "\n" not in str(error)
    assert refused >= 3
