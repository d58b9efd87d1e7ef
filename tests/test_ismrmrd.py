"""ISMRMRD raw data as the standard means them: flags, encodings and the fields of the headers, each with its effect."""

import re
import shutil
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import SHARED
from properties import random_complex

from bart_pogmdm import ReconstructionWarning
from bart_pogmdm.arrays.bart_dims import BATCH, SLICE, TE, TIME, TIME2, to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate.simulate import phantom, sensitivities
from bart_pogmdm.files import cfl
from bart_pogmdm.files.ismrmrd_flags import FLAGS, Effect
from bart_pogmdm.files.kspace import load, open_kspace
from bart_pogmdm.physics.coil_compression import mix, whitening
from bart_pogmdm.physics.fourier import fft2c, ifft2c

ismrmrd = pytest.importorskip("ismrmrd", reason="ismrmrd is not installed")
from raw_data import HEADER, encoding, line, lines, partitions, write_raw  # noqa: E402

NX, NY, COILS = 10, 12, 3
MATRIX = encoding((NX, NY))
DOCS = Path(__file__).resolve().parents[1] / "docs" / "raw_data.md"
# Numbers of flags by their effect, written down from the standard: flag 22 reverses a line, all others have no effect.
NOISE, LEFT_OUT, CALIBRATION, COMPRESSED, UNDEFINED = [19], [23, 24, 26, 27, 28, 29, 30, 31], 20, range(53, 57), \
    range(32, 53)


@pytest.fixture
def kspace(rng):
    """k-space (coil, x, y)."""
    return random_complex(rng, (COILS, NX, NY), np.complex64)


@pytest.fixture
def raw(tmp_path):
    def write(encodings, acquisitions, **options):
        (tmp_path / "raw.mrd").unlink(missing_ok=True)
        return write_raw(tmp_path / "raw.mrd", encodings, acquisitions, **options)
    return write


def found_in(path):
    """k-space (coil, x, y, …) of a file, with the dimensions longer than 1."""
    return np.moveaxis(load(path)[0].squeeze(), 2, 0)


def sentence_of(path):
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        load(path)
    assert "\n" not in str(caught.value) and "not a readable" not in str(caught.value)
    return str(caught.value)


def test_flags_have_the_names_of_the_standard():
    assert sorted(FLAGS) == list(range(1, 65))
    for number, (name, effect) in FLAGS.items():
        known = [key for key, value in vars(ismrmrd).items() if key.startswith("ACQ_") and value == number]
        assert [key.removeprefix("ACQ_").removeprefix("IS_") for key in known] == ([] if effect is Effect.UNKNOWN
                                                                                   else [name])
        if effect is not Effect.NONE and known:
            assert name.rstrip("1234") in DOCS.read_text()


@pytest.mark.parametrize("number", range(1, 65))
def test_every_flag_has_its_effect(raw, rng, kspace, number):
    """A line with the flag repeats row 5 with other samples: a line of the image is averaged with the first one."""
    other = random_complex(rng, (COILS, NX), np.complex64)
    path = raw(MATRIX, [*lines(kspace), line(other, 5, number)])
    if number in COMPRESSED:
        assert f"its lines are compressed (COMPRESSION{number - 52})" in sentence_of(path)
        return
    if number == 22:
        assert "lines of one direction in each image, got some in reverse" in sentence_of(path)
        return
    expected = kspace.copy()
    if number in NOISE:
        expected = np.tensordot(whitening(other), kspace, 1)
    elif number not in (*LEFT_OUT, CALIBRATION):
        expected[:, :, 5] = (kspace[:, :, 5] + other) / 2
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_allclose(found_in(path), expected, atol=1e-5)
    assert {one.category for one in caught} == ({ReconstructionWarning} if number in UNDEFINED else set())
    assert all(f"(flag {number})" in str(one.message) for one in caught)


def test_a_line_that_is_left_out_is_so_with_any_other_flag(raw, kspace):
    """Whatever the other flags are; a calibration line that is a line of the image as well is one."""
    extra = [line(9 * kspace[:, :, 0], 3, flag, other) for flag in LEFT_OUT for other in (20, 21, 22, 40, 53, 57)]
    np.testing.assert_array_equal(found_in(raw(MATRIX, [*extra, *lines(kspace)])), kspace)
    np.testing.assert_array_equal(found_in(raw(MATRIX, lines(kspace, None, 20, 21))), kspace)


