"""Training: gradients, projections, steps, data, resuming, the commands `train` and `show`."""

import itertools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import PoGMDM, load_prior
from bart_pogmdm.commands.main import main
from bart_pogmdm.commands.train import train, write_prior
from bart_pogmdm.evaluate import simulate as phantoms
from bart_pogmdm.files.cfl import write
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.prior.rules import PriorRules

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from bart_pogmdm.train import images  # noqa: E402
from bart_pogmdm.train.adabelief import AdaBelief  # noqa: E402
from bart_pogmdm.train.constraints import project_parameters, project_to_simplex  # noqa: E402
from bart_pogmdm.train.initial_prior import initial_prior  # noqa: E402
from bart_pogmdm.train.loop import TrainingRun, loss_of, train_prior  # noqa: E402
from bart_pogmdm.train.patches import Batch, draw_batch  # noqa: E402
from bart_pogmdm.train.recipe import (  # noqa: E402
    DEFAULT_RECIPE,
    AdaBeliefRules,
    Config,
    Recipe,
    RuleSearch,
    StepSize,
    ValidationRules,
)
from bart_pogmdm.train.rule_search import learn_rules, simulated_cases  # noqa: E402
from bart_pogmdm.train.twin import LEARNED, Twin  # noqa: E402
from bart_pogmdm.train.validation import validate, validation_images  # noqa: E402

pytestmark = pytest.mark.slow

LEVELS = np.array([0.02, 0.1, 0.6])


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    clean = np.zeros((3, 66, 70))
    clean[:, 20:50, 30:60] = 1
    parts = clean + 0.05 * rng.standard_normal((2, 3, 66, 70))
    return parts[0] + 0.3j * parts[1]


@pytest.fixture
def folder(tmp_path):
    """Four series of three small images in one HDF5 file."""
    import h5py
    rng = np.random.default_rng(3)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        for name in ("a/one", "a/two", "three", "b/c/four"):
            blocks = np.kron(rng.random((3, 10, 9)), np.ones((8, 9)))
            file[name] = blocks.astype("f4")
            file[name].attrs.update(source=f"generator {name}", licence="CC0")
    return tmp_path


def scores(prior, batch, dtype, **options):
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
    return Twin(prior, dtype).score(torch.tensor(batch, dtype=complex_dtype), torch.tensor(LEVELS, dtype=dtype),
                                    **options).detach().numpy()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("which", ["start", "shipped"])
def test_twin_is_the_prior(prior, batch, dtype, which):
    prior = prior if which == "shipped" else initial_prior()
    exact = np.stack([prior.score(image, sigma, exact=True) for image, sigma in zip(batch, LEVELS)])
    norms = np.linalg.norm(exact, axis=(1, 2))
    dense = scores(prior, batch, dtype, dense=True)
    assert (np.linalg.norm(dense - exact, axis=(1, 2)) < (1e-5 if dtype == torch.float32 else 1e-12) * norms).all()
    assert (np.linalg.norm(scores(prior, batch, dtype) - exact, axis=(1, 2)) < 6e-3 * norms).all()  # from the table


def test_twin_gives_its_prior_back(prior):
    again = Twin(prior).prior("copy")
    for name in LEARNED:
        np.testing.assert_allclose(getattr(again, name), getattr(prior, name), atol=1e-7)


def energy(twin, batch, **options):
    sigmas = torch.tensor(LEVELS, dtype=twin.gains.dtype)
    noise = torch.tensor(0.1 * batch, dtype=torch.complex64 if twin.gains.dtype == torch.float32 else torch.complex128)
    return loss_of(twin, Batch(noise * 9, noise, sigmas), **options)


