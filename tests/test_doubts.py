"""Images that may be wrong come with a warning, and no others do."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import psnr, simulate
from trajectories import measured

from bart_pogmdm import Diffusion, ReconstructionWarning, Rules, recon, to_bart, write
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import phantom, sensitivities
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.folding import folding
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.spikes import SpikeRules

SHAPE = (48, 48)
QUICK = {"iterations": 10}


def full(coils=4, noise_std=0.005):
    return simulate_kspace(phantom(SHAPE), coils, noise_std, 0)


def lattice(step, lines=0, shape=SHAPE):
    """Every `step`-th column, and some neighbouring ones at the centre."""
    line = np.arange(shape[1]) % step == (shape[1] // 2) % step
    first = shape[1] // 2 - lines // 2
    line[first:first + lines] = True
    return np.broadcast_to(line, shape)


def radial(**keywords):
    """K-space (coil, spokes, samples) of 40 x 40 pixels, and its trajectory."""
    kspace, traj, _ = measured(**keywords)
    return kspace.transpose(0, 2, 1), traj


def doubts(*inputs, **options):
    """The warnings of a reconstruction, which are the same in its info and through `warnings`."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        info = recon(*inputs, **QUICK | options).info
    assert info["warnings"] == [str(warning.message) for warning in seen]
    assert all(warning.category is ReconstructionWarning for warning in seen)
    assert all(warning.filename == __file__ for warning in seen)
    return info["warnings"]


GOOD = ["cartesian3", "horizontal4", "gaussian4", "radial16", "spiral3"]


@pytest.mark.parametrize("mask", GOOD)
@pytest.mark.parametrize("noise_std", [0, 0.005, 0.05])
@pytest.mark.parametrize("coils", [1, 4])
def test_good_data_raise_no_doubt(mask, noise_std, coils):
    pattern = masks.named(mask, SHAPE, 0)
    assert doubts(full(coils, noise_std) * pattern, pattern) == []


@pytest.mark.parametrize("step, lines", [(2, 4), (3, 6), (4, 8)])
def test_a_lattice_with_calibration_lines_raises_no_doubt(step, lines):
    pattern = lattice(step, lines)
    assert doubts(full(8) * pattern, pattern) == []


@pytest.mark.parametrize("method", ["gibbs", Diffusion(num_levels=20, num_corrector=1)], ids=["gibbs", "diffusion"])
def test_posteriors_of_good_data_raise_no_doubt(method):
    pattern = masks.named("gaussian3", SHAPE, 0)
    assert doubts(full() * pattern, pattern, method=method, samples=2, iterations=20) == []


@pytest.mark.parametrize("name", ["brain16ch_mchiew_96.npz", "brain8ch_sigpy_poisson8x.npz"])
def test_scans_raise_no_doubt(shared, name):
    assert doubts(np.load(shared(f"data/dev/{name}"))["kspace"]) == []


@pytest.mark.parametrize("step, lines", [(2, 0), (3, 0), (4, 0), (2, 2), (5, 1)])
def test_a_lattice_without_calibration_lines_is_doubtful(step, lines):
    pattern = lattice(step, lines)
    assert any(sentence.startswith("mask: the image may be folded") for sentence in doubts(full() * pattern, pattern))


@pytest.mark.parametrize("word, coils, few", [
    ("cartesian4", 1, False), ("cartesian8", 1, True), ("cartesian8", 8, False), ("cartesian12acs4", 8, True),
    ("gaussian8", 1, False), ("gaussian16", 1, True), ("gaussian16", 8, False)])
def test_few_samples_are_doubtful(word, coils, few):
    shape = (96, 96)
    mask = masks.named(word, shape, 0)
    kspace = simulate_kspace(phantom(shape), coils, 0.005, 0) * mask
    assert any("so few samples" in sentence for sentence in doubts(kspace, mask, iterations=2)) == few


@pytest.mark.parametrize("temporal", [None, 0.05])
def test_frames_that_tell_of_each_other_need_fewer(temporal):
    shape = (96, 80)
    frames = np.stack([masks.named("cartesian8", shape, seed) for seed in range(3)], -1)
    full = to_bart(simulate_kspace(phantom(shape), 2, 0.005, 0))
    frames = frames.reshape(*shape, *(1,) * 8, 3)
    kspace = full.reshape(*full.shape, *(1,) * (10 - full.ndim), 1) * frames
    found = doubts(kspace, frames, temporal=temporal, iterations=2)
    assert any("so few samples" in sentence for sentence in found) == (temporal is None)