def test_a_file_without_a_line_of_an_image_says_what_it_has(raw, kspace):
    assert "no line of an image among 12 acquisitions (SURFACECOILCORRECTIONSCAN_DATA)" in sentence_of(
        raw(MATRIX, lines(kspace, None, 29)))


@pytest.mark.parametrize("mode, is_image", [("embedded", True), ("interleaved", True), ("other", True), ("", True),
                                            ("separate", False), ("external", False)])
def test_calibration_lines_of_the_scan_belong_to_the_image(raw, kspace, mode, is_image):
    """Lines 0, 3, … are those of the image; those that calibrate fill the gaps at the centre."""
    rows, gaps = range(0, NY, 3), (4, 5, 7, 8)
    path = raw(encoding((NX, NY), calibration=mode),
               [*lines(kspace, rows), *lines(kspace, gaps, 20), *lines(kspace, [6], 21)])
    assert sorted(np.flatnonzero(load(path)[1][0])) == sorted([*rows, *(gaps if is_image else ())])


@pytest.mark.parametrize("mode", ["separate", "external", "embedded", "interleaved", "other", ""])
def test_calibration_of_its_own_is_not_mixed_into_the_image(raw, kspace, mode):
    """The scan for the calibration has lines that the image has as well."""
    rows = range(0, NY, 2)
    path = raw(encoding((NX, NY), calibration=mode), [*lines(9 * kspace, range(3, 9), 20), *lines(kspace, rows)])
    np.testing.assert_array_equal(found_in(path)[:, :, rows], kspace[:, :, rows])
    assert sorted(np.flatnonzero(load(path)[1][0])) == list(rows)


def test_calibration_in_another_encoding_is_not_mixed_into_the_image(raw, kspace):
    small = encoding((NX, 6), calibration="embedded")
    path = raw(encoding((NX, NY), calibration="embedded") + small,
               [*lines(9 * kspace, range(6), 20, encoding_space_ref=1), *lines(kspace)])
    np.testing.assert_array_equal(found_in(path), kspace)
    path = raw(small + MATRIX, [*lines(9 * kspace, range(6), 20), *lines(kspace, encoding_space_ref=1)])
    np.testing.assert_array_equal(found_in(path), kspace)


def test_lines_of_several_encodings_are_never_mixed(raw, kspace):
    """The encoding that is clearly the largest is that of the image, with a warning."""
    both = [*lines(9 * kspace[:, :4, :4], encoding_space_ref=1), *lines(kspace)]
    path = raw(MATRIX + encoding((4, 4)), both)
    with pytest.warns(ReconstructionWarning, match=r"the image is that of encoding 0.*\(lines: 12 in encoding 0, 4 in"):
        found = load(path)[0]
    np.testing.assert_array_equal(found.squeeze(), to_bart(kspace).squeeze())
    assert "it is not clear which encoding" in sentence_of(raw(MATRIX + encoding((NX, 8)), both))
    assert "refers to encoding 1, but the header has 1" in sentence_of(raw(MATRIX, lines(kspace, encoding_space_ref=1)))


@pytest.mark.parametrize("name, axis", [("slice", SLICE), ("contrast", TE), ("phase", TIME), ("repetition", TIME2),
                                        ("set", BATCH)])
def test_counters_are_dimensions_of_bart(raw, kspace, name, axis):
    """Numbers that no line has are not counted."""
    path = raw(MATRIX, [*lines(2 * kspace, **{name: 60000}), *lines(kspace, **{name: 3})])
    assert load(path)[0].shape[axis] == 2
    np.testing.assert_array_equal(found_in(path), np.stack([kspace, 2 * kspace], -1))


@pytest.mark.parametrize("fields", [{"average": 1}, {"segment": 1}, {"user": [1] * 8}, {"sample_time_us": 7.0},
                                    {"acquisition_time_stamp": 5}])
def test_other_counters_are_averaged(raw, kspace, fields):
    path = raw(MATRIX, [*lines(kspace), *lines(3 * kspace, **fields)])
    np.testing.assert_allclose(found_in(path), 2 * kspace, rtol=1e-6)


def averages(*scans, noise_std=0.005, rows=None):
    """The lines of coil images (coil, x, y) that were measured one after the other, each with its noise."""
    rng = np.random.default_rng(1)
    return [one for number, images in enumerate(scans)
            for one in lines(fft2c(images) + noise_std * random_complex(rng, images.shape, complex),
                             rows if number else None, average=number)]


