"""Trajectories: the operator against the direct sum, and reconstructions against those of the grid."""

import sys

import numpy as np
import pytest
from conftest import psnr, simulate
from properties import assert_adjoint, assert_gradient, random_complex

from bart_pogmdm import recon
from bart_pogmdm.algorithms.quadratic_step import newton_step
from bart_pogmdm.arrays import bart_dims
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate.simulate import sensitivities
from bart_pogmdm.files.cfl import read, write
from bart_pogmdm.physics.cartesian import CartesianSampling, CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.physics.noise_level import of_samples
from bart_pogmdm.physics.noncartesian import NonCartesianScan, image_size
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.readout_factors import factors
from bart_pogmdm.physics.sensitivities import SensFit
from bart_pogmdm import Diffusion, Gibbs

QUICK = {"iterations": 4}
SHAPES = [(16, 20), (15, 12)]


@pytest.fixture
def finufft():
    return pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")


def grid_points(mask):
    """The sampled points of a grid, (2, M)."""
    return np.stack([axis - n // 2 for axis, n in zip(np.nonzero(mask), mask.shape)]).astype(float)


def radial(samples, spokes, highest=None):
    """(3, samples, spokes) as `bart traj -r`."""
    angle = np.pi * np.arange(spokes) / spokes
    k = (np.arange(samples) + 0.5) / samples - 0.5
    k = k[:, None] * 2 * (highest or samples / 2)
    return np.stack([k * np.sin(angle), k * np.cos(angle), 0 * k * angle])


def operator(shape, rng, dtype=np.complex128, count=150):
    """A Nufft at random points, of random weights, and its matrix (M, ny nx)."""
    points = np.stack([rng.uniform(-n / 2, n / 2, count) for n in shape])
    waves = [np.exp(-2j * np.pi * np.outer(k, np.arange(n) - n // 2) / n) for k, n in zip(points, shape)]
    matrix = np.einsum("my,mx->myx", *waves).reshape(count, -1) / np.prod(shape) ** 0.5
    return Nufft(points, shape, dtype).weighted(rng.uniform(0.1, 1, count)), matrix


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_transform_is_the_direct_sum(finufft, shape, dtype, rng):
    nufft_, matrix = operator(shape, rng, dtype)
    x, z = random_complex(rng, (3, *shape), dtype), random_complex(rng, (3, 150), dtype)
    transposed = matrix.conj().T * nufft_.weights
    normal = transposed @ matrix
    forward, adjoint, filtered = nufft_.forward(x.copy()), nufft_.adjoint(z.copy()), nufft_.normal(x.copy())
    assert forward.dtype == adjoint.dtype == filtered.dtype == dtype
    assert error(forward, x.reshape(3, -1) @ matrix.T) < 1e-5
    assert error(adjoint.reshape(3, -1), z @ transposed.T) < 1e-5
    assert error(filtered.reshape(3, -1), x.reshape(3, -1) @ normal.T) < 1e-5
    fourier = np.fft.fft2(np.eye(normal.shape[0]).reshape(-1, *shape), norm="ortho").reshape(normal.shape[0], -1)
    diagonal = np.einsum("ia,ij,ja->a", fourier, normal, fourier.conj()).real
    assert error(nufft_.density.ravel(), diagonal) < 1e-5
    assert 0.99 * np.linalg.eigvalsh(normal).max() < nufft_.norm


def test_operator_and_coil_model_are_adjoint(finufft, rng):
    nufft_, _ = operator((16, 20), rng)
    equal = nufft_.weighted(None)
    assert_adjoint(equal.forward, equal.adjoint, (5, 16, 20), (5, 150), rng, rtol=1e-5)
    model = CoilModel(equal, random_complex(rng, (5, 16, 20)))
    assert_adjoint(model.forward, model.adjoint, (16, 20), (5, 150), rng, rtol=1e-5)
    x, z = random_complex(rng, (16, 20)), random_complex(rng, (5, 150))
    model = CoilModel(nufft_, model.sens)
    assert error(model.normal(x), model.adjoint(model.forward(x))) < 1e-4
    assert_gradient(lambda x: (nufft_.weights * model.gradient(x, z)[1]).sum() / 2,
                    lambda x: model.gradient(x, z)[0], x, rng, step=1e-2, rtol=1e-4)


def test_transform_is_barts(finufft, bart, rng):
    traj, image = bart(1, "traj -x 24 -y 7 -r"), random_complex(rng, (22, 24), np.complex64)
    points = traj[:2].real.reshape(2, -1, order="F")
    samples = Nufft(points.astype(float), image.shape, np.complex64).forward(image[None])[0]
    direct = bart(1, "nufft -s", traj, image).reshape(-1, order="F")  # which BART leaves without the unitary factor
    assert error(samples, direct / image.size**0.5) < 1e-5


@pytest.mark.parametrize("kind", ["points", "lines"])
def test_on_the_grid_everything_is_as_with_a_mask(finufft, kind, rng):
    mask = rng.random((20, 18)) < 0.5 if kind == "points" else np.broadcast_to(rng.random(18) < 0.5, (20, 18))
    on_grid, along = CartesianSampling.centred(mask, float), Nufft(grid_points(mask), mask.shape, np.complex128)
    x = random_complex(rng, (2, 20, 18))
    assert error(along.normal(x.copy()), on_grid.normal(x.copy())) < 1e-5
    np.testing.assert_allclose(along.density, on_grid.density, atol=1e-5)
    assert along.norm > 1 - 1e-5 and along.count == on_grid.count
    # as it is on the grid; what a power iteration overestimates at most:
    assert error(along.equalize(x.copy()) * along._excess, x) < 1e-5 and along._excess < 1.01


@pytest.mark.parametrize("coils", [1, 4])
def test_cartesian_trajectory_gives_the_cartesian_result(finufft, coils):
    kspace, mask, _ = simulate((40, 36), coils=coils)
    points = np.moveaxis(grid_points(mask), 0, -1)[None]
    kspace = kspace.astype(complex)
    # The images to start from differ a little, and one coil leaves such a difference where it does not matter.
    options = {"noise_std": 0.01} | ({"start": ifft2c(kspace)[0]} if coils == 1 else {})
    expected = recon(kspace, mask, **options)
    result = recon(kspace[:, None, mask], traj=points, dims=(40, 36), **options)
    assert error(result.image, expected.image) < 1e-3
    assert error(result.sens, expected.sens) < 1e-3
    assert np.isclose(NonCartesianScan.of(kspace[:, mask], grid_points(mask), mask.shape).noise_std(),
                      CartesianScan(kspace, mask).noise_std(), rtol=1e-6)


def test_low_frequencies_are_those_of_the_full_grid(finufft, rng):
    """As for the grid: c x at low resolution predicts the samples near the centre, where x is smooth."""
    shape = (300, 260)
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n * 2 for n in shape), indexing="ij")
    image = np.exp(-12 * (x**2 + y**2)) * (1 + 0.5j * x)
    points = np.stack([rng.uniform(-60, 60, 4000) for _ in shape])
    full = Nufft(points, shape, np.complex128)
    fit = SensFit.of(NonCartesianScan(full.forward(image[None]), points, shape))
    coefficients = random_complex(rng, (2, *fit.maps.weight.shape))
    fit = SensFit.of(NonCartesianScan(full.forward(fit.maps.forward(coefficients) * image), points, shape))
    from bart_pogmdm.physics.fourier import resample
    predicted = fit.sampling.forward(fit.low.forward(coefficients) * resample(image, fit.sampling.shape))
    assert 0 < fit.samples.shape[1] < 4000 and error(predicted, fit.samples) < 1e-3


def test_newton_step_is_the_solution_of_its_system(finufft, prior, rng):
    points = radial(36, 20)[:2].reshape(2, -1)
    descent, variance, hessian = random_complex(rng, (36, 36)), 1e-2, prior.curvature((36, 36), 0.1)
    phase = np.exp(1j * rng.standard_normal((36, 36)))
    for sens in (np.ones((1, 36, 36), complex), random_complex(rng, (3, 36, 36))):
        model = CoilModel(Nufft(points, (36, 36), np.complex128), sens)
        d = newton_step(model, hessian, phase, descent, variance, 500)
        applied = model.normal(d) / variance + phase * np.fft.ifft2(hessian * np.fft.fft2(phase.conj() * d))
        np.testing.assert_allclose(applied, descent, atol=1e-5 * np.abs(descent).max())


def measured(spokes=24, coils=4, noise_std=0.005, shape=(40, 40)):
    """(coil, samples, spokes) of a phantom, its trajectory, and its RSS."""
    _, _, reference = simulate(shape, coils)
    rng, traj = np.random.default_rng(3), radial(shape[1], spokes)
    images = sensitivities(shape, coils) * reference
    samples = Nufft(traj[:2].reshape(2, -1), shape, np.complex128).forward(images)
    samples = samples + noise_std * (rng.standard_normal(samples.shape) + 1j * rng.standard_normal(samples.shape))
    return samples.reshape(coils, *traj.shape[1:]).astype(np.complex64), traj, reference


@pytest.fixture(scope="module")
def scan():
    pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
    return measured()


def test_radial_reconstruction(scan):
    kspace, traj, reference = scan
    result = recon(kspace.transpose(0, 2, 1), traj=traj)
    assert result.image.shape == (40, 40) and result.sens.shape == (4, 40, 40)
    assert result.image.dtype == np.complex64
    assert psnr(result.image, reference) > 30
    assert 0.5 * 0.005 < result.info["noise_std"] < 4 * 0.005


def test_readouts_of_another_amplitude_and_phase_are_aligned(scan, monkeypatch):
    kspace, traj, reference = scan
    rng = np.random.default_rng(5)
    gains = (1 + 0.1 * rng.standard_normal(24)) * np.exp(0.3j * rng.standard_normal(24))
    disturbed = (kspace * gains).astype(np.complex64).transpose(0, 2, 1)
    found = factors(scanned(disturbed, traj))
    ratio = found / gains
    assert np.abs(ratio / ratio.mean() - 1).max() < 0.1 < 0.3 < np.abs(gains - 1).max()
    aligned, plain = (psnr(recon(samples, traj=traj).image, reference)
                      for samples in (disturbed, kspace.transpose(0, 2, 1)))
    assert aligned > plain - 3  # what is left of the factors is an error of the model, more than the noise
    monkeypatch.setattr("bart_pogmdm.reconstruction.align", lambda scan: scan)
    assert aligned > 7 + psnr(recon(disturbed, traj=traj).image, reference)


def test_dead_readouts_are_left_out(scan):
    """With noise only in two of 24 spokes: about as good as without these two, and no failure where all is noise."""
    kspace, traj, reference = scan
    rng, dead = np.random.default_rng(6), [3, 10]
    samples = kspace.transpose(0, 2, 1).copy()
    samples[:, dead] = 0.005 * (rng.standard_normal((4, 2, samples.shape[2], 2)) @ [1, 1j])
    left = np.delete(samples, dead, 1), np.delete(traj, dead, 2)
    found, without = recon(samples, traj=traj).image, recon(left[0], traj=left[1]).image
    assert psnr(found, reference) > psnr(without, reference) - 0.3
    assert np.isfinite(recon(rng.standard_normal((*samples.shape, 2)) @ [1, 1j], traj=traj, **QUICK).image).all()


def test_readouts_that_miss_the_centre_are_left_alone(scan):
    kspace, traj, _ = scan
    half = traj.copy()
    half[:, :, 7] += np.array([3, -5, 0])[:, None]
    assert factors(scanned(kspace.transpose(0, 2, 1), half)) is None
    assert factors(scanned(kspace.transpose(0, 2, 1), traj)) is not None


def scanned(kspace, traj):
    """The slice as measured, of (coil, spokes, samples)."""
    return NonCartesianScan.of(bart_dims.sample_slices(kspace), bart_dims.points(traj, kspace), (40, 40), bart_dims.readouts(kspace))


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
    result = recon(frames, traj=trajs, dims=(40, 40), **QUICK)
    assert result.image.shape == (40, 40, 1, 1, 1, 2) and result.sens.shape == (40, 40, 1, 4, 1, 2)
    alone = recon(frames[..., 1], traj=trajs[..., 1], dims=(40, 40), **QUICK)
    assert error(result.image[..., 1], alone.image) < 1e-4


def test_known_sensitivities_and_dims(scan):
    kspace, traj, reference = scan
    kspace = kspace.transpose(0, 2, 1)
    joint = recon(kspace, traj=traj)
    known = recon(kspace, traj=traj, sens=joint.sens)
    assert psnr(known.image, reference) > psnr(joint.image, reference) - 1
    assert recon(kspace, traj=traj, dims=(30, 44), **QUICK).image.shape == (30, 44)
    assert recon(kspace, traj=traj, start=joint.image, **QUICK).image.shape == (40, 40)


@pytest.mark.parametrize("method", [Gibbs(chains=2, burn_in=1, thin=1), Diffusion(num_levels=30, come_closer=0.2),
                                    Diffusion(num_levels=30, come_closer=0.2, sens_update="sobolev", refine=3)])
def test_methods_that_sample(scan, method, monkeypatch):
    kspace, traj, reference = scan
    kspace = kspace.astype(complex).transpose(0, 2, 1)
    together = recon(kspace, traj=traj, method=method, samples=2)
    assert together.std.shape == (40, 40) and np.isfinite(together.std).all()
    assert psnr(together.image, reference) > 18
    monkeypatch.setattr("bart_pogmdm.side_by_side", lambda chains, sens: 1)
    alone = recon(kspace, traj=traj, method=method, samples=2)
    assert error(together.image, alone.image) < 1e-6 and error(together.std, alone.std) < 1e-6


def test_command(scan, tmp_path, monkeypatch):
    kspace, traj, _ = scan
    monkeypatch.chdir(tmp_path)
    write({"ksp": np.moveaxis(kspace, 0, -1)[None], "traj": traj.astype(np.complex64)})
    assert main(["-i4", "-t", "traj", "--dims", "36:40", "ksp", "out"]) == 0
    expected = recon(read("ksp"), traj=read("traj"), dims=(36, 40), **QUICK).image
    assert error(read("out"), expected) < 1e-4


@pytest.mark.parametrize("words, message", [
    (["-t", "traj", "--dims", "36", "ksp", "out"], "--dims: expected y:x, as 192:192, got '36'"),
    (["--dims", "36:36", "image", "out"], "dims: goes with traj"),
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
    ({"traj": radial(40, 24) + np.array([0, 0, 5])[:, None, None]}, "got a 3-D one"),
    ({"traj": radial(40, 24) * np.array([1, 0, 0])[:, None, None]}, "expected points in a plane, got a line"),
    ({"traj": np.where(radial(40, 24) > 19, np.nan, radial(40, 24))}, "traj: expected finite numbers"),
    ({"traj": 1j * radial(40, 24)}, "traj: expected real numbers"),
    ({"traj": "x"}, "traj: expected numbers"),
    ({"mask": np.ones((40, 40))}, "mask: does not go with traj"),
    ({"dims": (40,)}, r"dims: expected two integers >= 2, \(y, x\), got \(40,\)"),
    ({"kspace": np.full((4, 24, 40), np.nan + 0j)}, "kspace: expected finite samples"),
    ({"kspace": np.zeros((4, 24, 40), complex)}, "kspace: all samples are zero"),
    ({"sens": np.ones((4, 24, 40), complex)}, r"sens: expected shape \(4, 40, 40\), got \(4, 24, 40\)"),
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


def test_noise_is_found_at_high_frequencies(rng):
    traj = radial(128, 60)
    radius = np.hypot(*traj[:2].reshape(2, -1)) / 128
    signal = random_complex(rng, (8, radius.size)) * np.exp(-50 * radius)
    assert 0.8 < of_samples(signal * 100 + random_complex(rng, signal.shape), radius) < 1.2
