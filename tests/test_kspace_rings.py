"""Rings of k-space, and the weights that follow from what a model leaves in them."""

from itertools import pairwise

import numpy as np
import pytest
from properties import random_complex

from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.physics.cartesian import CartesianSampling, CartesianScan
from bart_pogmdm.physics.kspace_rings import RING_SAMPLES, RINGS, Rings
from bart_pogmdm.physics.sensitivities import SensFit


@pytest.fixture
def data(rng):
    """Four coils whose signal is the same at all frequencies, a hundred times the noise."""
    kspace, mask = random_complex(rng, (4, 96, 80)), rng.random((96, 80)) < 0.4
    scan = CartesianScan(kspace * mask, mask)
    return Problem(*scan.sampled(), 0.01, SensFit.of(scan))


def test_rings_hold_equally_many_samples_in_whatever_order(rng):
    radius, values = rng.random(3000), rng.random(3000)
    rings = Rings.of(radius, 3000)
    parts = np.array_split(np.argsort(radius), RINGS)
    assert np.ptp(np.diff(rings.bounds)) <= 1
    np.testing.assert_allclose(rings.means(values), [values[part].mean() for part in parts], rtol=0.02)
    other = rng.permutation(3000)
    np.testing.assert_allclose(Rings.of(radius[other], 3000).means(values[other]), rings.means(values))
    assert len(Rings.of(radius, 3 * RING_SAMPLES + 1).centres) == 3
    ties = Rings.of(np.round(radius, 1), 3000)
    in_rings = [set(np.round(radius, 1)[ties.order[slice(*ends)]]) for ends in pairwise(ties.bounds)]
    assert sum(map(len, in_rings)) == len(set.union(*in_rings)) == 11


def test_interpolation_is_exact_on_lines():
    rings = Rings.of(np.linspace(0, 1, 2048), 2048)
    np.testing.assert_allclose(rings.interpolate(3 - 2 * rings.centres, np.array([0.0, 0.4, 1.0])),
                               [3 - 2 * rings.centres[0], 2.2, 3 - 2 * rings.centres[-1]])


def test_a_residual_like_noise_is_not_weighted(data):
    power = data.sampling.mask * 4 * 2 * 0.02**2
    weighted = data.weighted(power)
    for part in (weighted.sampling, weighted.fit.sampling):
        np.testing.assert_array_equal(part.weights, 1)


@pytest.mark.parametrize("error", [0.02, 1.0])
def test_what_a_ring_leaves_is_its_variance(data, error):
    """Errors of the model within 0.25 cycles per pixel: v / w is three times what they exceed the rest by, to 0.03."""
    radius, signal = data.sampling.radius((96, 80)), 2.0
    power = data.sampling.mask * 4 * (2 * 0.01**2 + error**2 * signal * (radius < 0.25))
    weighted = data.weighted(power)
    variance, residual_var = data.variances(power)
    centre = radius < 0.1
    expected = 3 * (min(error, 0.03) ** 2 * signal / 2 - residual_var) / (1 + residual_var**0.5 / 0.03)
    expected = max(expected, variance)
    np.testing.assert_allclose(variance / weighted.sampling.weights[centre], expected, rtol=0.1)
    assert error == 1 or expected > 2 * variance
    outer = np.isfinite(radius) & (radius > 0.35)
    np.testing.assert_array_equal(weighted.sampling.weights[outer], 1)
    of_fit = data.fit.sampling.radius((96, 80))
    np.testing.assert_allclose(weighted.fit.sampling.weights[of_fit < 0.1].mean(),
                               weighted.sampling.weights[centre].mean(), rtol=0.1)


def test_weighted_noise_has_the_variance_of_its_weights(rng):
    weights = rng.uniform(0.1, 1, (60, 50))
    sampling = CartesianSampling.centred(np.ones((60, 50), bool), float).weighted(weights)
    noise = sampling.noise(rng, np.empty((200, 60, 50), complex))
    np.testing.assert_allclose((np.abs(noise) ** 2).mean(0).mean(), 2 * (1 / weights).mean(), rtol=0.05)
    assert np.isclose((np.abs(noise) ** 2 * weights).mean(), 2, rtol=0.02)