OBJECT = phantom((32, 40)) * sensitivities((32, 40), COILS)
WIDE = encoding((32, 40))


@pytest.mark.parametrize("noise_std", [0, 0.005, 0.1, 1])
@pytest.mark.parametrize("count, rows", [(2, None), (5, None), (2, [20]), (2, [0])])
@pytest.mark.parametrize("gains", [[1, 1, 1], [0.1, 1, 10]])
def test_noisy_averages_do_not_contradict_each_other(raw, noise_std, count, rows, gains):
    """Warnings are errors."""
    images = OBJECT * np.reshape(gains, (-1, 1, 1))
    open_kspace(raw(WIDE, averages(*count * [images], noise_std=noise_std, rows=rows)))
    open_kspace(raw(WIDE, averages(OBJECT, OBJECT * np.exp(0.1j))))


@pytest.mark.parametrize("second, rows", [
    (1j * OBJECT, None), (5 * OBJECT, [20]), (0 * OBJECT, None), (np.roll(OBJECT, 6, 2), None),
    (np.roll(OBJECT, 6, 1), None), (OBJECT[..., ::-1], range(10, 30))],
    ids=["phase", "gain", "lost", "moved", "moved along the readout", "mirrored"])
def test_averages_that_contradict_each_other_are_doubtful(raw, second, rows):
    path = raw(WIDE, averages(OBJECT, second, rows=rows))
    with pytest.warns(ReconstructionWarning, match=f"^{path}: lines at the same place differ by far more than noise"):
        load(path)


def test_partitions_and_images_that_contradict_each_other_are_doubtful(raw, rng):
    volume = random_complex(rng, (COILS, 1, 1, 9), np.complex64) * fft2c(OBJECT)[..., None]
    volume, header = np.concatenate([0.1 * volume[..., :4], volume[..., 4:5], 0.1 * volume[..., 5:]], 3), encoding(
        (32, 40, 9), partitions=(0, 8, 4))
    first = partitions(volume)
    open_kspace(raw(header, first + partitions(volume, average=1)))
    with pytest.warns(ReconstructionWarning, match="lines at the same place"):
        open_kspace(raw(header, first + partitions(1j * volume, average=1)))
    frames = [one for number, other in enumerate([OBJECT, OBJECT, -1j * OBJECT])
              for one in (lines(fft2c(OBJECT), repetition=number) + lines(fft2c(other), repetition=number, average=1))]
    with pytest.warns(ReconstructionWarning, match="lines at the same place"):
        open_kspace(raw(WIDE, frames))


@pytest.mark.parametrize("name, values", [("average", 1), ("segment", 1), ("user_3", [0, 0, 0, 1, 0, 0, 0, 0])])
def test_diffusion_weightings_are_not_averaged(raw, kspace, name, values):
    header = HEADER.replace("{}", "{}<sequenceParameters><diffusionDimension>" + name
                            + "</diffusionDimension></sequenceParameters>")
    both = [*lines(kspace), *lines(kspace, **{name.split("_")[0]: values})]
    assert f"diffusion weightings are numbered by `{name}`" in sentence_of(raw(MATRIX, both, header=header))
    assert found_in(raw(MATRIX, both[:NY], header=header)).shape == kspace.shape