@pytest.mark.parametrize("pattern", [np.add.outer(np.arange(48), 2 * np.arange(48)) % 4 == 0,
                                     np.multiply.outer(np.arange(48) % 2, np.arange(48) % 2)], ids=["caipi", "2x2"])
def test_lattices_of_points_are_doubtful(pattern):
    assert any("folded" in sentence for sentence in doubts(full() * pattern, pattern))


def test_lines_of_a_lattice_along_a_trajectory_are_doubtful():
    rows, columns = np.meshgrid(np.arange(-24, 24, 2), np.arange(-24, 24), indexing="ij")
    kspace = full()[:, rows + 24, columns + 24]
    assert any("folded" in sentence for sentence in doubts(kspace, traj=np.stack([rows, columns], -1), dims=SHAPE))


def test_known_sensitivities_unfold_a_lattice():
    pattern = lattice(2)
    sens = sensitivities(SHAPE, 8).astype(np.complex64)
    assert doubts(full(8) * pattern, pattern, sens=sens) == []


def test_known_sensitivities_of_few_coils_do_not():
    pattern, sens = lattice(4), sensitivities(SHAPE, 2).astype(np.complex64)
    found = doubts(full(2) * pattern, pattern, sens=sens)
    assert any("tell the image from its copies" in sentence for sentence in found)


def test_one_coil_never_unfolds_a_lattice():
    pattern = lattice(2, 4)
    assert any("tell the image from its copies" in sentence for sentence in doubts(full(1) * pattern, pattern))


def test_folding_is_the_height_of_the_highest_copy():
    def of(mask):
        return folding(CartesianSampling.centred(np.asarray(mask, bool), np.float32).density)
    assert of(np.ones((24, 24))) < 0.3
    assert of(lattice(3, shape=(24, 24))) == pytest.approx(1)
    assert of(lattice(2, 2, (24, 24))) == pytest.approx(11 / 13, rel=1e-3)  # 12 even columns and an odd one
    assert of(np.zeros((24, 24))) == 1


@pytest.mark.parametrize("weight, folds", [(0.3, False), (0.1, False), (0.03, True), (0.001, True)])
@pytest.mark.parametrize("known_sens", [False, True])
def test_lines_of_little_weight_prevent_no_fold(weight, folds, known_sens):
    """On a grid and along a trajectory; those of a third of the weight do."""
    rows, columns = np.meshgrid(np.arange(-24, 24), np.arange(-24, 24), indexing="ij")
    weights, kspace = np.where(rows % 2 == 0, 1, weight), full(1 if known_sens else 4)
    sens = {"sens": np.ones((1, *SHAPE), np.complex64), "iterations": 2} if known_sens else {"iterations": 2}
    on_grid = doubts(kspace, weights, **sens)
    along = doubts(kspace, weights, traj=np.stack([rows, columns], -1), dims=SHAPE, **sens)
    assert [any("folded" in sentence for sentence in found) for found in (on_grid, along)] == [folds, folds]


@pytest.mark.parametrize("factor", [0.5, 0.7])
def test_a_trajectory_of_another_scale_is_doubtful(factor):
    kspace, traj = radial(spokes=32, coils=6)
    assert any("do not explain" in sentence for sentence in doubts(kspace, traj=factor * traj, dims=(40, 40)))


@pytest.mark.parametrize("factor", [1 / 0.256, 2 * np.pi / 0.256], ids=["1/m", "rad/m"])
def test_a_trajectory_of_another_unit_is_refused(factor):
    kspace, traj = radial()
    with pytest.raises(ValueError, match=r"dims: expected a grid .*, got 40 x 40, and .* in 1/m"):
        recon(kspace, traj=factor * traj, dims=(40, 40), **QUICK)


