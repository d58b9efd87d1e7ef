"""Images in the formats of viewers: values, place in the patient, and what of the patient is written."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from bart_pogmdm import ReconstructionWarning, read
from bart_pogmdm.arrays.bart_dims import SLICE, TE
from bart_pogmdm.commands.main import main
from bart_pogmdm.files.geometry import Geometry
from bart_pogmdm.files.image_origin import IMAGE, STD, Origin, Style
from bart_pogmdm.files.image_outputs import image_target, write_images
from bart_pogmdm.files.outputs import check_outputs

pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed (pip install 'bart_pogmdm[nifti]')")
pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed (pip install 'bart_pogmdm[dicom]')")
from raw_data import encoding, lines, write_raw  # noqa: E402
from test_geometry import OBLIQUE, placed  # noqa: E402

NX, NY = 24, 20
FOV, THICKNESS, CENTRE = (180, 130), 4, np.array([12.25, -33.5, 60.75])
POINTS = [(4, 15), (17, 8)]  # voxels of bright points, of two heights


def place_of(x, y, z=0.0):
    """The point in the patient, in LPS, of a voxel, from the vectors of the header alone."""
    offset = [(x - NX // 2) * FOV[0] / NX, (y - NY // 2) * FOV[1] / NY, z]
    return CENTRE + np.float32(OBLIQUE).astype(float).T @ offset


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Raw data of two slices of 5 mm distance: waves of points at known places in an oblique plane, two coils."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    kx, ky = np.meshgrid(np.arange(NX) - NX // 2, np.arange(NY) - NY // 2, indexing="ij")
    acquisitions = []
    for number in (1, 0):  # slices are acquired in any order
        kspace = sum((3 - n) * np.exp(-2j * np.pi * (kx * (x - NX // 2) / NX + ky * (y - NY // 2) / NY))
                     for n, (x, y) in enumerate(POINTS))
        kspace = np.array([kspace, 0.5j * kspace]) * (1 + number)
        kspace = kspace + 0.01 * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
        acquisitions += placed(lines(kspace.astype(np.complex64), slice=number), CENTRE + 5 * number * OBLIQUE[2])
    header = ('<?xml version="1.0"?><ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><subjectInformation>'
              "<patientName>Doe^Jane</patientName><patientID>4711</patientID><patientBirthdate>1970-01-02"
              "</patientBirthdate></subjectInformation><measurementInformation><patientPosition>HFS</patientPosition>"
              "</measurementInformation><experimentalConditions><H1resonanceFrequency_Hz>63500000"
              "</H1resonanceFrequency_Hz></experimentalConditions>{}<sequenceParameters><TR>500</TR><TE>12.5</TE>"
              "</sequenceParameters></ismrmrdHeader>")
    return write_raw(folder / "raw.mrd", encoding((NX, NY, 1), (*FOV, THICKNESS)), acquisitions, header=header)


@pytest.fixture(scope="module")
def folder(raw):
    """The folder with the same reconstruction in all formats."""
    here = str(raw.parent)
    for words in (("image", "sens", "std"), ("image.nii.gz", "sens.nii", "std.npz"), ("image/", "sens2", "std/")):
        outputs = [f"{here}/{name}" for name in words]
        assert main(["-i", "2", "--samples", "1", str(raw), *outputs]) == 0
    return raw.parent


def magnitude(folder, name="image"):
    """(READ, PHS1, SLICE) of the file of BART."""
    return abs(read(folder / name)).squeeze()


def peak(image):
    """The voxel of the brightest point."""
    return np.unravel_index(np.argmax(image), image.shape)


def test_values_are_those_of_barts_files_to_the_bit(folder):
    image = magnitude(folder)
    np.testing.assert_array_equal(np.asarray(nibabel.load(folder / "image.nii.gz").dataobj), image)
    np.testing.assert_array_equal(np.load(folder / "std.npz")["std"].squeeze(), magnitude(folder, "std"))
    np.testing.assert_array_equal(np.asarray(nibabel.load(folder / "sens.nii").dataobj),
                                  np.moveaxis(magnitude(folder, "sens"), 2, 3))
    assert read(folder / "sens2").tobytes() == read(folder / "sens").tobytes()


def test_nifti_places_an_oblique_plane_in_ras(folder):
    image = nibabel.load(folder / "image.nii.gz")
    for number in range(2):
        x, y = peak(np.asarray(image.dataobj)[:, :, number])
        assert (x, y) == POINTS[0]
        found = image.affine @ [x, y, number, 1]
        np.testing.assert_allclose(found[:3] * [-1, -1, 1], place_of(x, y, 5 * number), atol=1e-5)
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-4)
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert image.header.get_xyzt_units()[0] == "mm" and b'"method": "gibbs"' in image.header.extensions[0].get_content()
    affine = np.load(folder / "std.npz")["affine"]
    np.testing.assert_allclose(affine, image.affine, atol=1e-5)


def dicoms(folder):
    return [pydicom.dcmread(path) for path in sorted(folder.iterdir())]


def test_dicom_places_an_oblique_plane_in_lps(folder):
    files, image = dicoms(folder / "image"), magnitude(folder)
    assert len(files) == 2 and len({one.SOPInstanceUID for one in files}) == 2
    for number, one in enumerate(files):
        pixels = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        assert abs(np.sort(pixels.ravel()) - np.sort(image[:, :, number].ravel())).max() < 1e-5 * image.max()
        row, column = peak(pixels)
        right, down = np.array(one.ImageOrientationPatient, float).reshape(2, 3)
        found = (np.array(one.ImagePositionPatient, float) + down * float(one.PixelSpacing[0]) * row
                 + right * float(one.PixelSpacing[1]) * column)
        np.testing.assert_allclose(found, place_of(*POINTS[0], 5 * number), atol=1e-5)
        assert one.SliceThickness == THICKNESS and one.InstanceNumber == number + 1
        assert right[0] > 0.5 and down[1] > 0.5  # an oblique axial slice: the left of the patient is on the right


def test_dicom_says_what_it_is_and_not_who(folder, raw, tmp_path):
    image, std = dicoms(folder / "image")[0], dicoms(folder / "std")[0]
    assert image.StudyInstanceUID == std.StudyInstanceUID and image.FrameOfReferenceUID == std.FrameOfReferenceUID
    assert image.SeriesInstanceUID != std.SeriesInstanceUID and std.SeriesDescription == "PoGMDM standard deviation"
    assert "method gibbs" in image.DerivationDescription and "prior_hash" in image.DerivationDescription
    assert image.PatientPosition == "HFS" and image.RepetitionTime == 500 and image.EchoTime == 12.5
    text = re.sub(rb"[\d.]{20,}", b"", (folder / "image" / "0001.dcm").read_bytes())  # random UIDs hold any digits
    assert not any(word in text for word in (b"Jane", b"4711", b"1970", str(raw).encode()))
    assert main(["-i", "2", "--no-anonymous", str(raw), f"{tmp_path}/named/"]) == 0
    named = dicoms(tmp_path / "named")[0]
    assert (named.PatientName, named.PatientID, named.PatientBirthDate) == ("Doe^Jane", "4711", "19700102")
    assert named.StudyInstanceUID != image.StudyInstanceUID


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy of dicom3tools is not installed")
def test_dicom_is_valid(folder):
    for path in [*(folder / "image").iterdir(), *(folder / "std").iterdir()]:
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False).stderr
        assert "MRImage" in said and not re.findall("^Error.*", said, re.MULTILINE)


def series(shape, geometry=None, factor=1.0):
    """An image of random values with BART's dimensions, and its origin."""
    rng = np.random.default_rng(1)
    image = rng.standard_normal((*shape, *(16 - len(shape)) * (1,))) + 1j * rng.standard_normal(
        (*shape, *(16 - len(shape)) * (1,)))
    return (factor * image).astype(np.complex64), Origin(geometry)