def wide(kspace):
    """k-space (coil, x, y) with its readout oversampled twice; the outer halves are empty in image space."""
    image = np.zeros((COILS, 2 * NX, NY), np.complex64)
    image[:, NX // 2:NX // 2 + NX] = fft2c(kspace.conj()).conj()
    return fft2c(image)


@pytest.mark.parametrize("matrix, fov, image, image_fov", [
    ((2 * NX, NY), (400, 200), (NX, NY), (200, 200)), ((2 * NX, NY), (400, 200), (2 * NX, 2 * NY), (200, 200)),
    ((2 * NX, NY), (400, 200), (NX // 2, NY // 2), (200, 200)), ((2 * NX, NY), (399.99, 200), (NX, NY), (200.01, 200)),
    ((NX, NY), (200, 200), (NX, NY), (200, 200)), ((NX, NY), (400, 200), (NX, NY), (200, 200)),
    ((f"{2 * NX}.0", "11.9996", "1.0"), (400, 200), (NX, NY), (200, 200))],
    ids=["standard", "interpolated", "reduced", "rounded", "left out", "left out of the matrix", "not whole"])
def test_fields_of_view_decide_the_oversampling(raw, kspace, matrix, fov, image, image_fov):
    """Not the matrices; the header may also leave out an oversampling that the lines have."""
    path = raw(encoding(matrix, fov, image, image_fov, limits=(0, NY - 1, NY // 2)), lines(wide(kspace)))
    np.testing.assert_allclose(found_in(path), kspace, atol=1e-5)


def test_the_same_field_of_view_is_not_cropped(raw, kspace):
    np.testing.assert_array_equal(found_in(raw(encoding((NX, NY), image=(NX // 2, NY // 2)), lines(kspace))), kspace)
    without = re.sub("<reconSpace>.*</reconSpace>", "", MATRIX)
    np.testing.assert_array_equal(found_in(raw(without, lines(kspace))), kspace)


def test_an_oversampling_that_is_removed_already_is_noticed(raw, kspace):
    path = raw(encoding((2 * NX, NY), (400, 200), (NX, NY), (200, 200)), lines(kspace))
    with pytest.warns(ReconstructionWarning, match="whose oversampling has been removed"):
        np.testing.assert_array_equal(load(path)[0].squeeze(), to_bart(kspace).squeeze())
    with pytest.warns(ReconstructionWarning, match="the lines fill 10 of the 20 samples"):
        assert load(raw(encoding((2 * NX, NY)), lines(kspace)))[0].shape[:2] == (2 * NX, NY)


@pytest.mark.parametrize("start", [(NX, NY), (2 * NX, NY)], ids=["left out", "standard"])
def test_an_asymmetric_echo_keeps_its_centre(raw, kspace, start):
    """The first 6 of 20 samples are missing: the first 3 of 10 without oversampling."""
    cut = [line(wide(kspace)[:, 6:, row], row, center_sample=NX - 6) for row in range(NY)]
    fov = (20 * start[0], 200)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, pattern = load(raw(encoding(start, fov, (NX, NY), (200, 200)), cut))
    np.testing.assert_array_equal(pattern.squeeze()[:, 0], np.arange(NX) >= 3)


def test_an_oversampling_that_is_not_whole_keeps_the_ends_apart(raw):
    """The last 4 of 95 samples are missing, which are the last 2 of 48 without oversampling; the first one is not."""
    cut = [line(np.ones((COILS, 91)), row, center_sample=47) for row in range(NY)]
    _, pattern = load(raw(encoding((95, NY), (400, 200), (48, NY), (200, 200)), cut))
    np.testing.assert_array_equal(pattern.squeeze()[:, 0], np.arange(48) < 46)


def test_samples_to_be_discarded_are(raw, kspace):
    """On both sides; center_sample counts them."""
    padded = np.pad(kspace, ((0, 0), (3, 2), (0, 0)), constant_values=99)
    path = raw(MATRIX, lines(padded, discard_pre=3, discard_post=2, center_sample=3 + NX // 2))
    np.testing.assert_array_equal(found_in(path), kspace)
    backwards = lines(padded[:, ::-1], None, 22, discard_pre=2, discard_post=3, center_sample=NX // 2 - 1 + 2)
    np.testing.assert_array_equal(found_in(raw(MATRIX, backwards)), kspace)


def test_reversed_lines_are_mirrored_about_their_centre(raw, kspace):
    """Each image has its own direction; converters that count the centre from the other end are understood."""
    ahead = lines(kspace, contrast=0)
    for center in (NX // 2 - 1, NX // 2):
        back = lines(2 * kspace[:, ::-1], None, 22, contrast=1, center_sample=center)
        np.testing.assert_array_equal(found_in(raw(MATRIX, ahead + back)), np.stack([kspace, 2 * kspace], -1))
    np.testing.assert_array_equal(found_in(raw(MATRIX, back)), 2 * kspace)
    cut = lines(kspace[:, :-4][:, ::-1], None, 22, center_sample=NX - 4 - 1 - NX // 2)  # the last 4 samples missing
    found, pattern = load(raw(MATRIX, cut))
    np.testing.assert_array_equal(found.squeeze(), to_bart(kspace * (np.arange(NX) < NX - 4)[:, None]).squeeze())
    assert pattern.squeeze()[:, 0].sum() == NX - 4
    assert "EPI needs a correction" in sentence_of(raw(MATRIX, [*ahead, *lines(kspace, [3], 22)]))


def test_a_centre_that_is_not_given_is_in_the_middle(raw, kspace):
    for limits in ("", (0, NY - 1, 0)):
        path = raw(encoding((NX, NY), limits=limits), lines(kspace, center_sample=0))
        np.testing.assert_array_equal(found_in(path), kspace)
    path = raw(encoding((NX, NY), limits=(0, 8, 3)), lines(kspace[:, :, 3:]))  # partial Fourier
    np.testing.assert_array_equal(found_in(path), kspace * (np.arange(NY) >= 3))


def test_a_centre_that_is_not_in_the_middle_leaves_out_what_is_beyond(raw, kspace):
    """A line or sample in silence, more of them with a warning."""
    for center, columns, samples in ((NX // 2 - 1, slice(1, NX), slice(NX - 1)),
                                     (NX // 2 + 1, slice(NX - 1), slice(1, NX))):
        found, expected = found_in(raw(MATRIX, lines(kspace, center_sample=center))), np.zeros_like(kspace)
        expected[:, columns] = kspace[:, samples]
        np.testing.assert_array_equal(found, expected)
        back = lines(kspace[:, ::-1], None, 22, center_sample=NX - 1 - center)
        if center > NX // 2:  # One sample less counts as a centre from the other end.
            np.testing.assert_array_equal(found_in(raw(MATRIX, back)), expected)
    found = found_in(raw(encoding((NX, NY), limits=(0, NY - 1, NY // 2 - 1)), lines(kspace)))
    np.testing.assert_array_equal(found[:, :, 1:], kspace[:, :, :-1])
    wide = np.tile(kspace, (1, 1, 2))
    path = raw(encoding((NX, 2 * NY), limits=(0, 2 * NY - 1, NY + 3)), lines(wide))
    with pytest.warns(ReconstructionWarning, match="lines were left out, up to 3 positions beyond the 24 of the enc"):
        np.testing.assert_array_equal(np.moveaxis(load(path)[0].squeeze(), 2, 0)[:, :, :-3], wide[:, :, 3:])


def test_two_partitions_in_the_header_may_be_a_2d_scan(raw, kspace):
    """Programs for Pulseq write z = 2; what counts is which partitions the lines have."""
    deep = lines(2 * kspace, kspace_encode_step_2=1)
    np.testing.assert_array_equal(found_in(raw(encoding((NX, NY, 2)), lines(kspace))), kspace)
    np.testing.assert_array_equal(found_in(raw(encoding((NX, NY, 2)), deep)), 2 * kspace)
    found = load(raw(encoding((NX, NY, 2)), lines(kspace) + deep))[0]
    np.testing.assert_array_equal(found.squeeze(), np.moveaxis([kspace, 2 * kspace], (0, 1), (-2, -1)))


NZ = 5
IN_3D = encoding((NX, NY, NZ), partitions=(0, NZ - 1, NZ // 2))


@pytest.fixture
def kspace_3d(rng):
    """k-space (coil, x, y, z)."""
    return random_complex(rng, (COILS, NX, NY, NZ), np.complex64)


def volume_in(path):
    """k-space (coil, x, y, z) of a file."""
    return np.moveaxis(load(path)[0][(..., *12 * (0,))], 3, 0)


def test_the_sides_of_voxels_are_those_of_the_encoded_space(raw, kspace_3d):
    path = raw(encoding((NX, NY, NZ), (2 * NX, 3 * NY, 4 * NZ), partitions=(0, NZ - 1, NZ // 2)), partitions(kspace_3d))
    assert open_kspace(path).voxel == (2, 3, 4)
    path = raw(encoding((NX, NY, NZ), (0, 3 * NY, 4 * NZ), partitions=(0, NZ - 1, NZ // 2)), partitions(kspace_3d))
    assert open_kspace(path).voxel is None


def test_partitions_are_phs2(raw, rng, kspace_3d):
    """Odd sizes, an oversampled readout, a noise scan, an average, and several volumes in one file."""
    np.testing.assert_array_equal(volume_in(raw(IN_3D, partitions(kspace_3d))), kspace_3d)
    noise, odd = random_complex(rng, (COILS, 400), np.complex64), kspace_3d[:, :9, :7]
    image = np.pad(ifft2c(odd, axes=(1,)), ((0, 0), (5, 4), (0, 0), (0, 0)))  # the pixel n // 2 stays the centre
    wide = fft2c(image, axes=(1,))
    scans = partitions(wide) + partitions(3 * wide, average=1) + partitions(4 * wide, repetition=7)
    sizes = (18, 7, NZ), (400, 200, 60), (9, 7, NZ), (200, 200, 60)
    found, pattern = load(raw(encoding(*sizes), [line(noise, 0, 19), *scans]))
    assert found.shape[:4] == (9, 7, NZ, COILS) and found.shape[TIME2] == 2 and pattern.all()
    expected = 2 * np.tensordot(whitening(noise), odd, 1)
    for time, factor in ((0, 1), (1, 2)):
        np.testing.assert_allclose(np.moveaxis(found.squeeze()[..., time], 3, 0), factor * expected, atol=1e-4)


def test_partitions_beyond_the_field_of_view_are_kept(raw, kspace_3d):
    """The oversampling of a phase encoding is part of the image, whose outer partitions are empty."""
    image = np.pad(kspace_3d, ((0, 0), (0, 0), (0, 0), (2, 2)))
    path = raw(encoding((NX, NY, NZ + 4), (200, 200, 90), (NX, NY, NZ), (200, 200, 50)),
               partitions(fft2c(image, axes=(1, 2, 3))))
    np.testing.assert_allclose(ifft2c(volume_in(path), axes=(1, 2, 3)), image, atol=1e-5)


@pytest.mark.parametrize("center, count", [(0, 3), (1, 4), (2, 5), (3, 5)])
def test_the_central_partition_is_that_of_the_header(raw, kspace_3d, center, count):
    """The first ones are missing, or the last ones."""
    first = NZ // 2 - center
    shifted = np.roll(kspace_3d, -first, 3)
    numbers = np.arange(max(-first, 0), count)
    found, pattern = load(raw(encoding((NX, NY, NZ), partitions=(0, NZ - 1, center)), partitions(shifted, numbers)))
    is_held = np.isin(np.arange(NZ), numbers + first)
    np.testing.assert_array_equal(pattern.any((0, 1)).squeeze(), is_held)
    np.testing.assert_array_equal(np.moveaxis(found.squeeze(), 3, 0), kspace_3d * is_held)


def test_a_central_partition_that_is_not_given_is_in_the_middle(raw, kspace_3d):
    for limits in ("", (0, NZ - 1, 0)):
        path = raw(encoding((NX, NY, NZ), partitions=limits), partitions(kspace_3d))
        np.testing.assert_array_equal(volume_in(path), kspace_3d)


def test_lines_of_a_volume_are_read_as_those_of_a_slice(raw, kspace_3d):
    """Asymmetric echoes, reversed lines, and undersampling in both phase encodings with its calibration."""
    cut = partitions(kspace_3d[:, 3:], center_sample=NX // 2 - 3)
    found, pattern = load(raw(IN_3D, cut))
    np.testing.assert_array_equal(pattern[..., 0].all((1, 2)).squeeze(), np.arange(NX) >= 3)
    np.testing.assert_array_equal(np.moveaxis(found.squeeze(), 3, 0)[:, 3:], kspace_3d[:, 3:])
    back = partitions(kspace_3d[:, ::-1], None, 22, center_sample=NX // 2 - 1)
    np.testing.assert_array_equal(volume_in(raw(IN_3D, back)), kspace_3d)
    assert "EPI needs a correction" in sentence_of(raw(IN_3D, [*partitions(kspace_3d, [0, 1, 2, 3]), *back[-NY:]]))
    image = [one for n in (0, 2, 4) for one in lines(kspace_3d[..., n], range(0, NY, 2), kspace_encode_step_2=n)]
    inside = lines(kspace_3d[..., 1], (4, 6), 20, kspace_encode_step_2=1)  # between the partitions of the image
    repeated = lines(9 * kspace_3d[..., 2], (4, 5, 6), 20, kspace_encode_step_2=2)
    for calibration, lines_of_partitions in ((inside, [6, 2, 6, 0, 6]), (inside + repeated, [6, 0, 6, 0, 6])):
        found, pattern = load(raw(IN_3D, image + calibration))
        pattern = pattern.any(0).squeeze()
        assert list(pattern.sum(0)) == lines_of_partitions
        np.testing.assert_array_equal(np.moveaxis(found.squeeze(), 3, 0), kspace_3d * pattern)


@pytest.mark.parametrize("encodings, numbers, message", [
    (encoding((NX, NY, NZ), partitions=(0, 4, 40)), None, "partitions lie outside the encoded matrix, 38 positions"),
    (encoding((NX, NY, NZ), partitions=(0, 4, 70000)), None, "kspace_encoding_step_2/center, got 70000"),
    (encoding((NX, NY, NZ), partitions=(0, 4, "two")), None, "kspace_encoding_step_2/center, got 'two'"),
    (encoding((NX, NY, 4)), None, "partitions lie outside the encoded matrix, 1 positions beyond its 4"),
    (encoding((NX, NY)), None, "partitions lie outside the encoded matrix, 4 positions beyond its 1"),
    (encoding((NX, NY, NZ)), [3], "expected lines in several of the 5 partitions of the encoded matrix, got those of"),
    (encoding((NX, NY, 0)), None, "matrixSize/z, got 0"), (encoding((NX, NY, 70000)), None, "matrixSize/z, got 70000"),
    (encoding((NX, NY, 60000)), None, f"60 lines are too few for 1 images of {NX} x {NY} x 60000 samples")])
def test_absurd_partitions_are_one_sentence(raw, kspace_3d, encodings, numbers, message):
    assert message in sentence_of(raw(encodings, partitions(kspace_3d, numbers)))


@pytest.mark.parametrize("kind", ["radial", "epi", "spiral", "goldenangle", "other", "propellor", ""])
def test_other_trajectories_are_refused(raw, kspace, kind):
    expected = f"expected a Cartesian acquisition, got {kind or 'no trajectory'}"
    assert expected in sentence_of(raw(encoding((NX, NY), kind=kind), lines(kspace)))


def test_the_dwell_time_of_the_noise_scan_does_not_matter(raw, rng, kspace):
    noise = (np.eye(3) + 0.4 * random_complex(rng, (3, 3))) @ random_complex(rng, (3, 400))
    expected = mix(whitening(noise.astype(np.complex64)), to_bart(kspace))
    for scale in (1, 9):  # A dwell time of 1 / 9 makes the noise 3 times as large.
        scan = line(np.sqrt(scale) * noise, 0, 19, sample_time_us=9 / scale, center_sample=0)
        found = load(raw(MATRIX, [scan, *lines(kspace)]))[0]
        np.testing.assert_allclose(found.squeeze(), expected.squeeze(), atol=1e-5)


@pytest.mark.parametrize("noise, reason", [
    (np.ones((4, 50)), "it has 4 channels, and the image 3"), (np.full((3, 50), np.nan), "NaN or infinite samples"),
    (np.ones((3, 50)), "its covariance is singular"), (np.ones((3, 4)), "expected at least 6 samples of 3 coils")])
def test_a_noise_scan_that_cannot_be_used_is_named(raw, kspace, noise, reason):
    path = raw(MATRIX, [line(noise, 0, 19), *lines(kspace)])
    with pytest.warns(ReconstructionWarning, match=f"raw.mrd: the coils are not prewhitened.*{reason}"):
        np.testing.assert_array_equal(load(path)[0].squeeze(), to_bart(kspace).squeeze())


def test_a_noise_scan_with_the_channels_of_the_image_is_found(raw, rng, kspace):
    noise = random_complex(rng, (3, 400), np.complex64)
    path = raw(MATRIX, [line(np.ones((4, 50)), 0, 19), line(noise, 0, 19), *lines(kspace)])
    np.testing.assert_allclose(found_in(path), np.tensordot(whitening(noise), kspace, 1), atol=1e-5)


def test_headers_may_be_repeated(raw, tmp_path, kspace):
    path = raw(MATRIX, lines(kspace))
    first, second = HEADER.format(MATRIX), HEADER.format(encoding((NX, 6)))
    for texts, message in (([first, first], ""), ([first, ""], ""), ([first, second], "expected one XML header, got 2"),
                           ([""], "expected one XML header, got none"), (["<a"], "expected a header in XML"),
                           ([HEADER.format("")], "expected an <encoding> in the XML header")):
        with h5py.File(path, "r+") as file:
            del file["dataset/xml"]
            file.create_dataset("dataset/xml", data=texts, dtype=h5py.string_dtype())
        if message:
            assert message in sentence_of(path)
        else:
            np.testing.assert_array_equal(found_in(path), kspace)


def test_the_name_of_the_group_is_free(raw, tmp_path, kspace):
    np.testing.assert_array_equal(found_in(raw(MATRIX, lines(kspace), group="measurement")), kspace)
    path = write_raw(tmp_path / "raw.mrd", MATRIX, lines(kspace), group="other")
    assert "expected one group with raw data" in sentence_of(path)
    np.testing.assert_array_equal(found_in(write_raw(path, MATRIX, lines(2 * kspace))), 2 * kspace)


@pytest.mark.parametrize("encodings, message", [
    (encoding((10**9, NY)), "expected a whole number from 1 to 65535 as encodedSpace/matrixSize/x, got 1000000000"),
    (encoding((NX, 0)), "matrixSize/y, got 0"), (encoding((NX, -3)), "matrixSize/y, got '-3'"),
    (encoding(("10.5", NY)), "matrixSize/x, got 10.5"), (encoding(("ten", NY)), "matrixSize/x, got 'ten'"),
    (encoding(("nan", NY)), "matrixSize/x, got 'nan'"),
    (encoding((NX, NY), ("1e300", 200), None, (200, 200)), "leaves an image of"),
    (encoding((60000, 60000), (200, 200), (2, 2), (200, 200)), "12 lines are too few for 1 images of 60000 x 60000"),
    (encoding((NX, NY), limits=(0, 0, 70000)), "kspace_encoding_step_1/center, got 70000"),
    (encoding((NX, 6)), "lines lie outside the encoded matrix, 6 positions beyond its 6"),
    (encoding((7, NY)), "samples of a line lie outside the encoded matrix, 2 positions beyond its 7")])
def test_absurd_headers_are_one_sentence(raw, kspace, encodings, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconstructionWarning)
        assert message in sentence_of(raw(encodings, lines(kspace)))


@pytest.mark.parametrize("bad, message", [
    (lambda k: line(np.full((3, NX), np.nan), 5), "acquisition 12 holds NaN or infinite samples"),
    (lambda k: line(k[:2, :, 5], 5), "the same channels, got lines of 2 and 3 channels"),
    (lambda k: line(k[:, :, 5], 5, channel_mask=11), "the same channels, got several channel masks"),
    (lambda k: line(k[:, :, 5], 5, discard_pre=6, discard_post=5), "acquisition 12 has no samples"),
    (lambda k: line(k[:, :, 5], 5, center_sample=60000), "samples of a line lie outside"),
    (lambda k: line(k[:, :, 5], 60000), "lines lie outside the encoded matrix")])
def test_damaged_lines_are_one_sentence(raw, kspace, bad, message):
    assert message in sentence_of(raw(MATRIX, [*lines(kspace, channel_mask=7), bad(kspace)]))


def test_counters_of_a_damaged_file_allocate_nothing(raw, kspace):
    scattered = [line(kspace[:, :, 0], 6, slice=n, contrast=n, repetition=n, phase=n, set=n) for n in range(40)]
    assert f"40 lines are too few for {40**5} images" in sentence_of(raw(MATRIX, scattered))


def test_fields_of_another_type_are_named(tmp_path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["dataset/xml"] = [HEADER.format(MATRIX).encode()]
        file["dataset/data"] = np.zeros(3, [("head", [("flags", "<f8"), ("idx", [("slice", "<u2")])]), ("data", "<f4")])
    assert "missing or of another type: flags, number_of_samples" in sentence_of(tmp_path / "raw.h5")


@pytest.mark.parametrize("name", ["a.mrd", "a.MRD", "a.hdf5", "a.H5", "a.npz", "a", "a.dat"])
def test_the_content_of_a_file_decides_its_kind(raw, tmp_path, kspace, name):
    shutil.copy(raw(MATRIX, lines(kspace)), tmp_path / name)
    np.testing.assert_array_equal(found_in(tmp_path / name), kspace)


def test_real_files(tmp_path, capsys):
    """One in 2-D with a noise scan, and one in 3-D, of a sphere with rings."""
    folder = SHARED / "data" / "raw"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data")
    kspace, pattern = load(folder / "nih_skyra_14ch_R3_noise_phantom.h5")
    assert kspace.shape[:4] == (192, 144, 1, 14) and pattern.any((0, 2, 3)).sum() == 68
    assert main(["-i1", str(folder / "osi2_48mT_3d_tse_phantom.mrd"), str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == ""
    kspace, pattern = load(folder / "osi2_48mT_3d_tse_phantom.mrd")
    image, plain = abs(cfl.read(tmp_path / "out")).squeeze(), abs(ifft2c(kspace.squeeze(), axes=(0, 1, 2)))
    assert image.shape == (100, 100, 10) and pattern.all()
    assert np.linalg.norm(image - plain) < 0.1 * np.linalg.norm(plain)
