"""Volumes along 3-D trajectories: against the grid, BART's phantom and command, posteriors, series, bad arguments."""

import numpy as np
import pytest
from conftest import psnr
from test_volumes import COILS, GRID, head, scan, slab  # noqa: F401  (scan is a fixture)
from trajectories import error, grid_points

from bart_pogmdm import Gibbs, Map, from_bart, read, recon, write
from bart_pogmdm.commands.main import main
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.physics.noncartesian import NonCartesianScan
from bart_pogmdm.reconstruction.doubt_rules import DoubtRules
from bart_pogmdm.reconstruction.sample_doubts import of_trajectory

pytest.importorskip("finufft", reason="finufft is not installed (extra nufft)")
pytestmark = pytest.mark.slow

SIDE, SPOKES = 20, 120
IGNORE = pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # after few iterations


def kooshball(side, spokes):
    """A trajectory (3, samples, spokes) whose spokes have the directions of a spiral over the sphere."""
    height, angle = 2 * (0.4656 * np.arange(spokes) % 1) - 1, 2 * np.pi * 0.6823 * np.arange(spokes)
    around = np.sqrt(1 - height**2)
    directions = np.stack([around * np.cos(angle), around * np.sin(angle), height])
    return directions[:, None] * (np.arange(side) - side / 2 + 0.5)[:, None]


@pytest.fixture(scope="module")
def spokes(bart):
    """K-space of BART's phantom in noise, (1, samples, spokes, coils), its trajectory, and the RSS image."""
    full = bart(1, f"phantom -3 -x {SIDE} -s {COILS} -k")
    reference = np.sqrt((abs(ifft2c(np.moveaxis(full, -1, 0), (-3, -2, -1))) ** 2).sum(0))
    traj = kooshball(SIDE, SPOKES).astype(np.complex64)
    kspace = bart(1, f"phantom -3 -k -s {COILS}", t=traj)
    rng, level = np.random.default_rng(0), 0.01 * reference.max()
    noisy = kspace + level * (rng.standard_normal(kspace.shape) + 1j * rng.standard_normal(kspace.shape))
    return noisy.astype(np.complex64), traj, reference


@IGNORE
@pytest.mark.parametrize("coils", [1, COILS])
def test_points_of_the_grid_give_the_cartesian_result(scan, coils):  # noqa: F811
    kspace, mask, _ = scan
    kspace = kspace[..., :coils].astype(complex)
    points = grid_points(np.broadcast_to(mask, GRID))
    samples = kspace[:, mask].reshape(-1, coils)
    # The first images differ a little, so both start from the same.
    options = {"noise_std": 0.01, "start": head()[..., None].astype(complex), "method": Map(iterations=5)}
    expected = recon(kspace, mask, **options)
    result = recon(samples[None, :, None], traj=points[:, :, None], dims=GRID, **options)
    assert result.image.shape == (*GRID, 1) and result.sens.shape == (*GRID, coils)
    assert error(result.image, expected.image) < 1e-3
    assert error(result.sens, expected.sens) < 1e-3


def test_kooshball_by_the_command(spokes, bart, tmp_path, monkeypatch):
    """The command gives the image of `recon`, better than that of nlinv, and finds the noise."""
    kspace, traj, reference = spokes
    monkeypatch.chdir(tmp_path)
    write({"ksp": kspace, "traj": traj})
    assert main(["-i20", "-t", "traj", "-x", f"{SIDE}:{SIDE}:{SIDE}", "ksp", "out", "sens"]) == 0
    result = recon(kspace, traj=traj, iterations=20)
    assert result.image.shape == (SIDE, SIDE, SIDE, 1) and result.sens.shape == (SIDE, SIDE, SIDE, COILS)
    assert error(from_bart(read("out")), from_bart(result.image)) < 1e-6
    assert error(from_bart(read("sens")), from_bart(result.sens)) < 1e-6
    assert np.isclose(result.info["noise_std"], 0.01 * reference.max(), rtol=0.2)
    assert result.info["warnings"] == []
    theirs = max(psnr(bart(1, f"nlinv -i{steps}", kspace, t=traj), reference) for steps in (8, 10))
    assert psnr(result.image[..., 0], reference) > theirs + 3


def test_posterior(spokes):
    kspace, traj, reference = spokes
    together, alone = (recon(kspace, traj=traj, method=Gibbs(chains=2, burn_in=1, thin=1, side_by_side=number),
                             samples=2, iterations=10) for number in (2, 1))
    assert together.std.shape == (SIDE, SIDE, SIDE, 1) and (together.std > 0).all()
    assert psnr(together.image[..., 0], reference) > 20
    assert error(together.image, alone.image) < 1e-5 and error(together.std, alone.std) < 1e-4


def test_frames_share_their_sensitivities(spokes):
    kspace, traj, _ = spokes
    frames = np.stack([kspace[:, :, part::2] for part in (0, 1)], -1)[:, :, :, :, None]
    trajs = np.stack([traj[:, :, part::2] for part in (0, 1)], -1)[:, :, :, None, None]
    result = recon(frames, traj=trajs, dims=(SIDE,) * 3, shared_sens=1 << 5, iterations=2)
    assert result.image.shape == (SIDE, SIDE, SIDE, 1, 1, 2)
    np.testing.assert_array_equal(result.sens[..., 0], result.sens[..., 1])
    assert error(result.image[..., 0], result.image[..., 1]) > 1e-3


