"""`bart-pogmdm export`: the prior as a denoiser in TorchScript, and its use by `bart sample` of BART 1.0."""

import csv
import os
import sys

import conftest
import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm import BartError, PoGMDM, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.files.cfl import write

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")]


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """exported(y, x, *options) -> the denoiser that `export` wrote, as BART loads it."""
    monkeypatch.chdir(tmp_path)

    def load(y, x, *options):
        assert main(["export", "--size", f"{y}:{x}", "prior.pt", *options]) == 0
        return torch.jit.load("prior.pt")
    return load


def denoised(denoiser, images, sigmas):
    """What BART gets for images (batch, READ, PHS1): it hands over tensors with the axes reversed."""
    tensor = torch.tensor(images.swapaxes(1, 2)).contiguous().requires_grad_(True)
    out = denoiser(tensor, torch.tensor(sigmas, dtype=torch.complex64).requires_grad_(True))
    assert out.dtype == torch.complex64 and out.is_contiguous()
    return out.detach().numpy().swapaxes(1, 2)


@pytest.mark.parametrize("size", [(33, 40), (70, 49), (64, 64)])
def test_the_denoiser_is_that_of_the_prior(exported, prior, rng, size):
    """BART's noise level counts real and imaginary part together."""
    denoiser, clean = exported(*size), simulate.phantom(size)
    clean = np.stack([clean, np.abs(clean), 1j * clean, 2 * clean])
    for sigmas in ([0.01] * 4, [0.01, 0.1, 0.01, 1], [5, 0.5, 0.05, 0]):
        noisy = clean + np.array(sigmas)[:, None, None] / 2**0.5 * random_complex(rng, clean.shape)
        noisy[1] = noisy[1].real
        noisy = noisy.astype(np.complex64)
        expected = np.stack([prior.denoise(*pair) for pair in zip(noisy, np.array(sigmas) / 2**0.5)])
        found = denoised(denoiser, noisy, sigmas)
        assert (np.linalg.norm(found - expected, axis=(1, 2)) < 1e-5 * np.linalg.norm(expected, axis=(1, 2))).all()


def test_another_prior_is_exported(exported, prior, rng):
    other = PoGMDM(prior.lowpass, prior.directional, 1.2 * prior.gains, prior.weights, prior.means, prior.base_std)
    other.save("other.npz")
    images = 0.3 * random_complex(rng, (1, 40, 36), np.complex64)
    found = denoised(exported(40, 36, "--prior", "other.npz"), images, [0.2])
    np.testing.assert_allclose(found[0], other.denoise(images[0], 0.2 / 2**0.5), atol=1e-5)


def test_the_denoiser_has_a_derivative(exported, rng):
    """`bart sample --posterior dps` needs it."""
    def random():
        return torch.tensor(random_complex(rng, (1, 40, 36), np.complex64))

    denoiser, level = exported(36, 40), torch.full((1,), 0.1, dtype=torch.complex64)
    image = (torch.tensor(simulate.phantom((40, 36))) + 0.1 * random()).to(torch.complex64).requires_grad_()
    direction, other = random(), random()
    denoiser(image, level).backward(other, True, False, [image])
    up, down = (denoiser(image.detach() + step * direction, level) for step in (0.003, -0.003))
    slope = torch.vdot(other.ravel(), (up - down).ravel()).real / 0.006
    assert torch.isclose(torch.vdot(image.grad.ravel(), direction.ravel()).real, slope, rtol=0.02)


def test_what_is_no_such_image_is_refused(exported):
    denoiser, level = exported(24, 20), torch.full((1,), 0.1, dtype=torch.complex64)
    for image in (torch.ones(1, 24, 20) + 0j, torch.ones(20, 24) + 0j, torch.ones(1, 20, 24)):
        with pytest.raises(torch.jit.Error, match=r"complex images \(batch, 20, 24\), got .*--size sets the size"):
            denoiser(image, level)
    assert torch.isnan(denoiser(torch.full((1, 20, 24), torch.nan) + 0j, level)).all()