def plane(place, directions=((1, 0, 0), (0, 1, 0), (0, 0, 1))):
    return Geometry(tuple(map(float, place)), tuple(map(tuple, directions)), (2.0, 3.0, 4.0))


@pytest.mark.parametrize("part, expected", [("magnitude", np.abs), ("phase", np.angle), ("complex", np.asarray)])
def test_magnitude_phase_or_complex(tmp_path, part, expected):
    image, origin = series((6, 5), (plane((0, 0, 0)),))
    names = ["a.nii", "a.nii.gz", "a.npy", "a.npz"] + (["a.dcm"] if part != "complex" else [])
    write_images({str(tmp_path / name): (IMAGE, image) for name in names}, origin, Style(part))
    image = expected(image).squeeze()
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).squeeze(), image)
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / "a.nii.gz").dataobj).squeeze(), image)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), image)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["image"], image)
    if part != "complex":
        one = pydicom.dcmread(tmp_path / "a.dcm")
        pixels = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        assert abs(np.sort(pixels.ravel()) - np.sort(image.ravel())).max() < 2e-4


def test_a_scale_is_that_of_the_image_for_all_but_sensitivities(tmp_path):
    image, origin = series((6, 5), (plane((0, 0, 0)),), 1e-6)
    outputs = {"i.nii": (IMAGE, image), "std.nii": (STD, abs(image) / 8), "i.dcm": (IMAGE, image), "i": (IMAGE, image)}
    write_images({str(tmp_path / name): value for name, value in outputs.items()}, origin, Style(largest=4095))
    scaled = np.asarray(nibabel.load(tmp_path / "i.nii").dataobj)
    assert abs(scaled.max() - 4095) < 0.01
    np.testing.assert_allclose(np.asarray(nibabel.load(tmp_path / "std.nii").dataobj), scaled / 8, rtol=1e-5)
    one = pydicom.dcmread(tmp_path / "i.dcm")
    assert one.RescaleSlope == 1 and one.RescaleIntercept == 0 and one.pixel_array.max() == 4095
    np.testing.assert_array_equal(read(tmp_path / "i"), image)