@pytest.mark.parametrize("name", LEARNED)
def test_gradient_is_that_of_finite_differences(batch, name):
    twin, rng, batch = Twin(initial_prior(), torch.float64), np.random.default_rng(1), batch[:, 10:46, 20:54]
    with torch.no_grad():  # away from the start, whose symmetry makes the maximum of a spectrum ambiguous
        twin.directional += 1e-3 * torch.tensor(rng.standard_normal((17, 17)))
        twin.gains += 0.1 * torch.tensor(rng.random(20))
    energy(twin, batch, dense=True).backward()
    parameter = getattr(twin, name)
    direction = torch.tensor(rng.standard_normal(parameter.shape)) * (parameter.detach() if name == "weights" else 1)
    slope, step = (parameter.grad * direction).sum().item(), 1e-5
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter += sign * step * direction
            values.append(energy(twin, batch, dense=True).item())
            parameter -= sign * step * direction
    assert np.isclose((values[0] - values[1]) / (2 * step), slope, rtol=1e-5)


def test_compiled_gradients_are_those_of_the_dense_mixture(batch):
    gradients = []
    for dtype, options in ((torch.float32, {}), (torch.float64, {}), (torch.float64, {"dense": True})):
        twin = Twin(initial_prior(), dtype)
        energy(twin, batch, **options).backward()
        gradients.append({name: getattr(twin, name).grad.double() for name in LEARNED})
    for name, dense in gradients[2].items():
        dense = dense + dense.flip(-1) if name == "weights" else dense  # tables are odd: only that part is theirs
        for tabulated in gradients[:2]:
            fast = tabulated[name] + tabulated[name].flip(-1) if name == "weights" else tabulated[name]
            assert torch.linalg.norm(fast - dense) < 3e-3 * torch.linalg.norm(dense)


def test_simplex_projection_is_the_nearest_point():
    rng = np.random.default_rng(0)
    points = rng.standard_normal((50, 4)) * np.array([0.1, 1, 3, 10, 100]).repeat(10)[:, None]
    found = project_to_simplex(torch.tensor(points)).numpy()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-9)
    for point, projection in zip(points, found):
        candidates = []
        for size in range(1, 5):
            for support in itertools.combinations(range(4), size):  # on each face the nearest point is an equal shift
                candidate = np.zeros(4)
                candidate[list(support)] = point[list(support)] + (1 - point[list(support)].sum()) / size
                if (candidate >= 0).all():
                    candidates.append(candidate)
        best = min(candidates, key=lambda candidate: np.linalg.norm(candidate - point))
        np.testing.assert_allclose(projection, best, atol=1e-9)


def test_constraints_hold_after_projection():
    twin, rng = Twin(initial_prior()), np.random.default_rng(0)
    signs = twin.directional.detach().sign().clone()
    with torch.no_grad():
        twin.lowpass += torch.tensor(rng.standard_normal(9), dtype=torch.float32)
        twin.directional *= torch.tensor(rng.random((17, 17)) * 5, dtype=torch.float32)
        twin.gains -= 0.5 * torch.arange(20)
        twin.weights += 0.01 * torch.tensor(rng.standard_normal((20, 125)), dtype=torch.float32)
    project_parameters(twin)
    assert_constraints(twin)
    kept = twin.directional != 0
    assert (twin.directional.sign()[kept] == signs[kept]).all()


def assert_constraints(twin):
    assert abs(twin.lowpass.sum() - 1) < 1e-5
    assert abs(twin.directional.abs().sum() - 1) < 1e-5
    assert (twin.gains >= 0).all() and (twin.weights >= 0).all()
    assert ((twin.weights.sum(1) - 1).abs() < 1e-5).all()
    assert torch.equal(twin.weights, twin.weights.flip(1))


def test_adabelief_without_groups_is_the_published_one():
    start = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    parameter = torch.nn.Parameter(start.clone())
    optimizer = AdaBelief([{"params": [parameter], "lr": 0.1}])
    rng, theta, mean, belief = np.random.default_rng(0), start.numpy().copy(), np.zeros(3), np.zeros(3)
    rules = AdaBeliefRules()
    first, second = rules.mean_decay, rules.variance_decay
    for t in range(1, 20):
        gradient = rng.standard_normal(3)
        parameter.grad = torch.tensor(gradient)
        optimizer.update()
        mean = first * mean + (1 - first) * gradient
        belief = second * belief + (1 - second) * (gradient - mean) ** 2
        theta -= 0.1 * (mean / (1 - first**t)) / (np.sqrt(belief / (1 - second**t)) + rules.epsilon)
        np.testing.assert_allclose(parameter.detach().numpy(), theta, rtol=1e-9)


