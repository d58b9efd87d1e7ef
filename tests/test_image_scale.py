"""The scale of images in the solver; that of a single coil follows the image that is found."""

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import recon
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.reconstruction.options import Rules

SCALE = ImageScale()


def test_steps_come_to_rest_at_the_scale_of_one_coil(rng):
    image, unit = 40 * rng.random((50, 40)), 1.0
    for _ in range(100):
        step = SCALE.step(image, unit)
        image, unit = image / step, unit * step
    assert np.isclose(SCALE.of(image), SCALE.one_coil, rtol=1e-3)


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # of a single sample
def test_an_image_that_shrinks_is_not_amplified():
    unit = 1.0
    for _ in range(100):
        unit *= SCALE.step(np.zeros((5, 4)), unit)
    assert np.isclose(unit, SCALE.start / SCALE.one_coil)
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
def test_scale_of_one_coil_is_that_of_the_image_found(method):
    """The image of a State times the reported scale is the result, and a wrong scale of the start is corrected."""
    kspace, mask, _ = simulate((64, 60), coils=1)
    states = []
    options = {} if method == "map" else {"samples": 1}
    result = recon(kspace, mask, method=method, callback=states.append, **options)
    at_maximum = states[39].image
    assert abs(SCALE.of(at_maximum) / SCALE.one_coil - 1) < 0.05
    scale = result.info["scale"]
    if method == "map":
        np.testing.assert_allclose(abs(at_maximum) * scale, abs(result.image), rtol=1e-4)
        assert np.isclose(states[-1].info.residual_std * scale, result.info["residual_std"], rtol=1e-4)
    else:
        assert abs(SCALE.of(result.image) / scale / SCALE.one_coil - 1) < 0.1
    wrong = Rules(scale=ImageScale(start=2 * SCALE.start))
    other = recon(kspace, mask, method=method, rules=wrong, **options)
    assert abs(other.info["scale"] / scale - 1) < 0.05
    assert np.linalg.norm(other.image - result.image) < 0.1 * np.linalg.norm(result.image)