@pytest.mark.parametrize("power", [0.5, 1])
@pytest.mark.parametrize("frames", [False, True])
def test_a_density_compensation_is_doubtful(power, frames):
    """It is zero at zero frequency, which every spoke passes; the samples as they were measured raise no doubt."""
    radius, angles = np.arange(-20.0, 20.0), np.pi * np.arange(32) / 32
    traj = np.stack([np.outer(radius, np.sin(angles)), np.outer(radius, np.cos(angles)), np.zeros((40, 32))])
    images = (phantom((40, 40)) * sensitivities((40, 40), 6)).astype(np.complex64)
    kspace = Nufft(traj[:2].reshape(2, -1), (40, 40), np.complex64).forward(images).reshape(6, 40, 32)
    kspace = np.moveaxis(kspace, 0, -1)[None]
    compensated = kspace * abs(radius[:, None, None]) ** power
    if frames:
        kspace, compensated = (np.stack([array, array], -1).reshape(*array.shape, *(1,) * 6, 2)
                               for array in (kspace, compensated))
    found, measured = (doubts(array.astype(np.complex64), traj=traj) for array in (compensated, kspace))
    assert any("density compensation" in sentence for sentence in found)
    assert not any("density compensation" in sentence for sentence in measured)


def test_a_point_far_off_is_refused():
    kspace, traj = radial()
    traj[:2, 3, 4] = 824
    with pytest.raises(ValueError, match=r"traj: expected at most 100 pixels for each sample, got a grid of 1648 x"):
        recon(kspace, traj=traj, **QUICK)


def test_samples_far_apart_are_doubtful():
    kspace, traj = radial()
    assert any("do not resolve the field of view" in sentence for sentence in doubts(kspace, traj=2 * traj))


def test_random_points_in_one_readout_raise_no_doubt(rng):
    points = rng.normal(scale=8, size=(2, 1500)).clip(-20, 19)
    image = phantom((40, 40)) * sensitivities((40, 40), 4)
    kspace = Nufft(points, (40, 40), np.complex64).forward(image.astype(np.complex64))[:, None]
    assert doubts(kspace, traj=np.moveaxis(points, 0, -1)[None], dims=(40, 40), noise_std=1e-3) == []


def test_a_frame_outside_the_grid_is_refused():
    kspace, traj = radial()
    stack = np.stack([kspace.transpose(2, 1, 0)[None]] * 4, -1)[:, :, :, :, None]
    trajs = np.stack([traj, traj, 6 * traj, traj], -1)[:, :, :, None, None]
    with pytest.raises(ValueError, match=r"dims: expected a grid that holds the trajectory"):
        recon(stack, traj=trajs, dims=(40, 40), **QUICK)


def test_many_coils_and_a_small_matrix_raise_no_doubt():
    kspace = simulate_kspace(phantom((24, 24)), 32, 0.002, 0)
    assert doubts(kspace) == []


def test_a_part_outside_the_grid_is_doubtful():
    kspace, traj = radial()
    assert any(sentence.startswith("dims: a part of `traj`") for sentence in doubts(kspace, traj=traj, dims=(28, 28)))
    assert doubts(kspace, traj=traj, dims=(38, 40)) == []


def test_a_transposed_mask_is_doubtful():
    pattern = masks.named("cartesian3", SHAPE, 0)
    assert any(sentence.startswith("mask: many") for sentence in doubts(full() * pattern, pattern.T))


@pytest.mark.parametrize("lost", [(slice(None), 31), (slice(8), slice(None)), (slice(None), slice(7))])
def test_lines_of_zeros_inside_the_mask_count_as_lost(lost):
    """A line that was lost, an asymmetric echo, and padding: as zeros they would spoil the image."""
    kspace, mask, truth = simulate((64, 56), 4)
    mask = mask | masks.named("uniform2acs16", mask.shape, 0)
    kspace = simulate_kspace(truth, 4, 0.005, seed=0).astype(np.complex64) * mask
    kspace[(slice(None), *lost)] = 0
    given, found = (recon(kspace, pattern, iterations=12, maps=1).image for pattern in (mask, None))
    np.testing.assert_array_equal(given, found)
    weighted = recon(kspace, 0.5 * mask + 0.5 * (mask & (np.arange(56) % 4 == 0)), iterations=12, maps=1)
    assert psnr(weighted.image, abs(truth)) > psnr(found, abs(truth)) - 3


def test_rounding_where_nothing_was_sampled_counts_as_zero():
    pattern = masks.named("cartesian3", SHAPE, 0)
    kspace = full() * pattern
    rounded = fft2c(ifft2c(kspace)).astype(np.complex64)
    assert (rounded[:, ~pattern] != 0).any()
    assert np.allclose(recon(rounded, **QUICK).image, recon(kspace, pattern, **QUICK).image, atol=1e-4)


