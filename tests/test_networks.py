"""The learned baselines: loading and use of small networks that are barely trained, so their quality is not tested."""

import csv
import sys

import conftest
import numpy as np
import pytest
from test_examples import EXAMPLES, run

from bart_pogmdm import Diffusion, recon
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import masks, metrics, networks, simulate
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.toolbox.find_bart import version

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")
fastmri = pytest.importorskip("fastmri.models", reason="fastmri is not installed")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder with unet.pt, varnet.pt and denoiser.pt, by the example, from phantoms."""
    folder = tmp_path_factory.mktemp("networks")
    shapes = [np.roll(conftest.simulate((120, 110), coils=4, seed=seed)[2], 3 * seed, 1) for seed in range(4)]
    np.save(folder / "images.npy", np.stack(shapes))
    run(sys.executable, EXAMPLES / "networks.py", folder / "images.npy", folder, 45, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def case():
    _, _, reference = conftest.simulate((96, 80), coils=4, seed=9)
    reference = reference / reference.max()
    return simulate.kspace(reference, 4, 0.005, 1), masks.cartesian(reference.shape, 3, 5), reference


def test_networks_beat_zero_filling(weights, case):
    kspace, mask, reference = case
    zero_filled = metrics.psnr(rss(ifft2c(kspace * mask)), reference)
    for reconstruct, name in ((networks.unet, "unet"), (networks.varnet, "varnet")):
        image = reconstruct(kspace, mask, weights / f"{name}.pt")
        assert image.shape == mask.shape and metrics.psnr(image, reference) > zero_filled, name
        turned = reconstruct(kspace.swapaxes(1, 2), mask.T, weights / f"{name}.pt")
        assert name == "unet" or np.allclose(turned, image.T, atol=1e-5)
        scaled = reconstruct(100 * kspace, mask, weights / f"{name}.pt")
        np.testing.assert_allclose(scaled, 100 * image, rtol=1e-2, atol=1e-2 * scaled.max())


def test_denoiser_in_algorithm_1(weights, case):
    kspace, mask, reference = case
    prior = networks.TorchDenoiser(weights / "denoiser.pt")
    result = recon(kspace * mask, mask, method=Diffusion(num_levels=10, come_closer=0.1), samples=2, prior=prior)
    assert result.info["prior"] == "denoiser" and result.std.max() > 0
    assert metrics.psnr(result.image, reference) > 10
    noisy = (reference + 0.1 * np.random.default_rng(0).standard_normal(reference.shape)).astype(np.float32)
    prior = networks.TorchDenoiser(weights / "denoiser.pt", brightness=ImageScale().start)
    denoised = noisy + 0.1**2 * prior.score(noisy, 0.1)
    assert denoised.dtype == noisy.dtype and np.linalg.norm(denoised - reference) < np.linalg.norm(noisy - reference)
    turned = prior.score(1j * noisy.astype(np.complex64), 0.1)
    np.testing.assert_allclose(turned.imag, prior.score(noisy, 0.1), rtol=1e-3, atol=1e-3)


def test_sizes_and_prefixes_are_found(tmp_path):
    """A Lightning checkpoint, whose parameters have a prefix, of another size."""
    network = fastmri.Unet(1, 1, 4, 2)
    state = {f"unet.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state | {"loss.w": torch.ones(1)}, "epoch": 3}, tmp_path / "unet.ckpt")
    loaded = networks.load_unet(tmp_path / "unet.ckpt")
    image = torch.ones(1, 1, 16, 16)
    torch.testing.assert_close(loaded(image), network.eval()(image))


def test_compare_with_weights(weights, case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("scan.npz", kspace=case[0], reference=case[2])
    files = [f"fastmri-unet={weights / 'unet.pt'}", f"fastmri-varnet={weights / 'varnet.pt'}"]
    words = ["compare", "scan.npz", "--masks", "cartesian3", "--methods", "zero-filled", "fastmri-unet",
             "fastmri-varnet", "--weights", *files]
    assert main([*words, "--out", "out"]) == 0
    with open("out/results.csv") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert all(float(row["psnr"]) > 10 for row in rows.values())
    assert rows["fastmri-unet"]["parameter"].endswith("unet.pt")


def test_central_columns():
    line = np.zeros(20, bool)
    line[[0, 3, 9, 10, 11, 12, 19]] = True
    assert networks.central_columns(np.tile(line, (8, 1))) == 2  # 9 10 | 11 12: one to the left of 10
    assert networks.central_columns(np.tile(line, (8, 1)).T) == 1  # no column is whole
    assert networks.central_columns(masks.named("radial24", (96, 90), 0)) < 10
    line[8] = True
    assert networks.central_columns(np.tile(line, (8, 1))) == 4
    assert networks.central_columns(np.ones((8, 20), bool)) == 20


def test_bad_weights_are_named(weights, tmp_path, monkeypatch, capsys, case):
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, message in (("text.pt", "not a checkpoint of torch"), ("list.pt", "expected a state dict, got list")):
        with pytest.raises(ValueError, match=message):
            networks.load_unet(tmp_path / name)
    with pytest.raises(ValueError, match="not those of a VarNet"):
        networks.load_varnet(weights / "unet.pt")
    with pytest.raises(ValueError, match="not a TorchScript module"):
        networks.TorchDenoiser(tmp_path / "text.pt")
    monkeypatch.chdir(tmp_path)
    np.savez("scan.npz", kspace=case[0], reference=case[2])
    for words, message in ((["--methods", "fastmri-unet"], "needs its weights, as --weights fastmri-unet=FILE"),
                           (["--weights", "pogmdm=x"], "--weights: expected METHOD=FILE"),
                           (["--weights", "fastmri-unet=x"], "no such file")):
        assert main(["compare", "scan.npz", "--out", "out", *words]) == 1
        assert message in capsys.readouterr().err


def test_bart_sample_is_noted_where_bart_has_none(bart, case, tmp_path, monkeypatch, weights):
    if version() >= "v1":
        pytest.skip("this BART has `bart sample`")
    monkeypatch.chdir(tmp_path)
    np.savez("scan.npz", kspace=case[0], reference=case[2])
    assert main(["compare", "scan.npz", "--masks", "cartesian2acs30", "--methods", "zero-filled", "bart-sample",
                     "--weights", f"bart-sample={weights / 'denoiser.pt'}", "--out", "out"]) == 0
    with open("out/table.md") as file:
        assert "bart-sample did not run: Unknown bart command" in file.read()