def test_a_group_shares_its_second_moment():
    parameter = torch.nn.Parameter(torch.zeros(2, 3))
    optimizer = AdaBelief([{"params": [parameter], "lr": 1.0, "shared": 1}])
    parameter.grad = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]])
    optimizer.update()
    np.testing.assert_allclose(parameter.detach()[0] / parameter.detach()[0, 0], [1, 2, 3], rtol=1e-6)
    np.testing.assert_allclose(optimizer.state[parameter]["belief"].shape, (2, 1))


def test_a_batch_does_not_depend_on_the_number_of_processes(folder):
    series, _ = images.load_series([folder], 66)
    config = Config(steps=1, batch=8, patch=66, phase=0.5)
    whole = draw_batch(series, config, 5)
    parts = [draw_batch(series, config, 5, rank, 2) for rank in range(2)]
    for i, one in enumerate(whole):
        assert torch.equal(one[::2], parts[0][i]) and torch.equal(one[1::2], parts[1][i])
    assert not torch.equal(whole[0], draw_batch(series, config, 6)[0])
    assert (whole[2] >= config.sigma_min).all() and (whole[2] <= config.sigma_max).all()


def test_training_learns_and_resumes_to_the_same_result(folder):
    series, _ = images.load_series([folder], 66)
    recipe = Recipe(validation=ValidationRules(interval=10))
    config = Config(steps=30, batch=4, patch=66)

    def run(name, callback=None, resume=False):
        return train_prior(config, series, series, folder / f"{name}.ckpt", callback=callback, resume=resume,
                           recipe=recipe)

    prior, psnr = run("whole")
    assert psnr[0.1] > validate(initial_prior(), validation_images(series))[0.1] + 0.3

    class Killed(Exception):
        pass

    def kill(step, loss, psnr):
        if step == 24:
            raise Killed

    with pytest.raises(Killed):
        run("killed", kill)
    again, _ = run("killed", resume=True)
    for name in LEARNED:
        np.testing.assert_array_equal(getattr(again, name), getattr(prior, name))
    assert (folder / "killed.csv").read_text() == (folder / "whole.csv").read_text()
    rows = (folder / "whole.csv").read_text().splitlines()
    assert rows[0] == "step,loss,psnr_0.025,psnr_0.05,psnr_0.1,psnr_0.2" and len(rows) == 4
    prior.save(folder / "trained.npz")
    assert load_prior(folder / "trained.npz").digest == prior.digest
    with pytest.raises(ValueError, match=r"resume: .* another configuration \(seed 0 there, 1 here\)"):
        train_prior(Config(steps=30, batch=4, patch=66, seed=1), series, series, folder / "killed.ckpt", resume=True)
    (folder / "killed.ckpt").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"resume: .*killed.ckpt: not a readable ckpt file"):
        run("killed", resume=True)


def test_another_recipe_is_not_resumed(folder):
    """A checkpoint holds its recipe; one without a recipe, of an earlier version, is of the default recipe."""
    other = Recipe(sigma_doubled=0.5, validation=ValidationRules(levels=(0.1,), interval=2))
    config, path = Config(steps=3, batch=2, patch=66), folder / "run.ckpt"
    TrainingRun(config, recipe=other).save(path)
    TrainingRun(config, recipe=other).load(path)
    message = (r"resume: .* of another recipe \(validation.levels \(0.1,\) there, \(0.025, .*\) here,"
               r" validation.interval 2 there, 500 here, sigma_doubled 0.5 there, 0.3 here\)")
    with pytest.raises(ValueError, match=message):
        TrainingRun(config).load(path)
    state = torch.load(path, weights_only=True)
    del state["recipe"]
    torch.save(state, path)
    TrainingRun(config).load(path)
    with pytest.raises(ValueError, match="another recipe"):
        TrainingRun(config, recipe=other).load(path)


