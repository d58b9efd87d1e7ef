"""The prior's file: what was saved is loaded, and damaged or foreign files are refused."""

from dataclasses import replace

import numpy as np
import pytest

from bart_pogmdm import PoGMDM, load_prior
from bart_pogmdm.commands.show import describe
from bart_pogmdm.prior.calibration import Calibration
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.prior.rules import OF_CALIBRATION, PriorRules


def test_save_and_load(prior, tmp_path, rng):
    prior.save(tmp_path / "copy.npz")
    copy = load_prior(tmp_path / "copy.npz")
    assert copy.digest == prior.digest and copy.name == prior.name
    x = 0.2 * rng.standard_normal((33, 40))
    np.testing.assert_array_equal(copy.score(x, 0.1), prior.score(x, 0.1))
    changed = PoGMDM(prior.lowpass, prior.directional, 2 * prior.gains, prior.weights, prior.means, prior.base_std)
    assert changed.digest != prior.digest


@pytest.mark.parametrize("change, message", [
    ({"schema": 99}, "expected schema 2, 3, 4, 5 or 6, got 99"),
    ({"start": None}, "missing start"),
    ({"start": np.float64(0)}, "start must lie between 1e-06 and 1e"),
    ({"std_factor": np.float64(-2)}, "std_factor must lie between 1e-06 and 1e"),
    ({"coil_power": np.float64(-2)}, "coil_power must lie between 0 and 1e"),
    ({"exponent": np.float64("nan")}, "exponent holds NaN"),
    ({"fine_gain": np.ones(2)}, r"fine_gain: expected real numbers of shape \(\), got float64 \(2,\)"),
    ({"noise_gain": np.array("0.3")}, r"noise_gain: expected real numbers of shape \(\), got <U3"),
    ({"quantile": np.float64(1.5)}, "quantile must lie between 1e-06 and 1"),
    ({"provenance": "[1]"}, "provenance: expected a JSON object"),
    ({"gains": None}, "missing gains"),
    ({"gains": np.ones(19, "f4")}, "gains: expected real numbers of shape"),
    ({"gains": -np.ones(20, "f4")}, "gains must not be negative"),
    ({"gains": np.zeros(20, "f4")}, "gains must not be negative, nor all zero"),
    ({"name": np.arange(3)}, "name: expected a string"),
    ({"lowpass": np.full(9, np.nan, "f4")}, "lowpass holds NaN"),
    ({"lowpass": np.ones(9, "f4")}, "lowpass must sum to 1"),
    ({"directional": np.full((17, 17), 3e38, "f4")}, "directional must have absolute sum 1"),
    ({"weights": np.ones((20, 125), "f4")}, "weights must lie on the simplex"),
    ({"weights": np.eye(20, 125, dtype="f4")}, "weights must be symmetric"),
    ({"means": np.zeros(124, "f4")}, "agree in their number of components"),
    ({"means": np.linspace(0, 1, 125, dtype="f4")}, "means must be equispaced"),
    ({"base_std": np.float32(0)}, "base_std must be positive"),
    ({"base_std": np.float32(-1)}, "base_std must be positive"),
    ({"base_std": np.float32(1e-30)}, "nor base_std and means fall below"),
    ({"gains": np.full(20, 1e30, "f4")}, "gains, means and base_std must not exceed 1e"),
    ({"provenance": 5000 * "["}, "provenance: expected a JSON object"),
    ({"weights": np.full((20, 301), 1 / 301, "f4"), "means": np.linspace(-1, 1, 301, dtype="f4")}, "2 to 256, got 301"),
])
def test_foreign_priors_are_refused(prior, tmp_path, change, message):
    prior.save(tmp_path / "prior.npz")
    with np.load(tmp_path / "prior.npz") as file:
        content = {**file, **change}
    np.savez(tmp_path / "bad.npz", **{key: value for key, value in content.items() if value is not None})
    with pytest.raises(ValueError, match=message):
        load_prior(tmp_path / "bad.npz")


