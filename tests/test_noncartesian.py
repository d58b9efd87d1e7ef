"""Reconstructions along trajectories: quality, layouts, methods, the command, and arguments that are refused."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import psnr, simulate
from properties import random_complex
from trajectories import QUICK, error, grid_points, measured, radial

from bart_pogmdm import Diffusion, Gibbs, read, recon, to_bart, write
from bart_pogmdm.commands.main import main
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import rss
from bart_pogmdm.physics.fourier import ifft2c, resample
from bart_pogmdm.physics.noise_level import NoiseRules, estimate_noise
from bart_pogmdm.physics.noncartesian import NonCartesianScan, image_size
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.sensitivities import SensitivityModel
from bart_pogmdm.physics.sobolev_maps import SobolevRules

pytestmark = pytest.mark.slow


@pytest.fixture
def finufft():
    return pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")


@pytest.fixture(scope="module")
def scan():
    """K-space (coil, samples, spokes), its trajectory, and the RSS image."""
    pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    return measured()


@pytest.fixture(scope="module")
def joint(scan):
    """The result of the scan."""
    return recon(scan[0].transpose(0, 2, 1), traj=scan[1])


@pytest.mark.parametrize("coils", [1, 4])
def test_cartesian_trajectory_gives_the_cartesian_result(finufft, coils):
    kspace, mask, _ = simulate((40, 36), coils=coils)
    points = np.moveaxis(grid_points(mask), 0, -1)[None]
    kspace = kspace.astype(complex)
    # From k-space alone the starts differ a little, which stays where it does not change the posterior.
    options = {"noise_std": 0.01, "start": rss(ifft2c(kspace)) if coils > 1 else ifft2c(kspace)[0]}
    expected = recon(kspace, mask, **options)
    result = recon(kspace[:, None, mask], traj=points, dims=(40, 36), **options)
    assert error(result.image, expected.image) < 1e-3
    assert error(result.sens, expected.sens) < 1e-3
    along, on_grid = (estimate_noise(*scan.acquired(), NoiseRules()) for scan in (
        NonCartesianScan(kspace[:, mask], grid_points(mask), mask.shape), CartesianScan(kspace, mask)))
    assert np.isclose(along, on_grid, rtol=1e-6)


def test_noise_is_found_at_high_frequencies(rng):
    traj = radial(128, 60)
    radius = np.hypot(*traj[:2].reshape(2, -1)) / 128
    signal = random_complex(rng, (8, radius.size)) * np.exp(-50 * radius)
    samples = signal * 100 + random_complex(rng, signal.shape)
    assert 0.8 < estimate_noise(samples, radius, NoiseRules()) < 1.2


def test_low_frequencies_are_those_of_the_full_grid(finufft, rng):
    """Like on the grid, c x at low resolution predicts the samples near the centre where x is smooth."""
    shape = (300, 260)
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n * 2 for n in shape), indexing="ij")
    image = np.exp(-12 * (x**2 + y**2)) * (1 + 0.5j * x)
    points = np.stack([rng.uniform(-60, 60, 4000) for _ in shape])
    full = Nufft(points, shape, np.complex128)
    model = SensitivityModel.of(NonCartesianScan(full.forward(image[None]), points, shape), SobolevRules())
    coefficients = random_complex(rng, (2, *model.maps.weight.shape))
    samples = full.forward(model.maps.forward(coefficients) * image)
    model = SensitivityModel.of(NonCartesianScan(samples, points, shape), SobolevRules())
    predicted = model.sampling.forward(model.low.forward(coefficients) * resample(image, model.sampling.shape))
    assert 0 < model.samples.shape[1] < 4000 and error(predicted, model.samples) < 1e-3


def test_radial_reconstruction(scan, joint):
    assert joint.image.shape == (40, 40) and joint.sens.shape == (4, 40, 40)
    assert joint.image.dtype == np.complex64
    assert psnr(joint.image, scan[2]) > 30
    assert 0.5 * 0.005 < joint.info["noise_std"] < 4 * 0.005


def test_layouts_agree(scan):
    kspace, traj, _ = scan
    kspace, traj = kspace.astype(complex), traj.astype(np.float32)  # the precision that BART's trajectories have
    plain = recon(kspace.transpose(0, 2, 1), traj=traj, **QUICK)
    other = recon(kspace.transpose(0, 2, 1), traj=traj[:2].transpose(2, 1, 0), **QUICK)
    bart = recon(np.moveaxis(kspace, 0, -1)[None], traj=traj.astype(np.complex64), **QUICK)
    assert bart.image.shape == (40, 40, 1, 1) and bart.sens.shape == (40, 40, 1, 4)
    assert error(other.image, plain.image) < 1e-6
    assert error(bart.image[:, :, 0, 0], plain.image) < 1e-6
    single = recon(kspace[0].T, traj=traj, **QUICK)
    assert single.image.shape == single.sens.shape == (40, 40)


def test_higher_dimensions_have_trajectories_of_their_own(scan):
    kspace, traj, _ = scan
    frames = np.stack([np.moveaxis(kspace, 0, -1)[None][:, :, i::2] for i in (0, 1)], -1)[:, :, :, :, None]
    trajs = np.stack([traj[:, :, i::2] for i in (0, 1)], -1)[:, :, :, None, None]
    shared, result = (recon(frames, traj=trajs, dims=(40, 40), shared_sens=bits, **QUICK) for bits in (1 << 5, 0))
    assert result.image.shape == (40, 40, 1, 1, 1, 2) and result.sens.shape == (40, 40, 1, 4, 1, 2)
    alone = recon(frames[..., 1], traj=trajs[..., 1], dims=(40, 40), **QUICK)
    assert error(result.image[..., 1], alone.image) < 1e-4 < error(shared.image[..., 1], alone.image) < 0.1
    np.testing.assert_array_equal(shared.sens[..., 0], shared.sens[..., 1])


def test_known_sensitivities_and_dims(scan, joint):
    kspace, traj, reference = scan
    kspace = kspace.transpose(0, 2, 1)
    known = recon(kspace, traj=traj, sens=joint.sens)
    assert psnr(known.image, reference) > psnr(joint.image, reference) - 1
    assert recon(kspace, traj=traj, dims=(30, 44), **QUICK).image.shape == (30, 44)
    assert recon(kspace, traj=traj, start=joint.image, **QUICK).image.shape == (40, 40)


@pytest.mark.parametrize("method", [Gibbs(chains=2, burn_in=1, thin=1), Diffusion(num_levels=30, come_closer=0.2),
                                    Diffusion(num_levels=30, come_closer=0.2, sens_update="sobolev")])
def test_methods_that_sample(scan, method):
    kspace, traj, reference = scan
    kspace = kspace.astype(complex).transpose(0, 2, 1)
    together = recon(kspace, traj=traj, method=method, samples=2, iterations=10)
    assert together.std.shape == (40, 40) and np.isfinite(together.std).all()
    assert psnr(together.image, reference) > 18
    alone = recon(kspace, traj=traj, method=replace(method, side_by_side=1), samples=2, iterations=10)
    assert error(together.image, alone.image) < 1e-6 and error(together.std, alone.std) < 1e-6


def test_command(scan, tmp_path, monkeypatch):
    kspace, traj, _ = scan
    monkeypatch.chdir(tmp_path)
    write({"ksp": np.moveaxis(kspace, 0, -1)[None], "traj": traj.astype(np.complex64)})
    assert main(["-i4", "-t", "traj", "-x", "36:40:1", "ksp", "out"]) == 0
    expected = recon(read("ksp"), traj=read("traj"), dims=(36, 40), **QUICK).image
    assert error(read("out"), expected) < 1e-4


@pytest.mark.parametrize("words, message", [
    (["-t", "traj", "--dims", "36", "ksp", "out"], "-x: expected x:y or x:y:z, each at least 2 (z also 1), as 192:"),
    (["--dims", "36:36", "image", "out"], "-x: without a trajectory, expected the size of k-space"),
    (["-t", "traj", "image", "out"], "kspace: with a trajectory, expected BART's (1, samples, spokes, coils)"),
])
def test_bad_command(scan, words, message, tmp_path, monkeypatch, capsys):
    kspace, traj, _ = scan
    monkeypatch.chdir(tmp_path)
    write({"ksp": np.moveaxis(kspace, 0, -1)[None], "traj": traj, "image": to_bart(simulate((20, 20), 2)[0])})
    assert main(words) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("change, message", [
    ({"traj": radial(40, 23)}, r"traj: expected shape \(3, 40, 24\) or \(24, 40, 2\) for kspace \(4, 24, 40\), got"),
    ({"traj": radial(40, 24) / 40}, r"got at most 0\.487: in cycles per sample\?"),
    ({"traj": radial(40, 24) / 40 * 2 * np.pi}, r"got at most 3\.06: in radians per sample\?"),
    ({"traj": radial(40, 24) + np.array([0, 0, 5])[:, None, None]}, "a 3-D trajectory goes with kspace in BART's"),
    ({"traj": radial(40, 24) * np.array([1, 0, 0])[:, None, None]}, "one of these that is zero everywhere"),
    ({"traj": np.where(radial(40, 24) > 19, np.nan, radial(40, 24))}, "traj: expected finite numbers"),
    ({"traj": 1j * radial(40, 24)}, "traj: expected real numbers"),
    ({"traj": "x"}, "traj: expected numbers"),
    ({"mask": np.ones((40, 40))}, "mask: expected a shape that broadcasts"),
    ({"dims": (40,)}, r"dims: expected two integers >= 2, \(y, x\), got \(40,\)"),
    ({"kspace": np.full((4, 24, 40), np.nan + 0j)}, "kspace: expected finite samples"),
    ({"kspace": np.zeros((4, 24, 40), complex)}, "kspace: all samples are zero"),
    ({"sens": np.ones((4, 24, 40), complex)},
     r"sens: expected shape \(4, 40, 40\), or two such sets, got \(4, 24, 40\)"),
])
def test_bad_arguments_are_named(scan, change, message):
    call = {"kspace": scan[0].transpose(0, 2, 1), "traj": scan[1], "iterations": 1, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        recon(call.pop("kspace"), **call)


def test_without_finufft(monkeypatch):
    monkeypatch.setitem(sys.modules, "finufft", None)
    with pytest.raises(ImportError, match=r"traj: needs finufft.*pip install 'bart_pogmdm\[nufft\]'"):
        recon(np.ones((4, 24, 40), complex), traj=radial(40, 24))


@pytest.mark.parametrize("shape, size", [((20, 14), (20, 14)), ((48.747, 49.5), (98, 100))])
def test_image_size_is_barts(shape, size):
    highest = np.array(shape)[:, None] / (2 if shape == size else 1)
    assert image_size(highest * np.array([-1, 0.5])) == size