def test_noise_where_nothing_was_sampled_is_doubtful(rng):
    kspace = full() * masks.named("cartesian3", SHAPE, 0)
    kspace = kspace + (1e-5 * abs(kspace).max() * rng.standard_normal(kspace.shape)).astype(np.complex64)
    assert any("do not explain" in sentence for sentence in doubts(kspace))


def test_images_in_the_place_of_kspace_are_doubtful():
    assert any("do not explain" in sentence for sentence in doubts(ifft2c(full()).astype(np.complex64)))


@pytest.mark.parametrize("hole", [(slice(21, 28), slice(21, 28)), (slice(None), slice(4, -4))])
@pytest.mark.parametrize("coils", [1, 4])
def test_a_centre_that_is_not_sampled_is_doubtful(hole, coils):
    pattern = np.ones(SHAPE, bool)
    pattern[hole] = False
    assert any("its centre is not sampled" in sentence for sentence in doubts(full(coils) * pattern, pattern))


def test_a_centre_that_hardly_counts_is_doubtful():
    weights = np.ones(SHAPE)
    weights[:, 22:27] = 0.01
    assert any("its centre is not sampled" in sentence for sentence in doubts(full(), weights))
    assert not doubts(full(), np.where(weights < 1, 0.2, 1))


def test_a_centre_without_any_sample_is_doubtful():
    """Larger than the window in which doubts look at the centre."""
    pattern = np.ones((128, 128), bool)
    pattern[34:94, 34:94] = False
    kspace = simulate_kspace(phantom((128, 128)), 4, 0.001, seed=0)
    assert any("its centre is not sampled" in sentence for sentence in doubts(kspace * pattern, pattern))


@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.parametrize("value", [1, 10, 1e2, 1e3, 1e4, 1e5, 1e6])
def test_a_spike_is_doubtful(coils, value):
    kspace = full(coils)
    kspace[0, 10, 38] = value * abs(kspace).max()
    found = doubts(kspace)
    assert found and (value == 1 or any("spikes" in sentence for sentence in found))


@pytest.mark.parametrize("kind", ["cartesian2", "cartesian4", "cartesian8", "horizontal4"])
@pytest.mark.parametrize("gaps", [5e-3, 1e-3, 1e-5])
def test_noise_in_gaps_is_doubtful_without_a_mask(rng, kind, gaps):
    """It must not pass for samples of zero, be it weaker than that of the samples (0.005) or not."""
    kspace, pattern = full(), masks.named(kind, SHAPE, 0)
    noise = rng.standard_normal((2, *kspace.shape)).astype(np.float32)
    filled = np.where(pattern, kspace, gaps * (noise[0] + 1j * noise[1])).astype(np.complex64)
    assert any("far weaker than lines on both sides" in sentence for sentence in doubts(filled))
    assert not any("far weaker than lines on both sides" in sentence for sentence in doubts(kspace * pattern))


@pytest.mark.parametrize("period", [4, 6, 8])
@pytest.mark.parametrize("profile", [lambda x: (1 + np.cos(2 * np.pi * x)) / 2, lambda x: x % 1 < 0.5],
                         ids=["tags", "bars"])
@pytest.mark.parametrize("coils, noise_std", [(1, 0.003), (8, 0.003), (8, 0.02)])
def test_objects_with_a_period_have_no_gaps(period, profile, coils, noise_std):
    """Between the peaks of their k-space lines are weak, too."""
    kspace = simulate_kspace(phantom(SHAPE) * profile(np.arange(48) / period), coils, noise_std, 0)
    assert not any("far weaker than lines on both sides" in sentence for sentence in doubts(kspace, iterations=2))


@pytest.mark.parametrize("moved", ["one coil", "all coils"])
def test_masks_of_coils_have_no_gaps(moved):
    """Where few coils have a sample, the power is that of these; and if the masks are not given, the zeros tell."""
    line = masks.named("cartesian3", SHAPE, 0)
    of_coils = np.stack([np.roll(line, 2, 1) if i == 3 else line if moved == "one coil" else
                         masks.named("cartesian3", SHAPE, i) for i in range(16)])
    kspace = full(16) * of_coils
    assert doubts(kspace, of_coils, iterations=20) == []
    assert any(sentence.startswith("mask: many of its samples are zero in some of") for sentence in doubts(kspace))


def test_a_coil_without_signal_raises_no_doubt():
    kspace, mask = full(3), masks.named("cartesian3", SHAPE, 0)
    kspace[0] = 0
    assert doubts(kspace * mask, mask, iterations=20) == []


