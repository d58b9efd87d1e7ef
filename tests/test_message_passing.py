"""Message passing, and the held-out samples that judge between maximum and mean."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import simulate
from properties import random_complex
from scipy.ndimage import binary_dilation
from test_algorithms import matrices, small_problem, started_at

from bart_pogmdm import Map, recon
from bart_pogmdm.algorithms.held_out import HeldOut, HeldOutRules, without_held_out
from bart_pogmdm.algorithms.joint_map import joint_map, majorise_minimise, map_or_mean
from bart_pogmdm.algorithms.likelihood import Likelihood
from bart_pogmdm.algorithms.message_passing import LEAST_WEIGHT, LinearEstimate, Message, MessagePassing, next_message
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.evaluate import metrics
from bart_pogmdm.evaluate.simulate import folded, sensitivities
from bart_pogmdm.evaluate.simulate import kspace as simulated_kspace
from bart_pogmdm.evaluate.simulate import phantom as head
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.coil_model import least_squares
from bart_pogmdm.physics.fourier import fft2c, filtered, ifft2c

SMOOTH = np.ones((3, 64, 64), complex) / 3**0.5
NEVER = Map(iterations=45, last_steps=45, fine_steps=47)  # the maximum without the mean


class WhitePrior:
    """Pixels that are Gaussian with a mean of zero and a variance, whose denoiser is a factor."""

    def __init__(self, variance):
        self.variance = variance

    def denoise(self, image, sigma):
        return self.variance / (self.variance + sigma**2) * image


def no_phase(image):
    return np.ones_like(image)


def converged(model, samples, variance):
    return LinearEstimate(model, model.adjoint(samples), np.ones(model.sampling.shape), variance, cg=100)


@pytest.mark.parametrize("coils", [1, 3])
def test_it_finds_mean_and_variance_of_a_gaussian_posterior(coils, rng):
    problem, model = small_problem(rng, coils)
    matrix, _ = matrices(problem, model)
    of_prior, of_noise = 0.3, 0.04
    samples = model.forward(random_complex(rng, problem.images.grid))
    precision = matrix.conj().T @ matrix / of_noise + np.eye(matrix.shape[1]) / of_prior
    exact = np.linalg.solve(precision, matrix.conj().T @ samples.ravel() / of_noise).reshape(problem.images.grid)
    linear, message = converged(model, samples, of_noise), Message(np.zeros(problem.images.grid, complex), 1.0)
    for _ in range(30):
        message = next_message(linear, message, WhitePrior(of_prior), no_phase, MessagePassing(widest=100), rng)
    np.testing.assert_allclose(message.variance, of_prior, rtol=1e-6)
    np.testing.assert_allclose(linear.of(message), exact, atol=1e-6)
    probes = [linear.error(message, rng) for _ in range(400)]
    np.testing.assert_allclose(np.mean(probes), np.trace(np.linalg.inv(precision)).real / len(precision), rtol=0.02)


def test_the_linear_estimate_of_a_weighted_image_is_exact(rng):
    problem, model = small_problem(rng, 3)
    matrix, _ = matrices(problem, model)
    weight, of_noise, mean = rng.uniform(0.2, 2, problem.images.grid), 0.04, random_complex(rng, problem.images.grid)
    weight[:2] = LEAST_WEIGHT  # as where no coil sees anything
    samples = model.forward(random_complex(rng, problem.images.grid))
    linear = LinearEstimate(model, model.adjoint(samples) / weight, weight, of_noise, cg=200)
    precision = matrix.conj().T @ matrix / of_noise + np.diag(weight.ravel() ** 2 / 0.3)
    rhs = matrix.conj().T @ samples.ravel() / of_noise + (weight * mean).ravel() / 0.3
    exact = np.linalg.solve(precision, rhs).reshape(mean.shape)
    np.testing.assert_allclose(linear.of(Message(mean, 0.3)), weight * exact, atol=1e-6)
    maximum, message = random_complex(rng, mean.shape), Message(mean / weight, 0.3)
    np.testing.assert_allclose(linear.moved(maximum, message, np.ones(mean.shape)), exact, atol=1e-6)
    np.testing.assert_allclose(linear.moved(maximum, message, np.zeros(mean.shape)), maximum, atol=1e-12)
    covariance = weight.ravel() * np.linalg.inv(precision).diagonal().real * weight.ravel()
    probes = [linear.error(Message(mean, 0.3), rng) for _ in range(400)]
    np.testing.assert_allclose(np.mean(probes), covariance.reshape(mean.shape)[2:].mean(), rtol=0.02)


def test_the_denoiser_gets_as_much_noise_as_it_is_told_wherever_the_coils_are(rng):
    noise_std, truth = 0.05, random_complex(rng, (64, 64))
    problem, _ = small_problem(rng, 3, truth.shape, noise_std)
    problem = replace(problem, sampling=CartesianSampling.centred(np.ones(truth.shape, bool), float),
                      start=State(truth, SMOOTH * np.where(np.arange(64) < 32, 0.4, 1.2)))
    samples = problem.model(problem.start.sens).forward(truth)
    problem = replace(problem, samples=samples + noise_std * random_complex(rng, samples.shape))
    linear, seen = LinearEstimate.at_start(problem, Map().likelihood, 10), []

    class Watch:
        def denoise(self, image, sigma):
            seen.append((image - linear.weight * truth, sigma))
            return image

    next_message(linear, Message(linear.weight * truth, 1.0), Watch(), no_phase, MessagePassing(), rng)
    noise, sigma = seen[0]
    for half in (noise[:, :32], noise[:, 32:]):
        np.testing.assert_allclose(half.std() / 2**0.5, sigma, rtol=0.06)


def test_the_units_of_images_do_not_matter(rng):
    problem, model = small_problem(rng, 2)
    samples, image = model.forward(random_complex(rng, problem.images.grid)), random_complex(rng, problem.images.grid)
    first = next_message(converged(model, samples, 0.02), Message(image, 0.5), WhitePrior(0.3), no_phase,
                         MessagePassing(widest=100), np.random.default_rng(0))
    second = next_message(converged(model, samples / 3, 0.02 / 9), Message(image, 0.5).in_units(3),
                          WhitePrior(0.3 / 9), no_phase, MessagePassing(widest=100), np.random.default_rng(0))
    np.testing.assert_allclose(second.mean, first.in_units(3).mean, atol=1e-8)
    np.testing.assert_allclose(second.variance, first.in_units(3).variance)


def test_the_weights_are_those_of_the_smallest_misfit(rng):
    """The second image is nearer to the truth at high frequencies, the first at low ones: each rules where it is."""
    shape = (64, 64)
    problem, _ = small_problem(rng, 3, shape)
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    truth, low, which = random_complex(rng, shape), radius < 0.25, rng.random(shape) < 0.3
    first, second = (truth + filtered(np.where(low, inside, outside), random_complex(rng, shape))
                     for inside, outside in ((0.3, 1), (1, 0.3)))
    problem = replace(problem, samples=problem.model(SMOOTH).forward(truth), start=State(first, SMOOTH))
    weights = HeldOut(problem, which, HeldOutRules()).weights(second)
    assert weights.shape == shape and weights.min() >= 0 and weights.max() <= 1
    np.testing.assert_allclose(weights[radius < 0.1], 0.09 / 1.09, atol=0.1)
    np.testing.assert_allclose(weights[radius > 0.35], 1 / 1.09, atol=0.1)
    assert weights[0, 0] == 0


def test_an_image_that_is_not_better_beyond_chance_has_no_weight(rng):
    problem, model = small_problem(rng, 3, (32, 32))
    truth = random_complex(rng, (32, 32))
    problem = started_at(replace(problem, samples=model.forward(truth)), truth)
    held_out = HeldOut(problem, rng.random(truth.shape) < 0.5, HeldOutRules())
    for other in (truth + random_complex(rng, truth.shape), truth):
        np.testing.assert_array_equal(held_out.weights(other), 0)


def test_a_noise_level_that_holds_signal_is_refuted(rng):
    problem, model = small_problem(rng, 3, (64, 64), noise_std=0.1)
    truth = random_complex(rng, (64, 64))
    noise = random_complex(rng, problem.samples.shape)
    noise *= 0.1 / noise.real.std()
    problem = started_at(replace(problem, samples=model.forward(truth) + problem.sampling.mask * noise), truth)
    which = (rng.random((64, 64)) < 0.5) & (problem.sampling.density > 0)
    for level, refuted in ((0.05, False), (0.1, False), (0.15, True)):
        assert HeldOut(replace(problem, noise_std=level), which, HeldOutRules()).refute_noise == refuted


def test_kept_samples_are_few_and_none_of_the_centre(rng):
    shape = (80, 64)
    problem, _ = small_problem(rng, 2, shape)
    which = np.fft.fftshift(HeldOut.drawn(problem, HeldOutRules(), rng).which)
    y, x = np.indices(shape) - np.array(shape)[:, None, None] // 2
    assert not which[np.hypot(y, x) <= 16].any() and not which[np.fft.fftshift(problem.sampling.density) == 0].any()
    assert 0.02 < which.sum() / problem.sampling.density.sum() < 0.06


@pytest.mark.parametrize("coils", [1, 3])
def test_an_estimate_without_them_does_not_depend_on_them(coils, rng):
    """Nor does its start, in which the noise of these samples would stay where no others change it."""
    problem, model = small_problem(rng, coils)
    which = rng.random(problem.images.grid) < 0.3
    rest, changed = (
        without_held_out(started_at(replace(problem, samples=samples), least_squares(model, samples, 3)), which, 3)
        for samples in (problem.samples, problem.samples + 5 * which * problem.sampling.mask))
    np.testing.assert_array_equal(rest.samples, changed.samples)
    np.testing.assert_allclose(rest.start.image, changed.start.image, atol=1e-12)
    assert rest.sampling.count < problem.sampling.count


def test_the_noise_is_larger_where_the_model_does_not_fit(rng):
    problem, _ = small_problem(rng, 2, (64, 64), noise_std=0.1)
    radius = problem.sampling.radius(problem.sampling.shape)
    power = np.where(radius < 0.2, 8.0, 0.01) * problem.coils * problem.noise_std**2 * problem.sampling.density
    variance, sampling = Likelihood().noise(problem, power)
    assert variance == problem.noise_std**2
    np.testing.assert_allclose(sampling.weights[radius < 0.15], 0.25, rtol=1e-6)
    np.testing.assert_allclose(sampling.weights[(radius > 0.3) & (radius < 1)], 1)


@pytest.mark.parametrize("coils, lines, noise_std, least", [
    (8, 1, 0.05, 1.0), (8, 2, 0.05, 0.7), (1, 1, 0.05, 1.0), (1, 1, 0.15, 4.0), (1, 2, 0.15, 3.0)])
def test_noisy_images_gain_by_the_mean(coils, lines, noise_std, least):
    shape = (96, 80)
    mask = np.zeros(shape, bool)
    mask[:, ::lines] = True
    mask[:, 30:50] = True
    kspace = simulated_kspace(head(shape), coils, noise_std, 0) * mask
    maximum, found = (metrics.psnr(recon(kspace, mask, method=method).image, abs(head(shape)))
                      for method in (NEVER, Map()))
    assert found > maximum + least


def test_clean_images_lose_nothing():
    kspace, mask, truth = simulate(noise_std=0.0005)
    maximum, found = (metrics.psnr(recon(kspace, mask, method=method).image, truth) for method in (NEVER, Map()))
    assert found > maximum - 0.25


def test_a_seed_gives_the_same_image_again():
    kspace, mask = simulated_kspace(head((80, 72)), 4, 0.05, 0), np.ones((80, 72), bool)
    first, again, other = (recon(kspace, mask, iterations=12, seed=seed).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_few_samples_to_judge_leave_the_maximum(prior, rng):
    problem, model = small_problem(rng, 3, (40, 40))
    problem = replace(problem, samples=model.forward(random_complex(rng, (40, 40))))
    options = Map(iterations=12, last_steps=4, held_out=HeldOutRules(centre=1e9))
    found = [state.image for state in map_or_mean(problem, prior, options, rng)]
    expected = [state.image for state in joint_map(problem, prior.reconstructing, options)]
    assert len(found) == len(expected) == 12
    for image, other in zip(found, expected):
        np.testing.assert_array_equal(image, other)


def test_the_last_steps_go_on_where_the_others_ended(prior, rng):
    problem, model = small_problem(rng, 3, (40, 40))
    problem = replace(problem, samples=model.forward(random_complex(rng, (40, 40))))
    options, before = Map(iterations=12), problem.start
    expected = [state.image for state in joint_map(problem, prior, options)]
    for state, _ in zip(joint_map(problem, prior, options), range(8)):
        previous, before = before, state
    problem = problem.started_from(before)
    found = [state.image
             for state in majorise_minimise(problem, range(8, 12), prior, options, previous.image)]
    for image, other in zip(found, expected[8:], strict=True):
        np.testing.assert_allclose(image, other, atol=1e-10)


def test_weights_of_the_linear_estimate_belong_to_the_samples_that_it_sees(prior, rng):
    problem, _ = small_problem(rng, 2, (32, 32))
    estimate = LinearEstimate.at_start(problem, Map().likelihood, Map().image_cg)
    assert isinstance(estimate.model.sampling, CartesianSampling)
    np.testing.assert_array_equal(estimate.model.sampling.mask, problem.sampling.mask)


def test_two_sets_gain_by_the_mean_too():
    shape, mask = (96, 64), np.ones((80, 64), bool)
    mask[::2] = False
    mask[28:52] = True
    coils = folded(ifft2c(simulated_kspace(head(shape), 8, 0.1, 0)), mask.shape)
    clean = folded(ifft2c(simulated_kspace(head(shape), 8, 0, 0)), mask.shape)
    truth = np.sqrt((abs(clean) ** 2).sum(0))
    maximum, found = (metrics.psnr(recon(fft2c(coils) * mask, mask, method=method, maps=2).image, truth)
                      for method in (NEVER, Map()))
    assert found > maximum + 0.5


def test_known_sensitivities_that_end_at_the_object_do_not_spoil_the_mean():
    image = head((96, 80))
    kspace, sens = simulated_kspace(image, 8, 0.06, 0), sensitivities(image.shape, 8)
    inside = binary_dilation(abs(image) > 0.02, iterations=2)
    everywhere, found = (metrics.psnr(recon(kspace, sens=maps).image * inside, abs(image))
                         for maps in (sens, sens * inside))
    assert found > everywhere - 0.2
