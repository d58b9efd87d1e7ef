"""Less work for the same image: steps at half the resolution, sampled lines only, and coils above the noise."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import psnr, simulate
from properties import random_complex
from trajectories import error

from bart_pogmdm import Map, recon
from bart_pogmdm.algorithms.held_out import HeldOut, HeldOutRules
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.resolution import CoarseSteps, LowResolution
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.algorithms.units import Units
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulated_kspace
from bart_pogmdm.evaluate.simulate import phantom
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_compression import CoilRules, above_noise
from bart_pogmdm.physics.fourier import fft2c, resample
from bart_pogmdm.physics.grid_transform import SampledLines, WholeGrid
from bart_pogmdm.physics.image_set import ImageSet
from bart_pogmdm.physics.nufft import Nufft
from bart_pogmdm.physics.series import SeriesSampling
from bart_pogmdm.prior.smooth_phase import SmoothPhase

FINE, COARSE = (48, 41), (24, 22)


def problem_of(sampling, image, rng, coils=2):
    sens = np.ones((coils, *FINE)) * np.exp(1j * rng.uniform(0, 6, (coils, 1, 1)))
    start = State(image, sens, units=Units(2.0))
    return Problem(sampling, sampling.forward(sens * image), 0.1, None, ImageSet(FINE), start)


def cartesian(rng):
    return CartesianSampling.centred(rng.random(FINE) < 0.5, float)


def trajectory(rng):
    pytest.importorskip("finufft")
    return Nufft(rng.uniform(-0.5, 0.5, (2, 700)) * np.array(FINE)[:, None], FINE, np.complex128)


@pytest.mark.parametrize("sampling_of", [cartesian, trajectory])
def test_a_coarse_problem_has_the_same_images_in_units_of_equal_brightness(sampling_of, rng):
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n for n in FINE), indexing="ij")
    smooth = np.exp(-(y**2 + x**2) / (2 * 0.08**2) + 4j * y)
    low = LowResolution.of(problem_of(sampling_of(rng), smooth, rng), 16)
    coarse = low.problem.start.image
    assert coarse.shape == COARSE
    np.testing.assert_allclose(coarse[12, 11], smooth[24, 20], rtol=1e-6)  # the pixel in the centre
    seen = low.problem.model(low.problem.start.sens).forward(coarse)
    np.testing.assert_allclose(seen, low.problem.samples, atol=2e-5 * abs(seen).max())
    ratio = low.problem.units.scale / low.fine.units.scale
    assert np.isclose(ratio**2, np.prod(FINE) / np.prod(COARSE))
    assert np.isclose(low.problem.noise_std * low.problem.units.scale, low.fine.noise_std * low.fine.units.scale)


def test_a_refined_image_has_the_high_frequencies_of_the_start(rng):
    image = random_complex(rng, FINE)
    low = LowResolution.of(problem_of(cartesian(rng), image, rng), 16)
    np.testing.assert_allclose(low.refined(low.problem.start).image, image, atol=1e-12)
    followed = low.problem.start.image / 4
    state = State(followed, low.problem.start.sens, units=low.problem.units.follow(4.0))
    np.testing.assert_allclose(low.refined(state).image, image / 4, atol=1e-12)


def test_small_images_have_no_coarse_problem(rng):
    problem = problem_of(cartesian(rng), random_complex(rng, FINE), rng)
    assert LowResolution.of(problem, 20) is not None and LowResolution.of(problem, 21) is None


def test_low_resolution_of_a_series_is_that_of_each_image(rng):
    """Along other trajectories a coarser grid holds another number of samples of each image."""
    parts, samples = [trajectory(rng), trajectory(rng)], random_complex(rng, (2, 2, 700))
    low, low_samples = SeriesSampling(tuple(parts)).low(samples, COARSE)
    images = random_complex(rng, (2, 2, *COARSE))
    adjoint, forward = low.adjoint(low_samples.copy()), low.forward(images.copy())
    counts = []
    for number, part in enumerate(parts):
        alone, own = part.low(samples[:, number], COARSE)
        counts.append(alone.count)
        assert error(adjoint[:, number], alone.adjoint(own.copy())) < 1e-5
        assert error(forward[:, number, :counts[-1]], alone.forward(images[:, number].copy())) < 1e-5
    assert counts[0] != counts[1] and low.count.ravel().tolist() == counts


def test_the_last_steps_are_taken_at_full_resolution():
    kspace, mask = simulate()[:2]
    shapes = []
    method = Map(iterations=24, fine_steps=12, coarse=CoarseSteps(longest=1, shortest=32))
    recon(kspace, mask, method=method, callback=lambda state: shapes.append(state.image.shape))
    assert shapes == 12 * [(36, 32)] + 12 * [(72, 64)]


def test_coarse_steps_save_time_and_no_quality():
    kspace, mask, truth = simulate()[:3]
    fine, coarse = (recon(kspace, mask, method=Map(coarse=CoarseSteps(shortest=n))) for n in (64, 32))
    assert psnr(coarse.image, truth) > psnr(fine.image, truth) - 0.2


def coarse_steps(problem, usual, factors, held_out=None, **options):
    """All states of steps to images of the start times factors, and what the coarse steps return."""
    def solve(problem, steps, smoother):
        assert smoother == usual
        for step in steps:
            yield replace(problem.start, image=factors[step] * problem.start.image)

    def run():
        steps = CoarseSteps(shortest=16, **options)
        returned.append((yield from steps.of(problem, usual, solve, SmoothPhase(), held_out)))

    returned = []
    return list(run()), *returned[0]


def with_held_out(sampling, rng):
    """A problem, the same without some samples, and these."""
    whole = problem_of(sampling, random_complex(rng, FINE), rng)
    which = (rng.random(sampling.density.shape) < 0.1) & (sampling.density > 0)
    return whole.without(which), HeldOut(whole, which, HeldOutRules())


@pytest.mark.parametrize("usual, change, expected", [(10, 0.01, 6), (10, 1e-12, 30), (1, 0.01, 3), (0, 0.01, 0)])
def test_coarse_steps_end_where_the_image_hardly_changes(usual, change, expected, rng):
    """Each step goes half of the way from 0 to 1: the change falls below a part of 0.01 with the seventh, 1 / 128."""
    rest, held_out = with_held_out(cartesian(rng), rng)
    factors = [1 - 0.5 ** (step + 2) for step in range(40)]
    states, fine, previous, count = coarse_steps(rest, usual, factors, held_out, change=change)
    assert len(states) == count == expected
    assert all(state.image.shape == COARSE for state in states)
    low = rest.images.grid if usual == 0 else COARSE
    for image, number in ((fine.start.image, count), (previous, max(count - 1, 0))):
        wanted = (factors[number - 1] if number else 1) * resample(held_out.problem.start.image, low)
        np.testing.assert_allclose(resample(image, low), wanted, rtol=1e-6, atol=1e-9)


def test_coarse_steps_go_back_to_the_image_that_fits_kept_samples_best(rng):
    """The samples are those of the factor 1: from there on the misfit rises until the next look."""
    rest, held_out = with_held_out(cartesian(rng), rng)
    factors = [*np.linspace(0.5, 0.98, 20), *np.linspace(1.2, 3, 100)]
    states, fine, previous, count = coarse_steps(rest, 30, factors, held_out, look=5)
    assert len(states) == 25 and count == 20
    start = resample(held_out.problem.start.image, COARSE)
    np.testing.assert_allclose(resample(fine.start.image, COARSE), 0.98 * start, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(resample(previous, COARSE), factors[18] * start, rtol=1e-6, atol=1e-9)


def test_several_coils_without_kept_samples_take_the_usual_number_of_steps(rng):
    whole = problem_of(cartesian(rng), np.ones(FINE, complex), rng)
    assert len(coarse_steps(whole, 7, 100 * [1.0])[0]) == 7


@pytest.mark.parametrize("at, expected", [(None, 21), ((12.5, 10.5), 10), ((0.5, 0.5), 21)])
def test_one_coil_goes_on_unless_its_phase_winds_in_the_light(at, expected, rng):
    """Looks come every fifth step, and count from the usual number on.  In the dark corner winding does not matter."""
    y, x = np.meshgrid(*((np.arange(n) + 0.5) * size / n for n, size in zip(FINE, COARSE)), indexing="ij")
    light = np.exp(-((y - 12) ** 2 + (x - 10) ** 2) / 80) + 0j
    image = light if at is None else light * ((y - at[0] - 0.5) + 1j * (x - at[1] - 0.5))
    whole = problem_of(cartesian(rng), image, rng, coils=1)
    which = (rng.random(FINE) < 0.1) & (whole.sampling.density > 0)
    held_out = HeldOut(whole, which, HeldOutRules())
    assert len(coarse_steps(whole, 7, [2.0**n for n in range(1, 40)], held_out)[0]) == expected


def test_kept_samples_beyond_the_coarse_grid_and_those_of_volumes_change_no_number_of_steps(rng):
    whole = problem_of(cartesian(rng), np.ones(FINE, complex), rng)
    high = (whole.sampling.radius(FINE) > 0.4) & (whole.sampling.density > 0)
    assert len(coarse_steps(whole.without(high), 7, 100 * [1.0], HeldOut(whole, high, HeldOutRules()))[0]) == 7
    shape = (8, 10, 12)
    sampling, sens, image = CartesianSampling.centred(np.ones(shape), float, 3), np.ones((2, *shape)), np.ones(shape)
    start = State(image.astype(complex), sens.astype(complex))
    volume = Problem(sampling, sampling.forward(sens * start.image), 0.1, None, ImageSet(shape), start)
    which = rng.random(shape) < 0.1
    assert len(coarse_steps(volume.without(which), 7, 100 * [1.0], HeldOut(volume, which, HeldOutRules()))[0]) == 7
    assert CoarseSteps(longest=0.5).most(7) == 7


def test_images_that_are_soon_done_take_fewer_steps():
    steps = []
    kspace = simulated_kspace(phantom((128, 128)), 8, 0.01, 0)
    for lines, part in ((2, 0.2), (6, 0.05)):
        mask = masks.cartesian((128, 128), lines, 0, acs_fraction=part)
        states = []
        recon(kspace * mask, mask, callback=states.append)
        assert [state.info.iteration for state in states] == list(range(1, len(states) + 1))
        assert len(states) <= states[0].info.iterations == Map().num_iterations(0)
        steps.append(len(states))
    assert 21 <= steps[0] < steps[1] - 5


def test_slices_are_numbered_as_if_each_took_all_its_steps():
    kspace = np.stack([to_bart(simulate()[0])] * 2, -1).reshape(72, 64, 1, -1, *9 * [1], 2)
    numbers = []
    recon(kspace, iterations=30, callback=lambda state: numbers.append((state.info.iteration, state.info.iterations)))
    most = Map(iterations=30).num_iterations(0)
    assert len(numbers) < 2 * most and most + 1 in {number for number, _ in numbers}
    assert numbers == sorted(numbers) and {total for _, total in numbers} == {2 * most}


def test_fine_steps_that_are_all_last_ones_are_refused():
    with pytest.raises(ValueError, match=r"^fine_steps: expected at least 12, 2 more than last_steps, got 11$"):
        Map(fine_steps=11)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("shape, along", [((20, 18), -1), ((20, 18), -2), ((8, 9, 10), -1), ((8, 9, 10), -3)])
def test_transforms_of_sampled_lines_are_those_of_the_whole_grid(shape, along, whole, weighted, rng):
    across = tuple(n for axis, n in enumerate(shape, -len(shape)) if axis != along)
    lines = np.expand_dims(rng.random(across) < 0.4, along)
    mask = np.broadcast_to(lines, shape) & (whole | (rng.random(shape) < 0.8))
    fast = CartesianSampling.centred(mask, float, len(shape))
    fast = fast.weighted(rng.random(shape)) if weighted else fast
    slow = replace(fast)
    slow.__dict__["_transform"] = WholeGrid(tuple(range(-len(shape), 0)))
    assert isinstance(fast._transform, SampledLines) and fast._transform.whole == whole
    images = random_complex(rng, (3, 2, *shape))
    samples = slow.forward(images.copy())
    np.testing.assert_allclose(fast.forward(images.copy()), samples, atol=1e-12)
    np.testing.assert_allclose(fast.adjoint(samples.copy()), slow.adjoint(samples.copy()), atol=1e-12)
    np.testing.assert_allclose(fast.normal(images.copy()), slow.normal(images.copy()), atol=1e-12)


def noisy_coils(rng, strengths, noise_std):
    """Samples (J, M) of coils that mix signals of some strengths, with noise."""
    mixing = np.linalg.qr(random_complex(rng, (len(strengths),) * 2))[0]
    signal = mixing @ (np.array(strengths)[:, None] * random_complex(rng, (len(strengths), 20000)) / 2**0.5)
    return signal + noise_std * random_complex(rng, signal.shape)


def test_coils_below_the_noise_are_left_out(rng):
    """The power of the signal is that of the strength squared, and that of the noise 2 noise_std^2."""
    samples = noisy_coils(rng, (9, 5, 3, 1, 0.1, 0.05), 0.5)
    kept = above_noise([(samples, 0.5)], CoilRules())
    assert kept.shape == (4, 6)
    np.testing.assert_allclose(kept @ kept.conj().T, np.eye(4), atol=1e-12)
    lost = (abs(samples) ** 2).sum() - (abs(kept @ samples) ** 2).sum()
    assert np.isclose(lost / samples.shape[1], 2 * 2 * 0.5**2, rtol=0.05)  # the noise of two coils
    assert above_noise([(samples, 0.01)], CoilRules()) is None
    assert above_noise([(samples, 100.0)], CoilRules()).shape == (3, 6)


def test_an_image_that_sees_a_coil_keeps_it_for_all(rng):
    quiet, loud = (noisy_coils(np.random.default_rng(0), (9, 5, 3, 0, strength), 0.5) for strength in (0, 3))
    assert above_noise([(quiet, 0.5)], CoilRules()).shape == (3, 5)
    assert above_noise([(quiet, 0.5), (loud, 0.5)], CoilRules()).shape == (4, 5)


def test_empty_coils_do_not_make_up_for_signal(rng):
    samples = noisy_coils(rng, (9, 5, 3, 1, 1, 0.1), 0.5)
    padded = np.concatenate([samples, np.zeros_like(samples)])
    kept, of_padded = above_noise([(samples, 0.5)], CoilRules()), above_noise([(padded, 0.5)], CoilRules())
    assert of_padded.shape == (5, 12)
    np.testing.assert_allclose(abs(of_padded[:, :6] @ kept.conj().T), np.eye(5), atol=1e-6)


def test_fewer_virtual_coils_give_the_sensitivities_of_all_coils():
    kspace, mask, truth = simulate(noise_std=0.03)[:3]
    copies = np.concatenate([kspace, kspace * 1j])  # only eight of these sixteen coils are different
    noise = 0.03 * random_complex(np.random.default_rng(5), copies.shape) * (kspace != 0).any(0)
    result = recon((copies + noise).astype(np.complex64), mask)
    assert result.sens.shape == (16, *truth.shape)
    bright = abs(truth) > 0.3
    np.testing.assert_allclose((abs(result.sens) ** 2).sum(0)[bright], 1, atol=1e-4)
    np.testing.assert_allclose(result.sens[8:, bright], 1j * result.sens[:8, bright], atol=0.15)
    coil_images = fft2c(result.sens * result.image)
    seen = (mask != 0) & (abs(kspace).sum(0) > 0)
    error = (abs(coil_images - copies)[:, seen] ** 2).mean() ** 0.5
    assert error < 3 * 0.03 * 2**0.5