@pytest.mark.parametrize("words, message", [
    (["prior.pt"], "required: --size"),
    (["--size", "64:64"], "required: prior.pt"),
    (["--size", "64", "prior.pt"], "--size: expected y:x, two numbers from 2 on, as 256:192, got '64'"),
    (["--size", "64:1", "prior.pt"], "--size: expected y:x"),
    (["--size", "64:64:64", "prior.pt"], "--size: expected y:x"),
    (["--size", "64:64", "prior.npz"], "output prior.npz: expected a name that ends in .pt"),
    (["--size", "64:64", "nowhere/prior.pt"], "output nowhere/prior.pt: the folder nowhere does not exist"),
    (["--size", "64:64", "--prior", "nowhere.npz", "prior.pt"], "nowhere.npz"),
    (["--size", "64:64", "--prior", "old.pt", "old.pt"], "output old.pt would overwrite the input old.pt"),
    (["--size", "64:64", "--prior", "old.pt", "prior.pt"], "prior old.pt: expected a prior (.npz), got another"),
])
def test_export_names_what_is_wrong(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.pt").write_text("precious")
    assert main(["export", *words]) == 1
    err = capsys.readouterr().err
    assert err.startswith("ERROR: ") and message in err and err.count("\n") == 1
    assert os.listdir() == ["old.pt"] and (tmp_path / "old.pt").read_text() == "precious"


def test_export_without_torch_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("bart_pogmdm.train.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["export", "--size", "64:64", "prior.pt"]) == 1
    assert capsys.readouterr().err == "ERROR: export needs torch: pip install 'bart_pogmdm[train]'\n"
    assert not os.listdir()


@pytest.fixture
def sample(bart, exported):
    """bart sample with the exported prior, or skip: it needs a BART from 1.0 on that was built with PyTorch."""
    exported(24, 20)
    try:
        bart(1, "sample --dims 24:20 -N1 -K1 --external-graph prior.pt")
    except BartError as error:
        pytest.skip(f"this BART has no `bart sample` with PyTorch: {error.stderr.strip()}")
    return bart


def test_bart_samples_the_prior_without_data(sample, exported, prior):
    """The last step is a denoised image, in BART's order of dimensions."""
    exported(24, 20)
    drawn, clean = sample(2, "sample --dims 24:20 -N4 -K1 -S2 --sigma max=1,min=0.1 --external-graph prior.pt")
    drawn, clean = (np.moveaxis(array.reshape(24, 20, 2), -1, 0) for array in (drawn, clean))
    np.testing.assert_allclose(clean, prior.denoise(drawn, 0.1 / 2**0.5), atol=1e-5)


def test_bart_samples_the_posterior(sample, exported):
    """With known sensitivities, data whitened to E |n|^2 = 1 and images in the units of the prior, as docs/train.md."""
    exported(48, 40)
    image, sens = simulate.phantom((48, 40)), simulate.sensitivities((48, 40), 4)
    mask, noise_std = masks.cartesian((48, 40), 2, 0, acs_fraction=0.3), 0.01
    kspace = mask * simulate.kspace(image, 4, noise_std, 0)
    for name, array in (("kspace", kspace), ("sens", sens)):
        write({name: to_bart(array / (2**0.5 * noise_std))})
    drawn = sample(1, "sample -N50 -K1 -S2 --sigma max=1,min=0.01 --external-graph prior.pt"
                      " --posterior k=kspace,s=sens").reshape(48, 40, 2)
    ours = recon(kspace, mask, sens=sens)
    assert conftest.psnr(drawn.mean(-1), image) > conftest.psnr(ours.image, image) - 5


def test_compare_gives_bart_sample_whitened_data(sample, exported, tmp_path):
    """The scale of the data does not matter; a denoiser of another size is noted."""
    _, _, reference = conftest.simulate((48, 40), coils=4)
    kspace = 1e4 * simulate.kspace(reference / reference.max(), 4, 0.005, 1)
    np.savez("scan.npz", kspace=kspace, reference=reference)
    words = ["compare", "scan.npz", "--masks", "cartesian2acs40", "--methods", "zero-filled", "pogmdm", "bart-sample",
             "--weights", "bart-sample=prior.pt", "--out", "out"]
    exported(24, 20)
    assert main(words) == 0
    assert "bart-sample did not run: " in (tmp_path / "out/table.md").read_text()
    assert "this denoiser is for complex images (batch, 20, 24)" in (tmp_path / "out/table.md").read_text()
    exported(48, 40)
    assert main(words) == 0
    with open("out/results.csv") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    psnr = {name: float(row["psnr"]) for name, row in rows.items()}
    assert psnr["bart-sample"] > psnr["zero-filled"] + 3 and psnr["bart-sample"] > psnr["pogmdm"] - 5
