"""Masks, metrics, total variation, and `bart-pogmdm compare`."""

import base64
import csv
import importlib.util
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import simulate as undersampled
from properties import assert_gradient, random_complex
from skimage.metrics import structural_similarity

from bart_pogmdm import recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.arrays.doubts import ReconstructionWarning, doubt
from bart_pogmdm.commands.compare import compare
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import bart_methods, masks, metrics, simulate
from bart_pogmdm.evaluate.cases import Case, cases, load_scans
from bart_pogmdm.evaluate.charbonnier_tv import CharbonnierTV
from bart_pogmdm.evaluate.comparison import evaluate, key_of, options_text, program_versions, run_comparison
from bart_pogmdm.evaluate.competitors import COMPETITORS, Effort, competitors
from bart_pogmdm.evaluate.conditions import Condition
from bart_pogmdm.evaluate.report import write_report
from bart_pogmdm.evaluate.rows import Row, best_of, tune
from bart_pogmdm.files.cfl import write
from bart_pogmdm.files.references import ReferenceScan
from bart_pogmdm.physics.fourier import fft2c, ifft2c

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def full():
    """Fully sampled k-space of four coils, and its RSS."""
    _, _, reference = undersampled((48, 40), coils=4, noise_std=0.003)
    image = reference * np.exp(0.3j * np.linspace(-1, 1, 40))
    kspace = simulate.kspace(image, 4, 0.003, 0)
    return kspace, np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(0)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, full, monkeypatch):
    np.savez(tmp_path / "scan.npz", kspace=full[0], reference=full[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("word, part", [("cartesian4", 0.25), ("horizontal3", 1 / 3), ("gaussian8", 0.125)])
def test_masks_hold_what_they_promise(word, part):
    for shape in ((64, 48), (51, 70)):
        mask = masks.named(word, shape, 1)
        assert mask.shape == shape and mask.dtype == bool and abs(mask.mean() - part) < 0.02
        assert mask[shape[0] // 2, shape[1] // 2]
        np.testing.assert_array_equal(mask, masks.named(word, shape, 1))
        assert (mask != masks.named(word, shape, 2)).any()
    if word.startswith("cartesian"):
        assert (mask == mask[:1]).all() and mask[0, 32:38].all()
    if word.startswith("horizontal"):
        assert (mask == mask[:, :1]).all()


def test_radial_and_spiral_masks():
    for word, least in (("radial24", 0.1), ("spiral4", 0.15)):
        mask = masks.named(word, (96, 80), 0)
        assert mask[48, 40] and least < mask.mean() < 0.7
        assert mask[40:57, 32:49].mean() > 2 * mask[:16, :16].mean()


@pytest.mark.parametrize("shape, acceleration", [((96, 80), 6), ((64, 51), 2), ((33, 40), 4), ((72, 128), 20)])
def test_poisson_masks_keep_their_distance_and_number(shape, acceleration, monkeypatch):
    monkeypatch.setenv("PATH", "")  # BART is not needed.
    mask = masks.named(f"poisson{acceleration}", shape, 3)
    assert mask.dtype == bool and mask.shape == shape and mask.sum() == round(mask.size / acceleration)
    y, x = np.mgrid[:shape[0], :shape[1]] - np.array(shape)[:, None, None] // 2
    radius = np.hypot(2 * y / shape[0], 2 * x / shape[1])
    side = min(shape) // 12
    square = (y >= -(side // 2)) & (y < side - side // 2) & (x >= -(side // 2)) & (x < side - side // 2)
    assert square.sum() == side**2 and mask[square].all() and not mask[radius > 1].any()

    # The distance to the nearest other point, in units of the radius, is nowhere less than one slope.
    points, centre = np.argwhere(mask), square[mask]
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    smaller = np.minimum(radius[mask][:, None], radius[mask])
    pairs = (distance > 0) & ~(centre[:, None] & centre)
    slope = (distance / np.maximum(smaller, 1e-9))[pairs & (smaller > 0)].min()
    assert mask[(radius < 0.9 / slope) & (radius <= 1)].all()
    # The points are as dense as the distances allow: few more would fit.
    gaps = np.argwhere(~mask & (radius <= 1))
    nearest = np.linalg.norm(gaps[:, None] - points, axis=-1).min(1)
    assert (nearest >= 1.1 * slope * np.maximum(radius[tuple(gaps.T)], 1 / slope)).mean() < 0.02
    np.testing.assert_array_equal(mask, masks.named(f"poisson{acceleration}", shape, 3))
    assert (mask != masks.named(f"poisson{acceleration}", shape, 4)).any()


def test_poisson_masks_at_the_ends():
    for word, part in (("poisson1", np.pi / 4), ("poisson1000", 1 / 144)):
        mask = masks.named(word, (48, 48), 0)
        assert abs(mask.mean() - part) < 0.01 and mask[22:26, 22:26].all()


def test_uniform_masks_go_through_the_centre_and_have_calibration_lines():
    for width in (64, 51, 180):
        line = masks.named("uniform3acs10", (40, width), 5)[7]
        np.testing.assert_array_equal(line, masks.named("uniform3acs10", (40, width), 6)[0])
        centre = width // 2
        assert line[centre - 5:centre + 5].all() and line[centre % 3::3].all()
        places = set(range(centre % 3, width, 3)) | set(range(centre - 5, centre + 5))
        assert set(np.flatnonzero(line)) == places
    assert masks.named("uniform2", (8, 180), 0)[0, 78:102].all() and not masks.named("uniform2", (8, 180), 0)[0, 77]


def test_caipi_masks_are_shifted_in_every_other_row():
    mask = masks.named("caipi4acs4", (32, 32), 0)
    assert mask[14:18, 14:18].all() and not mask[1::2, :14].any()
    np.testing.assert_array_equal(mask[0::4, :12], np.tile([True, False], (8, 6)))
    np.testing.assert_array_equal(mask[2::4, :12], np.tile([False, True], (8, 6)))
    assert abs(masks.named("caipi6acs0", (48, 48), 0).mean() - 1 / 6) < 1e-9


def test_words_joined_by_plus_leave_what_all_sample():
    shape = (40, 48)
    both = masks.named("uniform2acs8+partial0.75+ellipse", shape, 0)
    parts = [masks.named(word, shape, 0) for word in ("uniform2acs8", "partial0.75", "ellipse")]
    np.testing.assert_array_equal(both, np.logical_and.reduce(parts))
    assert parts[1][:, :36].all() and not parts[1][:, 36:].any() and masks.named("full", shape, 0).all()
    echo = masks.named("echo0.75", shape, 0)
    assert echo[10:].all() and not echo[:10].any()
    assert not masks.named("ellipse", shape, 0)[0, 0] and masks.named("ellipse", shape, 0)[20].all()
    assert masks.named("poisson8acs16", (96, 96), 0)[40:56, 40:56].all()


@pytest.mark.parametrize("word, message", [
    ("uniform2.5", "uniform expects a whole number >= 1, got 'uniform2.5'"),
    ("caipi3", "caipi expects an even number >= 2, got 'caipi3'"),
    ("partial0.3", "partial expects a number from 0.5 to 1, got 'partial0.3'"),
    ("full2", "full takes no number, got 'full2'"),
    ("gaussian8acs4", "gaussian has no acs, got 'gaussian8acs4'"),
    ("cartesian4acs400", "cartesian expects at most 100 percent at the centre"),
    ("uniform2+magic", "expected one of cartesian, horizontal"),
])
def test_wrong_words_for_masks_are_named(word, message):
    with pytest.raises(ValueError, match=r"^masks: ") as error:
        masks.parse(word)
    assert message in str(error.value)


def test_conditions_take_the_first_coils_add_noise_and_pad_with_zeros(full, rng):
    """Noise is in units of the reference, in whatever units k-space is; the reference has no added noise."""
    kspace, reference = full
    scan = ReferenceScan("scan", 1000 * kspace, reference / reference.max())
    few = Condition(coils=2).apply(scan)
    assert few.kspace.shape == (2, 48, 40) and few.name == "scan-coils2" and few.source == "scan"
    np.testing.assert_allclose(few.reference, (own := np.sqrt((np.abs(ifft2c(kspace[:2])) ** 2).sum(0))) / own.max(),
                               rtol=1e-4)
    noisy = Condition(noise_std=0.1).apply(scan)
    added = (noisy.kspace - scan.kspace) / (1000 * reference.max())
    assert abs(added.real.std() - 0.1) < 0.005 and abs(added.imag.std() - 0.1) < 0.005
    np.testing.assert_array_equal(noisy.reference, scan.reference)
    padded = Condition(zero_pad=1.5).apply(scan)  # Sizes are even.
    assert padded.kspace.shape == (4, 72, 60) and padded.measured == (48, 40)
    case, = cases([padded], ["uniform2acs8"], 1)
    np.testing.assert_array_equal(case.mask[12:60, 10:50], masks.named("uniform2acs8", (48, 40), 0))
    assert case.mask.sum() == case.mask[12:60, 10:50].sum()
    assert metrics.psnr(COMPETITORS["zero-filled"].run(padded.kspace, np.ones((72, 60), bool), None).image,
                        padded.reference) > 60


def test_compare_applies_conditions(folder):
    """Several levels of noise are several cases, for scans and for images with simulated coils."""
    np.savez("images.npz", images=np.ones((1, 48, 40)) * np.exp(0.1j * np.arange(40)))
    words = ["--masks", "uniform2acs16+partial0.75", "--methods", "zero-filled", "--coils", "2", "--zero-pad", "1.5"]
    assert run("scan.npz", "images.npz", *words, "--noise", "0", "0.1", "--out", "out") == 0
    with open("out/results.csv") as file:
        rows = {row["data"]: float(row["psnr"]) for row in csv.DictReader(file)}
    assert sorted(rows) == ["images-0-coils2-noise0-pad1.5", "images-0-coils2-noise0.1-pad1.5",
                            "scan-coils2-noise0-pad1.5", "scan-coils2-noise0.1-pad1.5"]
    assert rows["scan-coils2-noise0-pad1.5"] > rows["scan-coils2-noise0.1-pad1.5"] + 1


@pytest.mark.parametrize("words, message", [
    (["--coils", "5"], "coils: scan has 4, fewer than 5"),
    (["--coils", "0"], "coils: expected at least 1, got 0"),
    (["--noise-std", "-1"], "--noise-std: expected a number >= 0, got -1.0"),
    (["--zero-pad", "0.5"], "--zero-pad: expected a factor from 1 to 4.0, got 0.5"),
    (["part.npz", "--coils", "1"], "part: fewer coils and zero-padding need fully sampled k-space"),
    (["part.npz", "--zero-pad", "2"], "part: fewer coils and zero-padding need fully sampled k-space"),
])
def test_conditions_that_cannot_be_made_are_named(folder, full, words, message, capsys):
    np.savez("part.npz", kspace=full[0] * masks.cartesian((48, 40), 3, 0), reference=full[1])
    words = words if words[0].endswith("npz") else ["scan.npz", *words]
    assert run(*words, "--methods", "zero-filled", "--masks", "cartesian2", "--out", "out") == 1
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_results_of_other_programs_stay_valid_when_this_package_changes(full):
    case = Case("scan", full[0], full[1], "m", masks.named("full", full[1].shape, 0))
    programs = program_versions()
    for name, same in (("pics-tv", True), ("homodyne", True), ("pogmdm", False), ("joint-tv", False)):
        keys = {key_of(case, COMPETITORS[name], 1, programs | {"code": code}) for code in "ab"}
        assert (len(keys) == 1) == same
        assert len({key_of(case, COMPETITORS[name], 1, programs | {"bart": bart}) for bart in "ab"}) == 2


def test_stored_results_are_read_without_computing(full, tmp_path):
    case = Case("scan", full[0], full[1] / full[1].max(), "m", masks.named("full", full[1].shape, 0))
    tried = {"zero-filled": (None,)}
    assert run_comparison([case], tried, tmp_path, compute=False) == []
    assert run_comparison([case], tried, tmp_path) == run_comparison([case], tried, tmp_path, compute=False)


def test_metrics_are_those_of_scikit_image(full, rng):
    reference = full[1]
    noisy = (reference + 0.05 * rng.standard_normal(reference.shape)).astype(np.float32)
    scale = metrics.fit_scale(noisy, reference)
    similarity = structural_similarity((scale * np.abs(noisy)).astype(np.float32), reference, win_size=7,
                                       data_range=float(reference.max()), full=True)[1]
    inside = metrics.object_of(reference)
    assert abs(metrics.ssim(noisy, reference) - similarity[inside].mean()) < 1e-6
    error = (scale * np.abs(noisy) - reference)[inside]
    assert abs(metrics.psnr(noisy, reference) - 10 * np.log10(reference.max() ** 2 / np.mean(error**2))) < 1e-6
    assert abs(metrics.nmse(noisy, reference) - (error**2).sum() / (reference[inside] ** 2).sum()) < 1e-6
    for factor in (0.1, 7):
        assert np.isclose(metrics.psnr(factor * noisy, reference), metrics.psnr(noisy, reference))
    curved = np.sqrt(reference)
    assert metrics.psnr(metrics.fit_intensity(curved, reference), reference) > metrics.psnr(curved, reference) + 10


def test_null_space_residual(full, rng):
    coil_images = ifft2c(full[0])
    sens = coil_images / np.maximum(full[1], 1e-6)
    assert metrics.null_space_residual(sens, coil_images, full[1]) < 1e-6
    other = random_complex(rng, sens.shape)
    assert metrics.null_space_residual(other, coil_images, full[1]) > 0.3


def test_calibrated_errors_are_covered(rng):
    reference, std = np.ones((80, 80)), np.full((80, 80), 0.1)
    image = reference + std * rng.standard_normal((80, 80))
    assert abs(metrics.coverage(image, std, reference) - 0.9) < 0.02
    assert metrics.coverage(image, std / 3, reference) < 0.5


def test_tv_is_a_gradient_and_majorised(rng):
    tv, x = CharbonnierTV(3.0, 0.05), random_complex(rng, (12, 10))

    def energy(x):
        slopes = [np.abs(np.roll(x, -1, axis) - x) ** 2 for axis in (0, 1)]
        return 3.0 * np.sqrt(slopes[0] + slopes[1] + 0.05**2).sum()

    assert_gradient(energy, lambda x: -tv.score(x, 0.1), x, rng)
    hessian = tv.curvature(x.shape, 0.1)
    for size in (1e-3, 0.1, 10):
        d = size * random_complex(rng, x.shape)
        square = (hessian * np.abs(np.fft.fft2(d, norm="ortho")) ** 2).sum()
        assert energy(x + d) <= energy(x) - np.vdot(tv.score(x, 0.1), d).real + square / 2 + 1e-9


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")
def test_total_variation_without_the_zero_frequency():
    """Neither the samples nor total variation know the mean of the image: it stays, and is no division by zero."""
    image = simulate.phantom((48, 40))
    mask = masks.named("gaussian4", image.shape, 0)
    mask[23:26, 19:22] = False
    result = recon((fft2c(image) * mask)[None].astype(np.complex64), mask, prior=CharbonnierTV(20.0), iterations=10)
    assert np.isfinite(result.image).all()


def test_joint_tv_has_converged(shared):
    """Twice the iterations at fixed sensitivities change nothing that counts."""
    with np.load(shared("data/dev/masks.npz")) as patterns, np.load(shared("data/dev/brain16ch_mchiew_96.npz")) as data:
        kspace, reference, mask = data["kspace"], data["reference"], patterns["brain16ch_mchiew_96__radial24__0"]
    iterations, prior = Effort().tv_iterations, CharbonnierTV(COMPETITORS["joint-tv"].default)
    joint = recon(kspace * mask, mask, prior=prior, iterations=iterations)
    once, twice = (recon(kspace * mask, mask, prior=prior, sens=joint.sens, start=joint.image, iterations=n).image
                   for n in (iterations, 2 * iterations))
    assert abs(metrics.psnr(twice, reference) - metrics.psnr(once, reference)) < 0.05


METHODS = [name for name, method in COMPETITORS.items() if name != "pogmdm-diffusion" and not method.needs_weights]
MASK_OF = {"homodyne": "partial0.75"}  # Methods for masks of one kind.
SLOW = ("sake-tv",)  # `sake-wavelet` is the same but for the last step.


@pytest.mark.parametrize("name", [name for name in METHODS if name not in SLOW])
def test_every_method_runs(full, bart, name):
    method, (kspace, reference) = COMPETITORS[name], full
    for library in method.programs:
        if library != "bart":
            pytest.importorskip(library, reason=f"{library} is not installed (extra {library})")
    mask = masks.named(MASK_OF.get(name, "cartesian2acs40"), reference.shape, 0)
    zero_filled = COMPETITORS["zero-filled"].run(kspace, mask, None).image
    estimate = method.run(kspace, mask, method.default)
    assert estimate.image.shape == mask.shape and (estimate.std is None) == (name != "pogmdm-mean")
    assert metrics.psnr(estimate.image, reference) >= metrics.psnr(zero_filled, reference) - 0.1
    assert estimate.sens is None or estimate.sens.shape == kspace.shape
    assert len(method.sweep) == 1 or method.default in method.sweep


@pytest.mark.parametrize("name", ["jsense", "pnp-bm3d"])
def test_peers_without_their_program_say_how_to_install_it(folder, name, capsys):
    library = COMPETITORS[name].programs[-1]
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    assert run("scan.npz", "--masks", "cartesian2", "--methods", name, "--out", "out") == 1
    assert f"pip install 'bart_pogmdm[{library}]'" in capsys.readouterr().err.splitlines()[-1]


def test_homodyne_says_which_masks_it_is_for(full, bart):
    kspace, reference = full
    row, images = evaluate(Case("scan", kspace, reference, "c", masks.named("cartesian2", reference.shape, 0)),
                           COMPETITORS["homodyne"], 0.5)
    assert row.psnr is None and not images and "as partial0.75 samples" in row.note


@pytest.mark.parametrize("shape", [(41, 40), (40, 37), (33, 41)])
def test_pics_returns_images_of_odd_sizes_in_their_place(bart, shape):
    image, sens = simulate.phantom(shape), simulate.sensitivities(shape, 4).astype(np.complex64)
    found = bart_methods.pics(50, ("-l2", "-r", "{}"), fft2c(sens * image).astype(np.complex64), sens[None], 1e-5).image
    assert metrics.psnr(found, abs(image).astype(np.float32)) > 50


def test_the_phase_is_that_of_the_largest_complete_window():
    lines = np.arange(90)
    for measured, sides in ((lines >= 0, (60, 90)), (lines < 75, (60, 60)), ((lines % 2 == 0) | (abs(lines - 45) < 13),
                                                                             (60, 26))):
        assert bart_methods._complete_centre(np.broadcast_to(measured, (60, 90))) == sides


def test_two_sets_of_maps_are_for_objects_larger_than_the_field_of_view(bart):
    """Every second line of full k-space folds the object onto half the field of view."""
    image = simulate.phantom((64, 96))
    kspace = simulate.kspace(image, 8, 0.001, 0)[:, :, ::2]
    reference = np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(0)).astype(np.float32)
    case = Case("folded", kspace, reference / reference.max(), "u", masks.named("uniform2", (64, 48), 0))
    one, two = (evaluate(case, COMPETITORS[name], 0.002)[0].psnr for name in ("pics-tv", "ecalib2-tv"))
    assert two > one + 3


def run(*words):
    return main(["compare", *map(str, words)])


def test_compare(folder, capsys):
    names = ["zero-filled", "joint-tv", "pogmdm", "pogmdm-mean"]
    words = ["scan.npz", "--masks", "cartesian2", "spiral3", "--methods", *names, "--out", "out"]
    few = competitors(Effort(tv_iterations=10))
    assert compare(words, few) == 0
    with open("out/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and {row["method"] for row in rows} == set(names)
    assert all(float(row["psnr"]) > 15 and 0 < float(row["ssim"]) <= 1 for row in rows)
    assert all(bool(row["coverage"]) == (row["method"] == "pogmdm-mean") for row in rows)
    table = (folder / "out/table.md").read_text()
    assert table.count("**") == 4 and table in capsys.readouterr().out
    page = (folder / "out/index.html").read_text()
    pictures = re.findall(r"data:image/png;base64,([^']+)'", page)
    assert len(pictures) == 2 and all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert len(list((folder / "out/figures").glob("*.png"))) == 2

    def written():
        return {path.name: path.stat().st_mtime_ns for path in (folder / "out/images").iterdir()}

    before = written()
    assert compare(words, few) == 0 and written() == before  # nothing is computed again
    lost = min(before)
    (folder / "out/images" / lost).unlink()
    assert compare(words, few) == 0
    assert {name for name, time in written().items() if time != before[name]} == {lost}


def test_a_narrow_page_names_every_value(tmp_path):
    """Without JavaScript: below the width of the table, each case is a block of cells with their column's name."""
    rows = [Row(f"scan{n}", "cartesian4-0", name, None, note=f"{name} <b>& more</b>")
            for n in range(2) for name in COMPETITORS]
    widths = []
    for methods in (rows[:2], rows):
        write_report(methods, tmp_path)
        page = (tmp_path / "index.html").read_text()
        names = re.findall("<th>(.*?)</th>", page)
        labels = re.findall("<td data-label='(.*?)'>", page)
        assert len(names) == 2 + min(len(methods), len(COMPETITORS)) and labels == names * (len(labels) // len(names))
        assert "content:attr(data-label)" in page and "name='viewport'" in page and "<script" not in page
        assert "img{max-width:100%}" in page and "overflow-wrap:anywhere" in page and "<b>&" not in page
        widths.append(int(re.search(r"@media \(max-width:(\d+)em\)", page)[1]))
    assert 20 < widths[0] < 60 < 13 * 6 < widths[1]


def test_sweep_and_tune(folder, capsys):
    few, words = competitors(Effort(tv_iterations=5)), ["scan.npz", "--masks", "cartesian2", "--methods", "joint-tv"]
    assert compare([*words, "--sweep", "--out", "swept"], few) == 0
    assert len(list((folder / "swept/images").iterdir())) == len(COMPETITORS["joint-tv"].sweep)
    assert compare([*words, "--tune", "scan.npz", "--out", "tuned"], few) == 0
    chosen = re.search(r"joint TV, weight: (\S+)", capsys.readouterr().out)[1]
    with open("swept/results.csv") as file:
        assert next(csv.DictReader(file))["parameter"] == chosen


def test_parameters_are_chosen_among_those_that_ran_on_most_cases():
    found = (("a", 8, 20), ("b", 8, 22), ("a", 9, 30), ("b", 9, None), ("a", 10, 21), ("b", 10, 20))
    rows = [Row("scan", mask, "nlinv", steps, psnr) for mask, steps, psnr in found]
    assert tune(rows) == {"nlinv": 8}
    assert [row.parameter for row in best_of(rows)] == [9, 8]


def test_a_row_survives_its_cells():
    row = Row("scan", "a", "nlinv", 9, 20.5, note="")
    assert Row.from_cells(row.cells(), "x.npz") == replace(row, file="x.npz")
    assert row.cells()["ssim"] == "" and "file" not in row.cells()


def test_what_sens_cannot_explain_is_in_the_units_of_the_images(full):
    kspace, reference = full
    everywhere = np.ones(reference.shape, bool)
    shown = [evaluate(Case("scan", scale * kspace, reference / reference.max(), "all", everywhere),
                      COMPETITORS["pogmdm"], None)[1]["unexplained"] for scale in (1, 1000)]
    np.testing.assert_allclose(*shown, rtol=0.05, atol=1e-3)


def test_methods_that_cannot_run_are_noted(folder, bart, monkeypatch):
    """ecalib finds no calibration region; BART is missing."""
    words = ["scan.npz", "--masks", "gaussian12", "--methods", "zero-filled", "pics-tv"]
    assert run(*words, "--out", "uncalibrated") == 0
    table = (folder / "uncalibrated/table.md").read_text()
    assert "pics-tv did not run: " in table and "Calibration" in table
    for name in ("BART_TOOLBOX_PATH", "TOOLBOX_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    assert run(*words, "--out", "without") == 0
    assert "pics-tv did not run: BART is not installed" in (folder / "without/table.md").read_text()
    assert len(list((folder / "without/images").iterdir())) == 1  # a second run tries again


def test_other_files(folder, full):
    write({"scan": to_bart(full[0])})
    images = np.stack([full[1], full[1][::-1]]) * 1j
    np.savez("images.npz", images=images)
    loaded = list(load_scans(["scan", "images.npz"]))
    assert [scan.name for scan in loaded] == ["scan", "images-0", "images-1"]
    assert [len(scan.kspace) for scan in loaded] == [4, 8, 8]
    assert all(scan.reference.max() == 1 and scan.reference.shape == (48, 40) for scan in loaded)
    import h5py
    with h5py.File("file.h5", "w") as file:
        file["kspace"] = random_complex(np.random.default_rng(0), (13, 2, 20, 368), np.complex64)
    assert [scan.name for scan in load_scans(["file.h5"])] == [f"file-{n}" for n in range(1, 12)]


@pytest.mark.parametrize("words, message", [
    (["scan.npz", "--methods", "magic"], "--methods: expected some of zero-filled, "),
    (["scan.npz", "--masks", "magic4"], "masks: expected one of cartesian, horizontal"),
    (["scan.npz", "--masks", "cartesian"], "masks: cartesian expects a number >= 1"),
    (["scan.npz", "--seeds", "0"], "--seeds: expected at least 1, got 0"),
    (["nowhere.npz"], "nowhere.npz"),
    (["empty.npz"], "expected an array kspace or images, got neither"),
    (["part.npz"], "expected a reference or fully sampled k-space, got neither"),
    (["narrow.h5"], "with a width of 368 or 372, got ("),
    (["scan.npz", "--masks", "masks.npz"], "--masks: none for these data"),
])
def test_bad_input_is_named(folder, full, words, message, capsys):
    import h5py
    np.savez("empty.npz", other=1)
    np.savez("masks.npz", other__cartesian__0=np.ones((48, 40), bool))
    np.savez("part.npz", kspace=full[0] * masks.cartesian((48, 40), 3, 0))
    with h5py.File("narrow.h5", "w") as file:
        file["kspace"] = full[0][None]
    assert run(*words, "--methods", "zero-filled", "--out", "out") == 1 if "--methods" not in words else \
        run(*words, "--out", "out") == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith("ERROR: ") and message in err


def test_what_the_numbers_depend_on_is_computed_again(folder, full):
    """k-space, mask, reference, options of the method, and versions; a damaged file, too."""
    calls, some = [], np.arange(40) % 3 > 0

    def counted(option, kspace, mask, parameter):
        calls.append(option)
        return COMPETITORS["zero-filled"].run(kspace, mask, None)

    def scan(kspace=full[0], reference=full[1], mask=some, option=1):
        method = replace(COMPETITORS["joint-tv"], run=partial(counted, option))
        case = Case("scan", kspace, reference, "some", np.broadcast_to(mask, reference.shape))
        return run_comparison([case], {"joint-tv": (5,)}, folder / "images", {"joint-tv": method})

    other = full[1].copy()
    other[20, 20] *= 1.5
    first, again = scan(), scan()
    assert first == again and len(calls) == 1
    assert scan(reference=other) != first and len(calls) == 2
    changes = ({"kspace": 2 * full[0]}, {"mask": np.arange(40) % 2 == 0}, {"option": 2})
    for count, change in enumerate(changes, 3):
        assert scan(**change) == scan(**change) and len(calls) == count
    path = Path(first[0].file)
    content = bytearray(path.read_bytes())
    for damaged in (b"", content[:500], content[:-2000] + bytes(2000), b"\x00" * 50):
        path.write_bytes(damaged)
        assert replace(scan()[0], seconds=None) == replace(first[0], seconds=None)
    assert len(calls) == 9


def test_a_key_names_the_options_and_versions(full):
    case = Case("scan", *full, "all", np.ones(full[1].shape, bool))
    few, many = (competitors(Effort(tv_iterations=n)) for n in (5, 10))
    programs = program_versions()
    assert programs == program_versions() and {"bart_pogmdm", "numpy", "bart", "code"} <= programs.keys()
    keys = [key_of(case, few["joint-tv"], 5, programs), key_of(case, many["joint-tv"], 5, programs),
            key_of(case, few["joint-tv"], 10, programs), key_of(case, few["pogmdm"], None, programs),
            key_of(case, few["pogmdm-mean"], None, programs),
            key_of(case, few["joint-tv"], 5, programs | {"bart": "v2"})]
    assert len(set(keys)) == len(keys)
    for name in ("pogmdm", "pics-tv", "joint-tv"):  # The address of a function in memory does not count.
        assert key_of(case, competitors(Effort())[name], 1, programs) == key_of(case, competitors(Effort())[name], 1,
                                                                                programs)
        assert " at 0x" not in options_text(competitors(Effort())[name].run)
    assert options_text(COMPETITORS["fastmri-unet"].run) == "_network unet"


def test_data_of_one_name_are_refused(folder, full, capsys):
    (folder / "other").mkdir()
    np.savez("other/scan.npz", kspace=full[0], reference=full[1])
    assert run("scan.npz", "other/scan.npz", "--masks", "cartesian2", "--methods", "zero-filled", "--out", "out") == 1
    assert "two data sets have the name scan and a mask cartesian2-0; rename a file" in capsys.readouterr().err


def test_a_refused_comparison_leaves_no_folder(folder, capsys):
    assert run("nowhere.npz", "--methods", "zero-filled", "--out", "deep/out") == 1
    assert not (folder / "deep").exists()


def test_two_ways_to_choose_parameters_are_refused(folder, capsys):
    assert run("scan.npz", "--sweep", "--tune", "scan.npz", "--out", "out") == 1
    assert "--sweep: it takes the parameters that are best in each case, and --tune" in capsys.readouterr().err


def test_missing_packages_are_named_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert run("scan.npz", "--methods", "zero-filled", "--out", "out") == 1
    assert "compare needs matplotlib and scikit-image: pip install 'bart_pogmdm[compare]'" in capsys.readouterr().err
    assert not Path("out").exists()


def test_warnings_are_in_rows_and_report(folder, capsys):
    """Those of an earlier run, too; they are not printed one by one."""
    def doubting(kspace, mask, parameter):
        doubt("This is loud.")
        return replace(COMPETITORS["zero-filled"].run(kspace, mask, None), warnings=["The axes look swapped."])

    methods = COMPETITORS | {"pogmdm": replace(COMPETITORS["pogmdm"], run=doubting)}
    for _ in range(2):
        with pytest.warns(ReconstructionWarning, match="^1 of 2 reconstructions may be wrong"):
            assert compare(["scan.npz", "--masks", "cartesian2", "--methods", "zero-filled", "pogmdm", "--out", "out"],
                           methods) == 0
        assert "- pogmdm warns: The axes look swapped. (scan cartesian2-0)" in capsys.readouterr().out
    with open("out/results.csv") as file:
        assert [row["warnings"] for row in csv.DictReader(file)] == ["", "The axes look swapped."]