def test_echoes_follow_the_slices(tmp_path):
    shape = [6, 5, 1, 1, 1, 3] + [1] * 10
    shape[SLICE] = 2
    image, origin = series(shape, (plane((0, 0, 8)), plane((0, 0, 0))))
    write_images({str(tmp_path / name): (IMAGE, image) for name in ("a.nii", "a.npy")}, origin, Style())
    write_images({f"{tmp_path}/a/": (IMAGE, image)}, origin, Style())
    found = nibabel.load(tmp_path / "a.nii")
    assert found.shape == (6, 5, 2, 3) and found.affine[2, 2] == 8
    np.testing.assert_array_equal(np.asarray(found.dataobj)[:, :, ::-1], np.moveaxis(abs(image).squeeze(), 2, 3))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy").squeeze(), abs(image).squeeze())
    assert [(one.EchoNumbers, one.ImagePositionPatient[2]) for one in dicoms(tmp_path / "a")] == [
        (echo, place) for echo in (1, 2, 3) for place in (8, 0)]
    assert image.shape[TE] == 3


def test_without_a_place_the_matrix_is_the_identity_with_a_warning(tmp_path):
    image, origin = series((6, 5, 4))
    for name in ("a.nii", "a/"):
        with pytest.warns(ReconstructionWarning, match="does not say where the image is in the patient"):
            write_images({f"{tmp_path}/{name}": (IMAGE, image)}, origin, Style())
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii").affine, np.eye(4))
    assert [list(one.ImagePositionPatient) for one in dicoms(tmp_path / "a")] == [[0, 0, n] for n in range(4)]


