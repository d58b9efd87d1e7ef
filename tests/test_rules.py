"""The rules of the reconstruction are documented fields of records; a test sets them there and patches nothing."""

import ast
import inspect
from dataclasses import fields, is_dataclass, replace
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import Diffusion, Gibbs, Map, recon
from bart_pogmdm.algorithms.held_out import HeldOutRules
from bart_pogmdm.algorithms.likelihood import Likelihood
from bart_pogmdm.algorithms.message_passing import MessagePassing
from bart_pogmdm.algorithms.resolution import CoarseSteps
from bart_pogmdm.algorithms.schedules import SensitivityPenalty
from bart_pogmdm.algorithms.units import OneCoilScale
from bart_pogmdm.files.ismrmrd_repeats import RepeatRules
from bart_pogmdm.physics.coil_compression import CoilRules
from bart_pogmdm.physics.espirit import EspiritRules
from bart_pogmdm.physics.kspace_centre import CentreRules
from bart_pogmdm.physics.kspace_rings import RingRules
from bart_pogmdm.physics.noise_level import NoiseRules
from bart_pogmdm.physics.readout_factors import ReadoutRules
from bart_pogmdm.physics.sampled_box import BoxRules
from bart_pogmdm.physics.sensitivity_start import StartRules
from bart_pogmdm.physics.sobolev_maps import SobolevRules
from bart_pogmdm.physics.spikes import SpikeRules
from bart_pogmdm.prior.calibration import Calibration
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.prior.rules import PriorRules
from bart_pogmdm.prior.smooth_phase import SmoothPhase
from bart_pogmdm.reconstruction.doubt_rules import DoubtRules
from bart_pogmdm.reconstruction.misfit_lines import LineRules
from bart_pogmdm.reconstruction.options import OptionKeywords, Options, options_of
from bart_pogmdm.reconstruction.priors import prior_of
from bart_pogmdm.reconstruction.rules import Rules
from bart_pogmdm.volume.plan import make_plan

RECORDS = (PriorRules, ImageScale, Calibration, OneCoilScale, SmoothPhase, Likelihood, RingRules, HeldOutRules,
           MessagePassing, CoarseSteps, Map, Gibbs, Diffusion, SensitivityPenalty, CentreRules, CoilRules, DoubtRules,
           EspiritRules, LineRules, NoiseRules, ReadoutRules, SobolevRules, SpikeRules, StartRules,
           BoxRules, RepeatRules, Options)
# The one name that tests may patch: the stand-in for CuPy compiles the CUDA kernels as plain C++.
PATCHED = {("strict_cupy.py", "bart_pogmdm.arrays.kernels.cuda._module")}


def records_in(value):
    """The types of a record and of all records in its fields."""
    if is_dataclass(value):
        yield type(value)
        for field in fields(value):
            yield from records_in(getattr(value, field.name))


def documented(record):
    """The names of the fields with a docstring directly below, in the source of a record."""
    body = ast.parse(dedent(inspect.getsource(record))).body[0].body
    for statement, below in pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(below, ast.Expr) \
                and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield statement.target.id


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_rule_says_what_it_is(record):
    assert record.__doc__ and not record.__doc__.startswith(f"{record.__name__}(")
    assert [field.name for field in fields(record)] == list(documented(record))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_rule_has_a_default_and_stays(record):
    made = record()
    for field in fields(record):
        with pytest.raises(AttributeError):
            setattr(made, field.name, getattr(made, field.name))


def test_no_record_is_forgotten():
    options = (Options(), Options(method=Gibbs()), Options(method=Diffusion()), PriorRules(), RepeatRules())
    assert {record for made in options for record in records_in(made)} == {*RECORDS, Rules}


def patches_of(path):
    """(name, whether it belongs to the package) of everything that a file of tests patches."""
    tree, ours = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bart_pogmdm"):
            ours |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            ours |= {alias.asname or alias.name.split(".")[0] for alias in node.names
                     if alias.name.startswith("bart_pogmdm")}
    for node in ast.walk(tree):
        function = getattr(node, "func", None)
        if isinstance(node, ast.Call) and node.args and getattr(function, "attr", getattr(function, "id", "")) in (
                "setattr", "delattr", "setitem", "delitem", "patch"):
            yield _patched(node.args[0], ours)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, (ast.Attribute, ast.Subscript)):
                    yield _patched(target.value, ours)


def _patched(target, ours):
    if isinstance(target, ast.Constant):
        return target.value, str(target.value).startswith("bart_pogmdm")
    return ast.unparse(target), any(isinstance(node, ast.Name) and node.id in ours for node in ast.walk(target))


def test_no_test_patches_the_package():
    files = sorted(Path(__file__).parent.glob("*.py"))
    found = {(path.name, name) for path in files for name, is_ours in patches_of(path) if is_ours}
    assert found <= PATCHED, sorted(found - PATCHED)


