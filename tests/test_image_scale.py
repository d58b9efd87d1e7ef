"""The scale of images in the solver; that of a single coil follows the image that is found."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import Gibbs, recon
from bart_pogmdm.algorithms.units import OneCoilScale
from bart_pogmdm.prior.calibration import Calibration
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.prior.rules import PriorRules
from bart_pogmdm.reconstruction.rules import Rules

SCALE = ImageScale()
ONE_COIL = OneCoilScale().brighter * SCALE.start


def test_steps_come_to_rest_at_the_scale_of_one_coil(rng):
    image, unit = 40 * rng.random((50, 40)), 1.0
    for _ in range(100):
        step = OneCoilScale().step(image, unit, SCALE)
        image, unit = image / step, unit * step
    assert np.isclose(SCALE.of(image), ONE_COIL, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # of a single sample
def test_an_image_that_shrinks_is_not_amplified():
    unit = 1.0
    for _ in range(100):
        unit *= OneCoilScale().step(np.zeros((5, 4)), unit, SCALE)
    assert np.isclose(unit, 1 / OneCoilScale().brighter)
    kspace = np.zeros((16, 16), np.complex64)
    kspace[8, 8] = 1 + 0.5j  # the mean of the image, and nothing else
    assert 1e-3 < abs(recon(kspace).image).max() < 1


def test_a_peak_does_not_fix_the_scale_alone():
    image = np.zeros((100, 100))
    image[3, 4] = 16
    assert SCALE.of(image) == 16 / SCALE.most_peak
    image[:10] = 5
    assert np.isclose(SCALE.of(image), 5)


@pytest.mark.parametrize("method", ["map", "gibbs"])
def test_scale_of_one_coil_is_that_of_the_image_found(method, prior):
    """The image of a State times the reported scale is the result, and a wrong scale of the start is corrected."""
    kspace, mask, _ = simulate((64, 60), coils=1)
    states = []
    options = {} if method == "map" else {"samples": 1}
    result = recon(kspace, mask, method=method, callback=states.append, **options)
    at_maximum = states[44].image
    assert abs(SCALE.of(at_maximum) / ONE_COIL - 1) < 0.05
    scale = result.info["scale"]
    if method == "map":
        np.testing.assert_allclose(abs(at_maximum) * scale, abs(result.image), rtol=1e-4)
        assert np.isclose(states[-1].info.residual_std * scale, result.info["residual_std"], rtol=1e-4)
    else:
        assert abs(SCALE.of(result.image) / scale / ONE_COIL - 1) < 0.1
    wrong = replace(prior, rules=PriorRules(scale=ImageScale(start=2 * SCALE.start)))
    half = Rules(one_coil=OneCoilScale(brighter=OneCoilScale().brighter / 2))
    other = recon(kspace, mask, method=method, prior=wrong, rules=half, **options)
    assert abs(other.info["scale"] / scale - 1) < 0.05
    assert np.linalg.norm(other.image - result.image) < 0.1 * np.linalg.norm(result.image)


def test_the_scale_is_that_of_the_prior(prior):
    """The same prior for images of twice the scale, and an object that is no PoGMDM: each says its own scale."""
    kspace, mask, _ = simulate((40, 36), coils=3)
    twice = ImageScale(start=2 * SCALE.start)

    class Other:
        score, curvature = prior.score, prior.curvature

    class Larger(Other):
        image_scale = twice

    scales = [recon(kspace, mask, prior=one, iterations=2).info["scale"]
              for one in (prior, replace(prior, rules=PriorRules(scale=twice)), Other(), Larger())]
    np.testing.assert_allclose(np.array(scales) / scales[0], [1, 0.5, 1, 0.5], rtol=1e-6)


def test_the_calibration_is_that_of_the_prior(prior):
    """One that says none is taken as calibrated."""
    kspace, mask, _ = simulate((40, 36), coils=3)

    class Other:
        score, curvature, exponent, drawn_score = prior.score, prior.curvature, prior.exponent, prior.drawn_score

    method = Gibbs(chains=1, burn_in=1, thin=2)
    learned = replace(prior, rules=replace(prior.rules, fine_gain=1.0, calibration=Calibration(1.5, 0)))
    doubled = replace(learned, rules=replace(learned.rules, calibration=Calibration(3, 0)))
    stds = [recon(kspace, mask, prior=one, method=method, samples=2, iterations=2).std.mean()
            for one in (learned, doubled, Other())]
    np.testing.assert_allclose(stds[1] / stds[0], 2, rtol=1e-5)
    assert abs(1.5 * stds[2] / stds[0] - 1) < 0.2  # it differs by the window of the average alone
