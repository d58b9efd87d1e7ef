"""The scale of the image: of one coil it follows what is found."""

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import recon
from bart_pogmdm.prior.image_scale import BRIGHTNESS, MOST_PEAK, START_BRIGHTNESS, brightest, following


def test_following_comes_to_rest_at_the_brightness(rng):
    image, unit = 40 * rng.random((50, 40)), 1.0
    for _ in range(100):
        step = following(image, unit)
        image, unit = image / step, unit * step
    assert np.isclose(brightest(image), BRIGHTNESS, rtol=1e-3)


def test_what_shrinks_is_not_made_brighter():
    unit = 1.0
    for _ in range(100):
        unit *= following(np.zeros((5, 4)), unit)
    assert np.isclose(unit, START_BRIGHTNESS / BRIGHTNESS)
    kspace = np.zeros((16, 16), np.complex64)
    kspace[8, 8] = 1 + 0.5j  # the mean of the image, and nothing else
    assert 1e-3 < abs(recon(kspace).image).max() < 1


def test_a_peak_does_not_fix_the_scale_alone():
    image = np.zeros((100, 100))
    image[3, 4] = 16
    assert brightest(image) == 16 / MOST_PEAK
    image[:10] = 5
    assert np.isclose(brightest(image), 5)


@pytest.mark.parametrize("method", ["map", "gibbs"])
def test_scale_of_one_coil_is_that_of_the_image_found(method, monkeypatch):
    """What a callback sees times the reported scale is the image, and a wrong scale of the start is corrected."""
    kspace, mask, _ = simulate((64, 60), coils=1)
    steps = []
    options = {} if method == "map" else {"samples": 1}
    result = recon(kspace, mask, method=method, callback=steps.append, **options)
    at_maximum = steps[39].image
    assert abs(brightest(at_maximum) / BRIGHTNESS - 1) < 0.05
    scale = result.info["scale"]
    if method == "map":
        np.testing.assert_allclose(abs(at_maximum) * scale, abs(result.image), rtol=1e-4)
        assert np.isclose(steps[-1].residual_std * scale, result.info["residual_std"], rtol=1e-4)
    else:
        assert abs(brightest(result.image) / scale / BRIGHTNESS - 1) < 0.1
    monkeypatch.setattr(reconstruction, "START_BRIGHTNESS", 2 * START_BRIGHTNESS)
    other = recon(kspace, mask, method=method, **options)
    assert abs(other.info["scale"] / scale - 1) < 0.05
    assert np.linalg.norm(other.image - result.image) < 0.1 * np.linalg.norm(result.image)
