"""Rings of k-space, and the weights of samples that follow from the residual in them."""

from itertools import pairwise

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm.algorithms.likelihood import Likelihood, RingWeights
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.image_set import ImageAxis, ImageSet
from bart_pogmdm.physics.kspace_rings import RingRules, Rings
from bart_pogmdm.physics.sensitivities import SensitivityModel
from bart_pogmdm.physics.series import SeriesSampling
from bart_pogmdm.physics.sobolev_maps import SobolevRules

RULES = RingRules()


@pytest.fixture
def problem(rng):
    """Four coils whose signal is the same at all frequencies, a hundred times the noise."""
    kspace, mask = random_complex(rng, (4, 96, 80)), rng.random((96, 80)) < 0.4
    scan = CartesianScan(kspace * mask, mask)
    start = State(np.zeros(mask.shape, complex), np.ones_like(kspace))
    return Problem(*scan.sampled(), 0.01, SensitivityModel.of(scan, SobolevRules()), ImageSet(mask.shape), start)


def weighted(problem, power):
    return RingWeights(problem, problem.sens_model, Likelihood()).weighted(power)


def test_rings_hold_equally_many_samples_in_whatever_order(rng):
    radius, values = rng.random(3000), rng.random(3000)
    rings = Rings.of(radius, RULES)
    parts = np.array_split(np.argsort(radius), RULES.number)
    assert np.ptp(np.diff(rings.bounds)) <= 1
    np.testing.assert_allclose(rings.means(values), [values[part].mean() for part in parts], rtol=0.02)
    other = rng.permutation(3000)
    np.testing.assert_allclose(Rings.of(radius[other], RULES).means(values[other]), rings.means(values))
    assert len(Rings.of(radius[:3 * RULES.least_samples + 1], RULES).centres) == 3
    ties = Rings.of(np.round(radius, 1), RULES)
    in_rings = [set(np.round(radius, 1)[ties.order[slice(*ends)]]) for ends in pairwise(ties.bounds)]
    assert sum(map(len, in_rings)) == len(set.union(*in_rings)) == 11


def test_rings_hold_all_samples_of_coils_with_masks_of_their_own(rng):
    """The noise of few coils in some places is no less than that of many in others."""
    mask = rng.random((4, 96, 80)) < np.array([0.6, 0.3, 0.3, 0.1])[:, None, None]
    noise = 0.02 * np.where(mask, random_complex(rng, mask.shape), 0)
    sampling = CartesianSampling.centred(mask, float)
    problem = Problem(sampling, np.fft.ifftshift(noise, (1, 2)), 0.02, None, ImageSet(mask.shape[1:]),
                      State(np.zeros(mask.shape[1:], complex), np.ones(mask.shape, complex)))
    assert len(Rings.of(sampling.radius((96, 80)), RULES).order) == mask.any(0).sum()
    variance, weighted = Likelihood().noise(problem, (abs(problem.samples) ** 2).sum(0))
    assert variance == 0.02**2 and weighted.weights.min() > 0.8


def test_interpolation_is_exact_on_lines():
    rings = Rings.of(np.linspace(0, 1, 2048), RULES)
    weights = rings.weights(np.exp(3 - 2 * rings.centres), np.array([0.0, 0.4, 1.0]))
    np.testing.assert_allclose(-np.log(weights), [3 - 2 * rings.centres[0], 2.2, 3 - 2 * rings.centres[-1]])


def test_a_residual_like_noise_is_not_weighted(problem):
    power = problem.sampling.density * 4 * 2 * 0.02**2
    sampling, sens_model = weighted(problem, power)
    assert sampling is problem.sampling and sens_model is problem.sens_model


def test_a_series_without_weights_is_the_problem_itself(problem):
    images, part = problem.images.along(ImageAxis.series(2)), problem.sampling
    series = Problem(SeriesSampling((part, part)), np.stack([problem.samples] * 2, 1), np.full((2, 1, 1), 0.01),
                     SensitivityModel.together([problem.sens_model] * 2, SeriesSampling), images,
                     State(np.zeros(images.shape, complex), np.ones((4, *images.sens_shape), complex)))
    noise, errors = part.density * 4 * 2 * 0.02**2, of_errors(problem, 0.02)[0]
    sampling, sens_model = weighted(series, np.stack([noise, noise]))
    assert sampling is series.sampling and sens_model is series.sens_model
    sampling, sens_model = weighted(series, np.stack([noise, errors]))
    assert sampling.parts[0] is part and (sampling.parts[1].weights < 0.9).any()
    assert (sens_model.sampling.parts[1].weights < 0.9).any()


def of_errors(problem, error):
    """The power of noise, and of errors of the model within 0.25 cycles per pixel, where the signal is 2; radii."""
    radius = problem.sampling.radius((96, 80))
    return problem.sampling.density * 4 * (2 * 0.01**2 + error**2 * 2 * (radius < 0.25)), radius


def test_errors_beyond_what_counts_of_a_ring_are_those_of_all_samples(problem):
    """Where 3 % of the signal are less than the mean residual, no ring is worse than all samples."""
    power, _ = of_errors(problem, 1.0)
    sampling, sens_model = weighted(problem, power)
    assert Likelihood().variances(problem, power)[1] > 0.03**2
    assert sampling is problem.sampling and sens_model is problem.sens_model


def test_the_excess_residual_of_a_ring_is_its_variance(problem):
    """Errors of the model within 0.25 cycles per pixel: v / w is three times their excess."""
    power, radius = of_errors(problem, 0.02)
    sampling, sens_model = weighted(problem, power)
    variance, residual_var = Likelihood().variances(problem, power)
    centre = radius < 0.1
    expected = 3 * (0.02**2 - residual_var) / (1 + residual_var**0.5 / 0.03)
    assert expected > 2 * variance
    np.testing.assert_allclose(variance / sampling.weights[centre], expected, rtol=0.1)
    outer = np.isfinite(radius) & (radius > 0.35)
    np.testing.assert_array_equal(sampling.weights[outer], 1)
    of_model = problem.sens_model.sampling.radius((96, 80))
    np.testing.assert_allclose(sens_model.sampling.weights[of_model < 0.1].mean(),
                               sampling.weights[centre].mean(), rtol=0.1)


def test_weighted_noise_has_the_variance_of_its_weights(rng):
    weights = rng.uniform(0.1, 1, (60, 50))
    sampling = CartesianSampling.centred(np.ones((60, 50), bool), float).weighted(weights)
    noise = sampling.noise(rng, np.empty((200, 60, 50), complex))
    np.testing.assert_allclose((np.abs(noise) ** 2).mean(0).mean(), 2 * (1 / weights).mean(), rtol=0.05)
    assert np.isclose((np.abs(noise) ** 2 * weights).mean(), 2, rtol=0.02)