def clipped(kspace, part):
    """K-space of a receiver that cuts off what is larger than a part of the largest value."""
    limit = part * max(abs(kspace.real).max(), abs(kspace.imag).max())
    return (kspace.real.clip(-limit, limit) + 1j * kspace.imag.clip(-limit, limit)).astype(np.complex64)


def saturated(*inputs, **options):
    return any("receiver saturated" in sentence for sentence in doubts(*inputs, iterations=2, **options))


@pytest.mark.parametrize("part, is_doubtful", [(1, False), (0.6, True), (0.3, True), (0.05, True)])
def test_a_saturated_receiver_is_doubtful(part, is_doubtful):
    assert saturated(clipped(full(8), part)) == is_doubtful
    kspace, traj = radial()
    assert saturated(clipped(kspace, part), traj=traj) == is_doubtful


def test_a_saturated_receiver_is_doubtful_in_integers_and_other_units():
    kspace = clipped(full(8), 0.5)
    integers = np.rint(kspace / abs(kspace.real).max() * 127)
    assert saturated(integers.astype(np.complex64))
    assert saturated((np.pi * 1e-7 * kspace).astype(np.complex64))


@pytest.mark.parametrize("steps", [127, 31])
def test_integers_of_few_bits_are_not_saturated(steps):
    kspace = full(8)
    assert not saturated(np.rint(kspace / abs(kspace).max() * steps).astype(np.complex64))


def test_a_point_and_coils_that_are_alike_are_not_saturated():
    point = np.zeros((1, *SHAPE), complex)
    point[0, 20, 31] = 1
    assert not saturated(fft2c(point).astype(np.complex64))
    assert not saturated(np.repeat(full(1), 8, axis=0))


def test_the_centre_that_all_spokes_measure_is_not_saturated():
    angle = np.arange(16) * np.pi / 16
    points = np.stack([np.outer(part(angle), np.arange(-20, 20)) for part in (np.sin, np.cos)])
    images = (phantom((40, 40)) * sensitivities((40, 40), 4)).astype(np.complex64)
    kspace = Nufft(points.reshape(2, -1), (40, 40), np.complex64).forward(images).reshape(4, 16, 40)
    assert not saturated(kspace, traj=np.moveaxis(points, 0, -1), noise_std=1e-3)


def test_noise_alone_is_doubtful(rng):
    noise = rng.standard_normal((2, 4, *SHAPE)).astype(np.float32)
    assert any("its centre is not sampled" in sentence for sentence in doubts(noise[0] + 1j * noise[1]))


def test_a_noise_level_in_other_units_is_doubtful_or_refused():
    kspace, mask, _ = simulate(SHAPE, 4)
    assert doubts(kspace, mask=mask, noise_std=float(abs(kspace).max())) == [
        "noise_std: it is larger than the samples, so that the image hardly depends on them: is it in the units of"
        " kspace?"]
    with pytest.raises(ValueError, match=r"^noise_std: expected it in the units of kspace, got .* times the largest"):
        recon(kspace, mask, noise_std=1e200)


@pytest.mark.parametrize("coils, mask, noise_std", [(2, "radial24", 0.1), (2, "cartesian3", 0.2), (8, "gaussian4", 0.1),
                                                    (8, "full", 0.3)])
def test_a_noise_level_that_is_too_large_is_doubtful(coils, mask, noise_std):
    """A right one is not, however low the signal is; the residual tells with several coils."""
    pattern = masks.named(mask, SHAPE, 0)
    for factor in (1, 10, 30):
        kspace = simulate_kspace(phantom(SHAPE), coils, noise_std / factor, 0) * pattern
        found = [text for text in doubts(kspace, pattern, noise_std=noise_std, iterations=30) if "noise_std" in text]
        assert bool(found) == (factor > 1), factor


def test_estimated_noise_and_that_of_one_coil_are_not_too_large():
    mask = masks.named("gaussian3", SHAPE, 0)
    for coils, noise_std in ((4, None), (1, 0.1)):
        assert doubts(full(coils, 0.1) * mask, mask, noise_std=noise_std, iterations=30) == []