def test_damaged_priors_are_refused(prior, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_prior(tmp_path / "none.npz")
    prior.save(tmp_path / "prior.npz")
    whole = (tmp_path / "prior.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.ones(3))
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "pickle.npz", pickled)
    (tmp_path / "cut.npz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "flipped.npz").write_bytes(whole[:3000] + bytes(255 - b for b in whole[3000:3100]) + whole[3100:])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("cut.npz", "flipped.npz", "text.npz", "empty.npz", "array.npy", "pickle.npz"):
        with pytest.raises(ValueError, match=r"not a readable npz|not a PoGMDM|array.npy: expected a prior"):
            load_prior(tmp_path / name)


def test_a_prior_reads_no_more_than_its_own_arrays(prior, tmp_path):
    """Megabytes that unpack to gigabytes are neither read, as an unknown array, nor unpacked, as a known one."""
    prior.save(tmp_path / "prior.npz")
    with np.load(tmp_path / "prior.npz") as file:
        content = dict(file)
    large = np.zeros(1 << 26, np.uint8)
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez_compressed(tmp_path / "more.npz", **content, large=large, pickled=pickled)
    assert load_prior(tmp_path / "more.npz").digest == prior.digest
    np.savez_compressed(tmp_path / "large.npz", **content | {"means": large})
    with pytest.raises(ValueError, match=r"prior .*large.npz: not a readable npz file \(it states 671\d* bytes"):
        load_prior(tmp_path / "large.npz")


OTHER = PriorRules(0.3, 1.2, 0.25, 0.02, ImageScale(0.99, 6.0, 1 / 3), Calibration(1.7, 0.2, 3.0))


def test_a_prior_keeps_its_rules(prior, tmp_path):
    """They belong to what a result depends on, and so to the digest."""
    other = replace(prior, rules=OTHER)
    other.save(tmp_path / "prior.npz")
    copy = load_prior(tmp_path / "prior.npz")
    assert copy.rules == OTHER and copy.digest == other.digest
    digests = {replace(prior, rules=PriorRules.of({**prior.rules.numbers, name: value / 2})).digest
               for name, value in prior.rules.numbers.items()}
    assert len(digests | {prior.digest}) == 1 + len(prior.rules.numbers)


def test_a_file_without_rules_gets_those_of_the_shipped_prior_and_says_so(prior, tmp_path):
    """A file of schema 2; what it has under the names of the rules is not read."""
    prior.save(tmp_path / "prior.npz")
    with np.load(tmp_path / "prior.npz") as file:
        content = {key: value for key, value in file.items() if key not in prior.rules.numbers}
    np.savez(tmp_path / "old.npz", **content | {"schema": 2, "start": np.ones(3)})
    old = load_prior(tmp_path / "old.npz")
    assert old.rules == PriorRules() == load_prior().rules and old.digest == prior.digest
    assert old.provenance["rules"] == "those of the shipped prior, because a file of schema 2 does not hold them"
    assert old.provenance["rules"] in describe(old) and "start 1.2" in describe(old)
    assert load_prior().provenance["rules"].startswith("chosen by reconstructions")


@pytest.mark.parametrize("schema", [3, 4, 5])
def test_a_file_of_another_calibration_gets_the_calibration_of_the_shipped_prior_and_says_so(prior, tmp_path, schema):
    """Its other rules are its own."""
    replace(prior, rules=OTHER).save(tmp_path / "prior.npz")
    with np.load(tmp_path / "prior.npz") as file:
        content = {key: value for key, value in file.items() if key not in OF_CALIBRATION}
    np.savez(tmp_path / "old.npz", **content | {"schema": schema, "calibration": 2.05})
    old = load_prior(tmp_path / "old.npz")
    assert old.rules == replace(OTHER, calibration=Calibration()) and load_prior().calibration == Calibration()
    assert old.provenance["calibration"] == ("those of the shipped prior, because a file of schema"
                                             f" {schema} does not hold them")
