"""The calibration of the posterior's standard deviation: what is learned, what is promised, and its command."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import simulate
from scipy.ndimage import gaussian_filter

from bart_pogmdm import Diffusion, Gibbs, load_prior, recon
from bart_pogmdm.commands.calibrate import calibrate
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate.masks import named
from bart_pogmdm.evaluate.simulate import phantom
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.physics.undersampling import acceleration, unseen_part
from bart_pogmdm.prior.calibration import POWERS, Calibration
from bart_pogmdm.train.calibration import Evidence, conformal_factor, fitted_powers
from bart_pogmdm.train.recipe import CalibrationScans

QUICK = Gibbs(chains=2, burn_in=1, thin=2)
TINY = CalibrationScans(scans=(("radial16", 3), ("gaussian3", 1)), noise_stds=(0.02,), rounds=1, side=40, samples=2)


@pytest.mark.parametrize("scans", [20, 60])
def test_a_further_scan_is_covered_by_90_percent_on_average(rng, scans):
    """Scans of errors of another scale and shape each; the factor is learned on all but the last."""
    covered = []
    for _ in range(300):
        scales, powers = rng.lognormal(0, 0.3, scans + 1), rng.uniform(0.7, 1.5, scans + 1)
        scores = [scale * abs(rng.standard_normal(50)) ** power for scale, power in zip(scales, powers)]
        covered.append(np.mean(scores[-1] <= conformal_factor(scores[:-1])))
    assert 0.89 < np.mean(covered) < 0.965


def test_the_factor_of_few_scans_covers_95_percent_of_them(rng):
    scores = [rng.random(1000) for _ in range(3)]
    assert abs(conformal_factor(scores) - 0.95) < 0.02


def scan_of(rng, calibration):
    """The evidence of a scan whose errors have the standard deviation of a calibration, and the chains 1."""
    terms = rng.uniform(1, 6), int(rng.integers(1, 4))
    return Evidence(calibration.factor(*terms) * abs(rng.standard_normal(800)), *terms)


def powers_of(calibration):
    return [getattr(calibration, name) for name in POWERS]


def test_the_powers_are_those_that_the_scans_need(rng):
    truth, before = Calibration(30.0, 0.6, 0.3), Calibration(1.0, 4.0, 0.5)
    found = fitted_powers([scan_of(rng, truth) for _ in range(100)], before)
    np.testing.assert_allclose(powers_of(found), powers_of(truth), atol=0.1)
    np.testing.assert_allclose(powers_of(fitted_powers([], before)), powers_of(before), atol=1e-6)


@pytest.mark.parametrize("word, expected", [
    ("cartesian4", 4), ("horizontal4", 4), ("gaussian4", 2), ("poisson4", 2), ("full", 1), ("uniform3acs1", 3)])
def test_acceleration_is_that_of_each_direction(word, expected):
    density = named(word, (96, 80), 0).astype("f4")
    assert abs(acceleration(density) / expected - 1) < 0.2
    assert np.isclose(acceleration(np.repeat(density[None], 5, 0)), acceleration(density), rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 36), (20, 18, 16)])
def test_what_no_sample_sees_is_the_sum_of_its_amplitudes(shape, rng):
    mask, coordinates = rng.random(shape) < 0.1, np.indices(shape)
    near = gaussian_filter(mask.astype(float), 1, mode="wrap")
    side = np.prod(shape) ** (1 / len(shape))
    squared = sum(((at - n // 2) * side / n) ** 2 for at, n in zip(coordinates, shape))
    amplitude = (1 + squared / 16) ** (-(len(shape) + 1) / 4)
    missing = np.where(mask, 0, (1 - 2 * near).clip(0))
    expected = (amplitude * missing).sum() / amplitude.sum()
    assert abs(unseen_part(np.fft.ifftshift(mask).astype("f4"), 4, 4.0) - expected) < 1e-3


def test_all_samples_see_all_and_more_coils_see_more():
    assert unseen_part(np.ones((32, 32), "f4"), 1, 4) == 0 and unseen_part(np.zeros((32, 32), "f4"), 8, 4) == 1
    density = np.fft.ifftshift(named("cartesian8", (96, 96), 0)).astype("f4")
    unseen = [unseen_part(density, coils, 4) for coils in (1, 2, 4, 8)]
    assert unseen == sorted(unseen, reverse=True)


def test_a_prior_is_calibrated_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.stack([np.abs(phantom((48, 44))), np.abs(phantom((48, 44)))[::-1]]).astype("f4"))
    assert calibrate(["--images", "images.npy", "-o", "own.npz"], TINY) == 0
    own, prior = load_prior("own.npz"), load_prior()
    assert own.calibration != prior.calibration
    assert replace(own.rules, calibration=prior.calibration) == prior.rules
    assert own.provenance["calibration"]["cases"] == 2 and own.provenance["calibration"]["data"][0]["images"] == 2
    assert "calibration: std_factor " in capsys.readouterr().err
    kspace, mask, _ = simulate((40, 36), coils=3)
    image, others = (recon(kspace, mask, prior=one, iterations=12).image for one in (own, prior))
    np.testing.assert_array_equal(image, others)


@pytest.mark.parametrize("words, message", [
    (["--images", "nowhere", "-o", "own.npz"], "nowhere"),
    (["--images", "images.npy", "-o", "own.txt"], "--out: expected a name that ends in .npz, got own.txt"),
    (["--images", "images.npy", "-o", "old.npz", "--prior", "old.npz"], "old.npz"),
])
def test_a_call_that_cannot_be_served_writes_nothing(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.abs(phantom((48, 44)))[None])
    load_prior().save("old.npz")
    before = (tmp_path / "old.npz").read_bytes()
    assert main(["calibrate", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ERROR: ") and said.count("\n") == 1 and message in said
    assert (tmp_path / "old.npz").read_bytes() == before and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("method", [QUICK, Diffusion(num_levels=5, come_closer=0.3)])
def test_sensitivities_have_a_standard_deviation(method):
    kspace, mask, _ = simulate((40, 36), coils=3)
    result = recon(kspace, mask, method=method, samples=4, iterations=12)
    assert result.sens_std.shape == result.sens.shape and result.sens_std.dtype == np.float32
    assert 0 < np.median(result.sens_std) < 0.5 and np.isfinite(result.sens_std).all()
    scaled = recon(kspace, mask, method=method, samples=4, iterations=12, normalize=False)
    weight = np.sqrt((abs(scaled.sens) ** 2).sum(0))
    np.testing.assert_allclose(scaled.sens_std, result.sens_std * weight, rtol=1e-3, atol=1e-6)
    known = recon(kspace, mask, method=method, samples=2, iterations=12, sens=result.sens)
    alone = recon(kspace[:1], mask, method=method, samples=2, iterations=12)
    assert known.sens_std is alone.sens_std is recon(kspace, mask, iterations=2).sens_std is None


def test_the_command_writes_the_standard_deviation_of_sensitivities(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    kspace, mask, _ = simulate((40, 36), coils=3)
    write({"ksp": np.moveaxis(kspace * mask, 0, -1)[:, :, None]})
    assert main(["-i3", "--samples", "2", "--sens-std", "deviation", "ksp", "mean"]) == 0
    assert read("deviation").shape[:4] == (40, 36, 1, 3) and read("deviation").real.max() > 0
    write({"one": kspace[0][:, :, None, None] * mask[:, :, None, None]})
    assert main(["-i3", "--samples", "2", "--sens-std", "none", "one", "other"]) == 1
    assert "--sens-std: goes with several coils" in capsys.readouterr().err
    assert main(["-i3", "--samples", "2", "--sens-std", "none", "--sens", "deviation", "ksp", "other"]) == 1
    assert "--sens-std: goes with several coils" in capsys.readouterr().err
    assert not list(tmp_path.glob("other*")) and not list(tmp_path.glob("none*"))