@pytest.mark.parametrize("shape, coils", [((20, 18, 16), 2), ((40, 36, 8), 1)])
def test_the_centre_of_a_volume_is_told_from_noise(rng, shape, coils):
    """A ball of a third or most of the field of view has a centre, noise has none, and a hole is where it should be."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    noise = rng.standard_normal((2, *shape, coils)).astype(np.float32)
    noise = noise[0] + 1j * noise[1]
    sens = np.exp(-(x[..., None] - np.arange(coils)) ** 2 + 1j * y[..., None])
    for size in (0.1, 0.8):
        kspace = fft2c(sens * (z**2 + y**2 + x**2 < size)[..., None], axes=(0, 1, 2)) + 0.01 * noise
        assert doubts(kspace.astype(np.complex64), iterations=1) == []
    hole = np.hypot(np.hypot(z * shape[0], y * shape[1]), x * shape[2]) > 10
    for bad, mask in ((noise, None), (kspace.astype(np.complex64) * hole[..., None], hole)):
        assert any("its centre is not sampled" in sentence for sentence in doubts(bad, mask, iterations=1))


@pytest.mark.parametrize("shape", [(64, 64, 4), (96, 80, 2)])
def test_noise_in_a_slab_has_no_centre(rng, shape):
    noise = rng.standard_normal((2, *shape, 1)) * masks.named("gaussian8", shape[1:], 0)[..., None]
    found = doubts((noise[0] + 1j * noise[1]).astype(np.complex64), iterations=1)
    assert any("its centre is not sampled" in sentence for sentence in found)


def slab(slices, shift, noise_std=0.02, shape=(40, 36), coils=2):
    """K-space (y, x, z, coil) of a phantom that goes on through a slab, and moves by `shift` pixels in each slice."""
    plane = phantom(shape) * sensitivities(shape, coils)
    images = np.stack([np.roll(plane, shift * z, -1) for z in range(slices)], -1)
    kspace = fft2c(images, axes=(1, 2, 3))
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, *kspace.shape))
    return np.moveaxis(kspace + noise_std * (noise[0] + 1j * noise[1]), 0, -1).astype(np.complex64)


@pytest.mark.parametrize("slices", [8, 16, 24])
@pytest.mark.parametrize("shift", [0, 1])
def test_a_slab_has_a_centre(slices, shift):
    """Although its energy lies near a plane of k-space."""
    assert doubts(slab(slices, shift), iterations=1) == []


@pytest.mark.parametrize("slices", [4, 6, 24])
@pytest.mark.parametrize("axis, name", [(0, "READ"), (1, "PHS1"), (2, "PHS2")])
def test_slices_in_the_place_of_partitions_are_doubtful(axis, name, slices):
    """And the sentence names their axis."""
    hybrid = np.moveaxis(ifft2c(slab(slices, 0), axes=(2,)), 2, axis).astype(np.complex64)
    found = [sentence for sentence in doubts(hybrid, iterations=1) if "slices" in sentence]
    assert len(found) == 1 and f"its energy is as even along {name} as that of slices" in found[0]


def test_a_slab_without_its_centre_is_doubtful():
    kspace = slab(12, 0)
    z = np.arange(12) - 6
    for hole in (abs(z) > 2, np.hypot(*np.ogrid[-20:20, -18:18])[..., None] > 5 + 0 * z):
        mask = np.broadcast_to(hole, kspace.shape[:3])
        found = doubts(kspace * mask[..., None], mask, iterations=1)
        assert any("its centre is not sampled" in sentence for sentence in found)


def test_wrong_sensitivities_are_doubtful():
    sens = sensitivities(SHAPE, 4).astype(np.complex64)
    assert any("do not explain" in sentence for sentence in doubts(full(), sens=sens[[2, 3, 1, 0]]))


@pytest.mark.parametrize("signal, is_doubtful", [(0, False), (0.02, False), (1, True)])
def test_a_coil_with_signal_and_no_sensitivities_is_doubtful(rng, signal, is_doubtful):
    kspace, sens = full(), sensitivities(SHAPE, 4).astype(np.complex64)
    noise = 0.005 * (rng.standard_normal((2, *SHAPE)) * [[[1]], [[1j]]]).sum(0)
    kspace[1], sens[1] = signal * kspace[1] + noise, 0
    assert any("zero in a coil that holds signal" in sentence for sentence in doubts(kspace, sens=sens)) == is_doubtful


@pytest.mark.parametrize("swap", [lambda k: k[None], lambda k: np.moveaxis(k, 0, -1), lambda k: to_bart(k).T],
                         ids=["(1, coil, y, x)", "(y, x, coil)", "(coil, 1, x, y)"])
def test_swapped_axes_are_doubtful(swap):
    kspace = full() * masks.named("gaussian3", SHAPE, 0)
    assert any("more coils than the image" in sentence for sentence in doubts(swap(kspace), iterations=1))


def test_slices_share_a_sentence():
    pattern = lattice(2)
    stack = np.stack([to_bart(full() * (pattern if i % 2 else True)) for i in range(4)], -1)
    folded, = (sentence for sentence in doubts(stack) if "folded" in sentence)
    assert folded.endswith("sensitivities (MAPS 1; MAPS 3)")


def test_a_command_prints_one_line(tmp_path, pogmdm):
    pattern = lattice(2)
    write({tmp_path / "ksp": to_bart(full() * pattern), tmp_path / "pat": pattern})
    done = pogmdm("-i", 5, "-p", "pat", "ksp", "img", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.startswith("WARNING: -p: the image may be folded") and done.stderr.count("\n") == 1


def test_a_warning_that_cannot_be_printed_costs_nothing(tmp_path):
    pattern = lattice(2)
    write({tmp_path / "ksp": to_bart(full() * pattern)})
    with open("/dev/full", "w") as nowhere:
        done = subprocess.run([sys.executable, "-m", "bart_pogmdm", "-i2", "ksp", "img"], cwd=tmp_path, check=False,
                              stderr=nowhere)
    assert done.returncode == 0 and (tmp_path / "img.cfl").exists()


@pytest.mark.parametrize("exponent", [-38, -30, -20, 10, 25, 37])
def test_data_of_any_scale_give_the_same_image(exponent):
    kspace, mask, _ = simulate((40, 36), coils=4)
    expected = recon(kspace, mask, **QUICK)
    scaled = (kspace.astype(complex) * 10.0**exponent / abs(kspace).max()).astype(np.complex64)
    found = recon(scaled, mask, **QUICK)
    assert psnr(found.image.astype(complex) / 10.0**exponent, expected.image) > 50
    assert found.info["noise_std"] / 10.0**exponent == pytest.approx(
        expected.info["noise_std"] / abs(kspace).max(), rel=1e-2)


@pytest.mark.parametrize("exponent", [-300, -170, 160, 300])
def test_doubts_do_not_depend_on_the_scale(exponent):
    kspace = full().astype(complex)
    rows = np.arange(0, 48, 4)
    kspace[:, rows, 7 * rows % 48] = 10 * (-1.0) ** np.arange(len(kspace))[:, None]
    kspace *= 10.0**exponent
    rules = Rules(spikes=SpikeRules(contrast=1e9))  # none is left out
    assert any("do not explain" in sentence for sentence in doubts(kspace, rules=rules))


@pytest.mark.parametrize("exponent", [-30, 25])
@pytest.mark.parametrize("normalize", [True, False])
def test_known_sensitivities_may_have_any_scale(exponent, normalize):
    kspace, sens = full() * masks.named("gaussian3", SHAPE, 0), sensitivities(SHAPE, 4)
    options = QUICK | {"normalize": normalize}
    expected = recon(kspace, sens=sens.astype(np.complex64), **options)
    found = recon(kspace, sens=(sens * 10.0**exponent).astype(np.complex64), **options)
    assert np.allclose(found.image.astype(complex) * found.sens, expected.image * expected.sens, atol=1e-4)
    if not normalize:
        np.testing.assert_array_equal(found.sens, (sens * 10.0**exponent).astype(np.complex64))


@pytest.mark.parametrize("value", [1e20, 1e30, 1e38])
def test_spikes_that_hide_all_else_are_refused(value):
    kspace = np.stack([to_bart(full()), to_bart(full())], -1)
    kspace[11, 13, 0, 2, 1] = value
    with pytest.raises(ValueError, match=r"kspace: expected samples of one scale, got 1 of magnitude .*in MAPS 1"):
        recon(kspace, **QUICK)


def test_a_result_that_is_not_finite_is_an_error():
    class Broken:
        def score(self, image, sigma):
            return image * np.nan

        def curvature(self, shape, sigma, xp):
            return xp.ones(shape, np.float32)

    with pytest.raises(ValueError, match=r"kspace: .* finite image"):
        recon(full(), prior=Broken(), **QUICK)


def test_warnings_go_into_json():
    pattern = lattice(2)
    said = doubts(full() * pattern, pattern)
    assert said and json.loads(json.dumps(said)) == said