CHECKPOINT = Config(steps=2, batch=2, patch=66)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The checkpoint of a finished run of two steps."""
    path, rng = tmp_path_factory.mktemp("run") / "run.ckpt", np.random.default_rng(0)
    train_prior(CHECKPOINT, *2 * [[images.Series((rng.random((66, 66), np.float32),), "noise", "CC0")]], path)
    return path


@pytest.mark.parametrize("change, message", [
    (lambda state: state["average"].update(gains=torch.full((20,), float("nan"))), "average.gains holds NaN"),
    (lambda state: state["twin"].update(lowpass=torch.ones(3)), r"twin.lowpass: expected .* \(9,\), got .*3"),
    (lambda state: state["twin"].pop("weights"), "twin: expected lowpass, directional, gains, weights, means, got"),
    (lambda state: state["optimizer"]["state"].pop(2), "optimizer: expected 0, 1, 2, 3, got 0, 1, 3"),
    (lambda state: state["optimizer"]["state"][1].update(steps="many"), "optimizer.1.steps: expected an integer"),
    (lambda state: state["optimizer"].pop("param_groups"), "optimizer: expected the parameters and step sizes"),
    (lambda state: state.update(rows=[[1, None]]), "rows: expected a log of finite numbers up to step 2"),
    (lambda state: state.update(step=-1), "step: expected an integer >= 0"),
    (lambda state: state.pop("twin"), "expected a checkpoint with config, step, rows, twin"),
    (lambda state: state.update(config=3), "expected a checkpoint with config"),
])
def test_damaged_checkpoints_are_refused(checkpoint, tmp_path, change, message):
    path = tmp_path / "run.ckpt"
    TrainingRun(CHECKPOINT).load(checkpoint)
    state = torch.load(checkpoint, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(ValueError, match=rf"resume: .*run\.ckpt.*{message}"):
        TrainingRun(CHECKPOINT).load(path)


def test_training_that_diverges_stops_and_exports_nothing(folder, monkeypatch):
    monkeypatch.chdir(folder)
    endless = replace(DEFAULT_RECIPE, optimiser=replace(DEFAULT_RECIPE.optimiser, gains=StepSize(float("inf"))))
    for steps, message in (("6", "training diverged: the loss of step 2 is nan"),
                           ("1", "training diverged: step 1 has PSNR nan dB")):
        with pytest.raises(ValueError, match=message):
            train(["--images", "images.h5", "--out", "new.npz", *OPTIONS, "--steps", steps], endless)
        assert not list(folder.glob("new*"))


def test_a_prior_that_could_not_be_loaded_is_not_exported(tmp_path):
    prior, out = initial_prior(), tmp_path / "new.npz"
    out.write_text("precious")
    unusable = PoGMDM(prior.lowpass, prior.directional, 0 * prior.gains - 1, prior.weights, prior.means, prior.base_std)
    with pytest.raises(ValueError, match=r"new.npz: the prior is not usable, .*gains must not be negative"):
        write_prior(unusable, out)
    assert out.read_text() == "precious"


def test_constraints_hold_after_every_step(folder):
    series, _ = images.load_series([folder], 66)
    run = TrainingRun(Config(steps=3, batch=2, patch=66))
    for _ in range(3):
        run.advance(series)
        assert_constraints(run.twin)


OPTIONS = ["--steps", "6", "--batch", "4", "--patch", "66"]


# A search of seconds: three values of one number, one scan.
SEARCH = RuleSearch(names=("start",), step=2.0, least_gain=9.0, images=1, side=40, coils=2, masks=("gaussian4",),
                    samples=1)


def test_command(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    command = ["--images", "images.h5", "--out", "new.npz", *OPTIONS]
    assert train(command, search=SEARCH) == 0
    assert "rules: start 2.4: PSNR " in capsys.readouterr().err
    prior = load_prior("new.npz")
    assert prior.name == "new" and prior.provenance["config"]["steps"] == 6
    assert {"source": "generator a/one", "licence": "CC0", "images": 2} in prior.provenance["data"]
    assert set(prior.provenance) == {"config", "device", "torch", "revision", "validation_psnr", "rules", "calibration",
                                     "data"}
    assert prior.provenance["rules"]["side"] == 40
    assert list(prior.provenance["rules"]["psnr"]) == ["start 1.2", "start 2.4", "start 0.6"]
    assert prior.rules == replace(PriorRules(), calibration=prior.calibration)
    assert prior.calibration != PriorRules.calibration
    assert main(["train", *command]) == 1
    assert "give --resume" in capsys.readouterr().err
    (folder / "new.npz").unlink()
    assert train([*command, "--resume"], search=SEARCH) == 0 and load_prior("new.npz").digest == prior.digest
    assert main(["show", "new.npz"]) == 0
    out = capsys.readouterr().out
    assert f"std_factor {prior.calibration.std_factor:g}" in out and '"start 2.4": ' in out
    assert "1578 parameters" in out and '"licence": "CC0"' in out and "picture: new.png" in out
    assert (folder / "new.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_command_keeps_the_rules(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["train", "--images", "images.h5", "--out", "new.npz", *OPTIONS, "--keep-rules"]) == 0
    prior = load_prior("new.npz")
    assert prior.rules == PriorRules() and prior.provenance["rules"] == "those of the shipped prior, by --keep-rules"


def test_command_notes_another_recipe(folder, monkeypatch):
    monkeypatch.chdir(folder)
    recipe = Recipe(validation=ValidationRules(interval=3, held_out=4))
    assert train(["--images", "images.h5", "--out", "new.npz", *OPTIONS, "--keep-rules"], recipe) == 0
    provenance = load_prior("new.npz").provenance
    assert provenance["recipe"]["validation"]["interval"] == 3
    assert sum(part["images"] for part in provenance["data"]) == 9  # A quarter of twelve images is held out.
    assert len((folder / "new.csv").read_text().splitlines()) == 3


def test_two_processes_train_as_one(folder, monkeypatch):
    """torchrun with gloo: the same prior up to the order of a sum."""
    monkeypatch.chdir(folder)
    command = ["--images", "images.h5", *OPTIONS, "--keep-rules"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert main(["train", *command, "--out", "one.npz"]) == 0
    subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m",
                    "bart_pogmdm", "train", *command, "--out", "two.npz"], cwd=folder, check=True, env=env)
    one, two = load_prior(folder / "one.npz"), load_prior(folder / "two.npz")
    for name in LEARNED:
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-4)


def test_a_prior_of_images_twice_as_large_gets_twice_the_scale(prior):
    """p(x / 2), where the noise level does not smooth the experts, from the same numbers; others stay."""
    y, x = phantoms.coordinates((48, 44))
    image = np.abs(phantoms.phantom((48, 44))) * (1 + 0.1 * np.sin(25 * x + 9 * y**2))
    image /= ImageScale().of(image)
    search = RuleSearch(names=("start",), step=2.0, coils=4, masks=("gaussian4",), noise_stds=(0.02,), samples=1)
    rules, said = replace(prior.rules, noise_gain=1e-3), []
    once, twice = (learn_rules(replace(prior, gains=prior.gains / factor, rules=rules), [image], search, said.append)
                   for factor in (1, 2))
    assert twice.image_scale.start == 2 * once.image_scale.start
    for found in (once, twice):
        changed = replace(found.rules, scale=rules.scale, calibration=rules.calibration)
        assert changed == rules and 0.3 < found.calibration.std_factor < 4
        psnr = found.provenance["rules"]["psnr"]
        assert psnr[f"start {found.image_scale.start:g}"] == max(psnr.values())
    assert len(said) == 11


def test_scans_for_the_rules_are_of_some_images_and_their_bright_part(rng):
    """Six images give two; a dark rim is cut away; every mask; a small image stays whole."""
    image = np.zeros((90, 64))
    image[50:80, 3:40] = 1 + rng.random((30, 37))
    search = RuleSearch(side=40, coils=2)
    cases = simulated_cases([*3 * [image], *3 * [image[50:55]]], search)
    assert [case.reference.shape for case in cases] == 3 * [(40, 40)] + 3 * [(5, 40)]
    assert np.isclose(cases[0].reference.sum(), image.sum(), rtol=0.02)
    assert [case.kspace.shape[0] for case in cases] == 6 * [2]
    assert all((case.kspace[:, ~case.mask] == 0).all() and case.mask.any() for case in cases)


KILLED = """
from pathlib import Path
from bart_pogmdm.train import images
from bart_pogmdm.train.loop import train_prior
from bart_pogmdm.train.recipe import Config, Recipe, ValidationRules
series, _ = images.load_series(["images.h5"], 66)
prior, _ = train_prior(Config(steps=24, batch=2, patch=66), series, series, Path(out).with_suffix(".ckpt"),
                       resume=resume, recipe=Recipe(validation=ValidationRules(interval=2)))