@IGNORE
def test_a_spoke_has_a_factor_of_its_own(spokes):
    """Amplitude and phase of each spoke are found, as in a plane."""
    kspace, traj, _ = spokes
    rng = np.random.default_rng(1)
    factors = rng.uniform(0.9, 1.1, SPOKES) * np.exp(1j * rng.uniform(-0.3, 0.3, SPOKES))
    plain, other = (recon(samples, traj=traj, iterations=2) for samples in (
        kspace, (kspace * factors[:, None]).astype(np.complex64)))
    turned = np.vdot(other.image, plain.image)
    assert error(other.image * turned / abs(np.vdot(other.image, other.image)), plain.image) < 0.1


def test_samples_of_a_volume_that_do_not_resolve_it_are_doubtful():
    traj, numbers = kooshball(SIDE, 40), np.repeat(np.arange(40), SIDE)
    points = traj.transpose(0, 2, 1).reshape(1, 3, -1)
    assert of_trajectory(points, numbers, (SIDE,) * 3, DoubtRules()) == []
    (doubt,) = of_trajectory(2 * points, numbers, (2 * SIDE,) * 3, DoubtRules())
    assert "do not resolve the field of view" in doubt


@pytest.mark.parametrize("change, message", [
    ({"kspace": np.ones((COILS, SPOKES, SIDE), complex)}, "a 3-D trajectory goes with kspace in BART's"),
    ({"dims": (SIDE, SIDE)}, r"dims: expected three integers >= 2 for a 3-D trajectory, got \(20, 20\)"),
    ({"traj": kooshball(SIDE, SPOKES) * np.array([1, 0, 1])[:, None, None]}, "one of these that is zero everywhere"),
    ({"traj": kooshball(SIDE, SPOKES) / SIDE}, "in cycles per sample"),
    ({"maps": 2}, "maps: 2 goes with 2-D images, and k-space is 3-D"),
    ({"dims": (6, 6, 6)}, "dims: expected a grid that holds the trajectory, got 6 x 6 x 6, and"),
])
def test_bad_arguments_are_named(spokes, change, message):
    call = {"kspace": spokes[0], "traj": spokes[1], "iterations": 1, **change}
    with pytest.raises(ValueError, match=message):
        recon(call.pop("kspace"), **call)


def test_a_volume_that_is_too_large_for_memory_is_refused_at_once():
    traj = kooshball(800, 8000)
    kspace = np.broadcast_to(np.complex64(1), (1, *traj.shape[1:], 8))
    with pytest.raises(MemoryError, match=r"kspace: a volume of 800 x 800 x 800 and 8 coils needs about .* [GT]iB, .*"):
        recon(kspace, traj=traj)


def test_power_and_low_frequencies_are_those_of_the_grid(rng):
    shape = (6, 7, 8)
    samples = rng.standard_normal((2, np.prod(shape))) + 1j * rng.standard_normal((2, np.prod(shape)))
    points = grid_points(np.ones(shape, bool))
    scan_of = NonCartesianScan(samples, points, shape)
    power, sampled = scan_of.power()
    assert sampled.all()
    np.testing.assert_allclose(power, (abs(samples) ** 2).sum(0).reshape(shape))
    low = scan_of.low((4, 4, 4), (3, 3, 3))
    np.testing.assert_array_equal(low.points, grid_points(np.ones((3, 3, 3), bool)))


def test_a_stack_of_two_partitions_is_as_good_as_its_slices():
    """Readouts beside the central partition miss the centre of k-space, although only by one cycle per slab."""
    finufft, partitions = pytest.importorskip("finufft"), 2
    kspace, truth = slab(partitions)
    images = ifft2c(kspace, (0, 1, 2))
    angles, radius = np.arange(20) * np.pi * (5**0.5 - 1) / 2, np.linspace(-22, 22, 88, endpoint=False)
    spokes = np.stack([np.outer(radius, np.cos(angles)), np.outer(radius, np.sin(angles)), np.zeros((88, 20))])
    traj = np.concatenate([spokes + np.reshape([0, 0, z], (3, 1, 1)) for z in (-1, 0)], -1)
    phases = [2 * np.pi * points.ravel() / n for points, n in zip(traj, images.shape)]
    samples = np.stack([finufft.nufft3d2(*phases, np.ascontiguousarray(coil), isign=-1, eps=1e-6)
                        for coil in np.moveaxis(images.astype(complex), -1, 0)], -1) / truth.size**0.5
    samples = samples.reshape(1, 88, 2, 20, COILS).astype(np.complex64)
    volume = recon(samples.reshape(1, 88, 40, COILS), traj=traj, dims=images.shape[:3])
    slices = [recon(plane, traj=spokes, dims=images.shape[:2]) for plane in np.moveaxis(ifft2c(samples, (2,)), 2, 0)]
    quality = psnr(np.stack([abs(one.image).squeeze().T for one in slices]), truth)
    assert volume.info["warnings"] == [] and psnr(abs(volume.image).squeeze().T, truth) > quality - 0.3
