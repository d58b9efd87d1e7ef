"""Two sets of image and sensitivities, for an object that is larger than the field of view and folds over."""

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, metrics
from bart_pogmdm.evaluate.simulate import sensitivities
from bart_pogmdm.physics.fourier import fft2c, ifft2c


def folded(part, noise_std=0.005):
    """k-space of a head on a field of view of `part` of its height, where the rest folds over, and its RSS image."""
    _, _, reference = simulate((128, 96), coils=4)
    rows, columns = (np.linspace(-1, 1, n) for n in reference.shape)
    image = reference / reference.max() * np.exp(0.5j * rows[:, None] + 0.4j * columns)
    full = sensitivities(image.shape, 8) * image
    height = round(part * len(image)) // 2 * 2
    first = len(image) // 2 - height // 2
    images = full[:, first:first + height].copy()
    images[:, height - first:] += full[:, :first]
    images[:, :first] += full[:, first + height:]
    noise = np.random.default_rng(0).standard_normal((2, *images.shape))
    kspace = fft2c(images) + noise_std * (noise[0] + 1j * noise[1])
    return kspace.astype(np.complex64), np.sqrt((np.abs(images) ** 2).sum(0))


@pytest.mark.slow
def test_two_sets_unfold_a_small_field_of_view():
    """The error in the middle falls by 6 dB, and image times sensitivities are still the coil images."""
    kspace, reference = folded(0.75)
    lines = masks.named("horizontal1.5", reference.shape, 0)
    errors = []
    for maps in (1, 2):
        result = recon(kspace * lines, lines, maps=maps)
        scale = metrics.fit_scale(result.image, reference)
        middle = tuple(slice(n // 3, n - n // 3) for n in reference.shape)
        errors.append(np.mean((scale * np.abs(result.image) - reference)[middle] ** 2))
        assert np.allclose(np.sqrt((np.abs(result.sens) ** 2).sum(0)), 1, atol=1e-3)
    assert 10 * np.log10(errors[0] / errors[1]) > 6
    coil_images = result.image * result.sens
    assert np.linalg.norm(coil_images - ifft2c(kspace)) < 0.15 * np.linalg.norm(kspace)


@pytest.mark.parametrize("options", [{"maps": 3}, {"maps": 2, "samples": 2}, {"maps": 2, "normalize": False}])
def test_sets_have_their_limits(phantom, options):
    with pytest.raises(ValueError, match="maps: "):
        recon(phantom[0], phantom[1], **options)


def test_one_coil_has_one_set():
    kspace, _, _ = simulate((64, 60), coils=3)
    with pytest.raises(ValueError, match="maps: 2 needs several coils"):
        recon(kspace[:1], maps=2, iterations=2)