prior.save(out)
"""


def test_killed_for_real_it_resumes(folder, monkeypatch):
    """kill -9 leaves a whole checkpoint and no output, and training resumes to the same prior."""
    monkeypatch.chdir(folder)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", f"out, resume = 'killed.npz', False\n{KILLED}"], env=environment)
    while not (folder / "killed.ckpt").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "killed.npz").exists()
    exec(KILLED, {"out": "killed.npz", "resume": True})
    exec(KILLED, {"out": "whole.npz", "resume": False})
    assert load_prior(folder / "killed.npz").digest == load_prior(folder / "whole.npz").digest


def test_files_of_many_kinds(tmp_path, rng):
    import h5py
    array = rng.random((2, 70, 80)) + 0.1
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "b.npz", x=array, label=np.array("text"))
    write({tmp_path / "c": np.moveaxis(array, 0, -1) * np.exp(1j)})
    (tmp_path / "knees").mkdir()
    for name, kind in (("d", "CORPD_FBK"), ("e", "CORPDFS_FBK")):
        with h5py.File(tmp_path / "knees" / f"{name}.h5", "w") as file:
            file["reconstruction_rss"] = rng.random((30, 70, 80)).astype("f4")
            file["kspace"] = np.zeros((30, 1, 70, 80), "c8")
            file.attrs["acquisition"] = kind
    series, skipped = images.load_series([tmp_path], 66)
    assert not skipped and [len(one.images) for one in series] == [2, 2, 2, 11, 11]
    for one in series[:3]:
        np.testing.assert_allclose(one.images[0], images.SCALE / ImageScale().of(array[0]) * array[0], rtol=1e-5)
    shutil.copy(tmp_path / "knees" / "d.h5", tmp_path / "knees" / "f.HDF5")
    shutil.copy(tmp_path / "a.npy", tmp_path / "knees" / "g.NPY")
    shutil.copy(tmp_path / "b.npz", tmp_path / "knees" / "h.h5")
    series, skipped = images.load_series([tmp_path / "knees"], 66)
    assert not skipped and [len(one.images) for one in series] == [11, 11, 11, 2, 2]
    for name in ("f.HDF5", "g.NPY", "h.h5"):
        os.unlink(tmp_path / "knees" / name)
    fat = images.load_series([tmp_path / "knees"], 66, "CORPDFS")
    assert [one.source for one in fat[0]] == ["fastMRI e.h5"] and "acquisition CORPD_FBK" in str(fat[1])


def test_bad_images_are_named_and_left_out(tmp_path, rng):
    good = rng.random((70, 70))
    bad = good.copy()
    bad[3, 4] = np.nan
    np.save(tmp_path / "mixed.npy", np.stack([good, bad, np.ones_like(good)]))
    np.save(tmp_path / "small.npy", good[:40])
    (tmp_path / "torn.h5").write_bytes(b"\x89HDF nothing")
    series, skipped = images.load_series([tmp_path], 66)
    assert len(series) == 1 and len(series[0].images) == 1 and len(skipped) == 4
    reasons = " ".join(skipped.values())
    assert "NaN" in reasons and "constant" in reasons and "40 x 70 is smaller than the patch of 66" in reasons
    integers = (1000 * good).astype(np.int16)
    np.save(tmp_path / "scale.npy", np.stack([good * 1e300, good * 1e-300, integers]))
    series, skipped = images.load_series([tmp_path / "scale.npy"], 66)
    assert not skipped and all(np.isclose(ImageScale().of(image), images.SCALE) for image in series[0].images)
    np.testing.assert_allclose(series[0].images[0], images.SCALE / ImageScale().of(good) * good, rtol=1e-6)
    np.testing.assert_allclose(series[0].images[1], series[0].images[0])
    padded, spike, signed = integers.copy(), good.copy(), good - 0.01
    padded[:3], spike[3, 4] = -32768, 1e300
    for array, reason in ((padded, "values down to -32768"), (spike, "dark except for"), (good * np.inf, "infinite")):
        np.save(tmp_path / "bad.npy", array)
        with pytest.raises(ValueError, match=f"no usable image in .*{reason}"):
            images.load_series([tmp_path / "bad.npy"], 66)
    np.save(tmp_path / "bad.npy", signed)
    assert images.load_series([tmp_path / "bad.npy"], 66)[0][0].images[0].min() == 0
    np.save(tmp_path / "bad.npy", np.stack([good * 1e300 * (1 + 1j)]))
    assert np.isclose(ImageScale().of(images.load_series([tmp_path / "bad.npy"], 66)[0][0].images[0]), images.SCALE)
    with pytest.raises(ValueError, match=r"images: no usable image in .*smaller than the patch"):
        images.load_series([tmp_path / "small.npy"], 66)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no file of a known kind"):
        images.load_series([tmp_path / "empty"], 66)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        images.load_series([tmp_path / "nowhere"], 66)


@pytest.mark.parametrize("change, message", [
    (["--batch", "3"], "--batch: expected an even number, got 3"),
    (["--patch", "64"], "--patch: expected at least 65, got 64"),
    (["--steps", "0"], "--steps: expected at least 1, got 0"),
    (["--phase", "2"], "--phase: expected a number from 0 to 1"),
    (["--out", "new.txt"], "--out: expected a name that ends in .npz"),
    (["--out", "nowhere/new.npz"], "output nowhere/new.npz: the folder nowhere does not exist"),
    (["--device", "tpu"], "--device: expected cpu or cuda, got tpu"),
    (["--resume"], "--resume: new.ckpt does not exist"),
    (["--patch", "90"], "images: no usable image"),
    (["--speed"], "unrecognized arguments: --speed: did you mean --seed? (`bart-pogmdm train -h`"),
])
def test_command_names_what_is_wrong(folder, monkeypatch, capsys, change, message):
    monkeypatch.chdir(folder)
    before = sorted(os.listdir())
    assert main(["train", "--images", "images.h5", "--out", "new.npz", *OPTIONS, *change]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ERROR: ") and message in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_full_disk_leaves_the_old_checkpoint(folder, monkeypatch):
    run = TrainingRun(Config(steps=3, batch=2, patch=66))
    run.save(folder / "run.ckpt")
    before = (folder / "run.ckpt").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="cannot write"):
        run.save(folder / "run.ckpt")
    assert (folder / "run.ckpt").read_bytes() == before and not list(folder.glob(".run*"))


def test_show_refuses_what_it_cannot_do(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["show", "none.npz"]) == 1 and "no such file" in capsys.readouterr().err
    assert main(["show", "--out", "nowhere/x.png"]) == 1 and "does not exist" in capsys.readouterr().err
    assert main(["show"]) == 0 and (tmp_path / f"{load_prior().name}.png").exists()
    assert json.loads(capsys.readouterr().out.split("\n{", 1)[1].rsplit("picture:", 1)[0].join(["{", ""]))


def test_trained_prior_reconstructs(prior):
    from bart_pogmdm import recon
    kspace, mask, _ = simulate((40, 36), coils=4)
    trained = Twin(initial_prior()).prior("start")
    result = recon(kspace, mask, prior=trained, iterations=3)
    assert np.isfinite(result.image).all() and result.info["prior"] == "start"


def test_a_disk_that_is_full_in_the_middle_is_an_error_of_the_file(tmp_path):
    """Torch hides the error of a file that it writes itself."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match=r"run.ckpt: cannot write \(File too large\)"):
            TrainingRun(Config(steps=3, batch=2, patch=66)).save(tmp_path / "run.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())