@pytest.mark.parametrize("source, name", [
    ("monkeypatch.setattr('bart_pogmdm.prior.rules.ALPHA', 1)", "bart_pogmdm.prior.rules.ALPHA"),
    ("from bart_pogmdm.prior import rules\nmonkeypatch.setattr(rules, 'ALPHA', 1)", "rules"),
    ("from bart_pogmdm import PoGMDM as Prior\npatch.setattr(Prior.score, 'x', 1)", "Prior.score"),
    ("import bart_pogmdm.cli\nmonkeypatch.setattr(bart_pogmdm.cli.sys, 'argv', [])", "bart_pogmdm.cli.sys"),
    ("from bart_pogmdm import recon\nmonkeypatch.setattr(type(recon), 'x', 1)", "type(recon)"),
    ("from bart_pogmdm.prior import rules\nrules.ALPHA = 1", "rules"),
])
def test_a_patch_is_found(tmp_path, source, name):
    (tmp_path / "test.py").write_text(f"import os\n{source}\nmonkeypatch.setattr(os, 'write', None)\n")
    assert {name for name, is_ours in patches_of(tmp_path / "test.py") if is_ours} == {name}


CHOSEN = {"method": Gibbs(chains=3), "samples": 3, "iterations": 7, "noise_std": 0.1, "maps": 2, "shared_sens": 1024,
          "temporal": 0.05, "sms": True, "voxel": (1.0, 1.0, 4.0), "normalize": False,
          "keep_samples": True, "seed": 5, "rules": Rules(one_coil=OneCoilScale(brighter=2.0))}


def test_every_option_is_a_keyword():
    names = [field.name for field in fields(Options)]
    assert list(OptionKeywords.__annotations__) == names == list(CHOSEN)
    assert options_of() == Options()
    for name, value in CHOSEN.items():
        options = options_of(**{name: value})
        assert getattr(options, name) == value != getattr(Options(), name)
        assert name in ("method", "samples") or options.method.name == Options().method.name
    assert options_of(iterations=7).method.iterations == 7


@pytest.mark.parametrize("function", [options_of, lambda **options: recon(np.ones((8, 8), complex), **options)],
                         ids=["options_of", "recon"])
def test_an_unknown_keyword_is_named(function):
    with pytest.raises(TypeError, match=r"^sample: no such option; neither an argument of the call nor one of method"):
        function(sample=3, seed=1)


@pytest.mark.parametrize("make, message", [
    (lambda: Map(sigma=-1), "sigma: expected a number > 0, got -1"),
    (lambda: Map(image_cg=0), "image_cg: expected an integer >= 1, got 0"),
    (lambda: Gibbs(to_mean=1.5), "to_mean: expected a number >= 0 and <= 1, got 1.5"),
    (lambda: Gibbs(side_by_side=-2), "side_by_side: expected an integer >= 1, got -2"),
    (lambda: StartRules(newton_steps=2.5), "newton_steps: expected an integer >= 1, got 2.5"),
    (lambda: ImageScale(start=0), "start: expected a number > 0, got 0"),
    (lambda: ImageScale(quantile=1.5), "quantile: expected a number > 0 and <= 1, got 1.5"),
    (lambda: NoiseRules(outer_part=1.5), "outer_part: expected a number > 0 and <= 1, got 1.5"),
    (lambda: OneCoilScale(brighter=-1), "brighter: expected a number > 0, got -1"),
    (lambda: Calibration(coil_power=-1), "coil_power: expected a number >= 0, got -1"),
    (lambda: PriorRules(exponent=float("nan")), "exponent: expected a number > 0, got nan"),
])
def test_bad_rules_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("record", [record for record in RECORDS if record is not Options],
                         ids=lambda record: record.__name__)
def test_no_rule_is_a_negative_number(record):
    for field in fields(record):
        if type(field.default) in (int, float):
            with pytest.raises(ValueError, match=f"^{field.name}: expected an? "):
                replace(record(), **{field.name: -1})


def test_rules_of_another_kind_are_refused():
    with pytest.raises(TypeError, match="rules: expected Rules, got int"):
        options_of(rules=3)


def test_a_method_says_what_its_prior_lacks():
    class Score:
        def score(self, image, sigma):
            return 0 * image

    class Quadratic(Score):
        def curvature(self, shape, sigma, xp=np):
            return xp.ones(shape, np.float32)

    assert prior_of(Score(), Diffusion()) and prior_of(Quadratic(), Map())
    for prior, method, missing in ((Score(), Map(), "curvature"), (Quadratic(), Gibbs(), "exponent, drawn_score")):
        with pytest.raises(TypeError, match=f"prior: method {method.name} needs {missing}, which"):
            prior_of(prior, method)
    scaled = Quadratic()
    scaled.image_scale = 2.0
    with pytest.raises(TypeError, match="prior: image_scale: expected an ImageScale, got float"):
        prior_of(scaled, Map())


def test_a_prior_without_a_name_reconstructs():
    class Quadratic:
        def score(self, image, sigma):
            return -image

        def curvature(self, shape, sigma, xp=np):
            return xp.ones(shape, np.float32)

    kspace, mask, _ = simulate((24, 20), coils=2)
    info = recon(kspace, mask, prior=Quadratic(), iterations=2).info
    assert info["prior"] == "Quadratic" and info["prior_hash"] is None
    with pytest.raises(TypeError, match="prior: a volume needs one with name and digest, which Quadratic has not"):
        make_plan("scan.npz", prior=Quadratic())