@pytest.mark.parametrize("words, said", [
    (["image", "--scale", "max:4095"], "--scale: goes with outputs in other formats than BART's"),
    (["image.nii", "--scale", "top:5"], "--scale: expected max: and a number above 0, as max:4095, got"),
    (["image.nii", "--scale", "max:-1"], "--scale: expected max: and a number above 0, as max:4095, got"),
    (["image.dcm", "--complex"], "--complex does not go with DICOM"),
    (["image.dcm"], "expected the name of a folder, as .*image/"),
    (["image.h5"], "expected one of BART's names"), (["taken/"], "taken/notes.txt, which you did not name"),
    (["file/"], "is a file"), (["image.nii", "image.nii"], "would overwrite the output"),
])
def test_what_cannot_be_written_is_refused_before_the_work(raw, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    Path("taken").mkdir()
    Path("taken", "notes.txt").write_text("mine")
    Path("file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    assert main([str(raw), *words]) == 1
    error = capsys.readouterr().err
    assert re.search(said, error) and error.count("\n") == 1 and sorted(tmp_path.rglob("*")) == before


def test_slices_in_several_directions_are_for_dicom_only(tmp_path):
    turned = np.eye(3)[[1, 2, 0]]
    shape = [6, 5] + [1] * 14
    shape[SLICE] = 2
    image, origin = series(shape, (plane((0, 0, 8)), plane((0, 0, 0), turned)))
    with pytest.raises(ValueError, match="one volume, or parallel slices"):
        write_images({str(tmp_path / "a.nii"): (IMAGE, image)}, origin, Style())
    assert not list(tmp_path.iterdir())
    write_images({f"{tmp_path}/a/": (IMAGE, image), str(tmp_path / "a.npz"): (IMAGE, image)}, origin, Style())
    assert len(dicoms(tmp_path / "a")) == 2 and "affine" not in np.load(tmp_path / "a.npz")


def test_a_folder_holds_one_run(tmp_path):
    """Files of an earlier run go; a failure in the middle leaves them as they were."""
    image, origin = series((6, 5, 3), (plane((0, 0, 0)),))
    write_images({f"{tmp_path}/a/": (IMAGE, image)}, origin, Style())
    before = {path: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    with pytest.raises(OSError, match="nowhere"):
        write_images({f"{tmp_path}/a/": (IMAGE, image), f"{tmp_path}/nowhere/b.nii": (IMAGE, image)}, origin, Style())
    assert {path: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
    with pytest.raises(OSError, match="nowhere"):
        write_images({f"{tmp_path}/b/": (IMAGE, image), f"{tmp_path}/nowhere/b.nii": (IMAGE, image)}, origin, Style())
    assert not (tmp_path / "b").exists()
    (tmp_path / "a" / "mine.hdr").write_text("# Creator\nbart_pogmdm\n")
    with pytest.raises(ValueError, match=", which you did not name and no earlier run wrote"):
        check_outputs([image_target(f"{tmp_path}/a/")], [])
    (tmp_path / "a" / "mine.hdr").unlink()
    write_images({f"{tmp_path}/a/": (IMAGE, image[:, :, :1])}, origin, Style())
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["0001.dcm"]


def test_pixels_that_are_not_finite_are_zero_in_dicom_with_a_warning(tmp_path):
    image, origin = series((6, 5), (plane((0, 0, 0)),))
    image[2, 3] = np.nan
    with pytest.warns(ReconstructionWarning, match="NaN and infinite pixels are written as 0"):
        write_images({str(tmp_path / "a.dcm"): (IMAGE, image)}, origin, Style())
    assert pydicom.dcmread(tmp_path / "a.dcm").pixel_array.min() == 0


def test_a_volume_ends_with_images_for_the_viewer(raw, tmp_path):
    """Image and std in the format beside BART's files; the std of somebody else is not replaced."""
    words = ["volume", "-i", "1", "--samples", "1", "--jobs", "1", "--measurement", "dataset", str(raw),
             f"{tmp_path}/out.nii.gz"]
    (tmp_path / "out_std.nii.gz").write_text("mine")
    assert main(words) == 1
    (tmp_path / "out_std.nii.gz").unlink()
    assert main(words) == 0
    for name in ("out", "out_std"):
        found = nibabel.load(tmp_path / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(found.dataobj), magnitude(tmp_path, name))
    assert b"prior_hash" in found.header.extensions[0].get_content()
    np.testing.assert_allclose((found.affine @ [NX // 2, NY // 2, 0, 1])[:3], CENTRE * [-1, -1, 1], atol=1e-5)
