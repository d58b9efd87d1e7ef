"""The shearlet filters and their frequency responses."""

import numpy as np
import pytest

from bart_pogmdm.prior import shearlets


def test_filters_are_the_reference_ones(shared):
    with np.load(shared("reference/interim_prior.npz")) as file:
        reference = file["filters"]
        bank = shearlets.filter_bank(file["lowpass"], file["directional"])
    size = (128, 128)
    difference = np.abs(np.fft.fft2(bank, size)) - np.abs(np.fft.fft2(reference, size))
    assert np.abs(difference).max() < 1.7e-3


def test_second_cone_is_the_transpose(prior):
    np.testing.assert_array_equal(prior.filters[10:], prior.filters[:10].transpose(0, 2, 1))


@pytest.mark.parametrize("shape", [(96, 80), (51, 70), (16, 90)])
def test_spectra_convolve_periodically(prior, shape, rng):
    x, responses = rng.standard_normal(shape), shearlets.spectra(prior.filters[3:4], shape)[0]
    fast = np.fft.ifft2(responses * np.fft.fft2(x)).real
    shifts = range(-32, 33)
    slow = sum(prior.filters[3, i + 32, j + 32] * np.roll(x, (i, j), (0, 1)) for i in shifts for j in shifts)
    np.testing.assert_allclose(fast, slow, atol=1e-10)


def test_reconstruction_takes_more_of_the_fine_scale(prior):
    power = abs(prior.spectra((64, 64))) ** 2
    frequency = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    centre = (frequency * power).sum((1, 2)) / power.sum((1, 2))
    taken = prior.reconstructing
    np.testing.assert_allclose(taken.gains / prior.gains,
                               np.where(centre > np.median(centre), prior.rules.fine_gain, 1))
    assert taken is prior.reconstructing and taken.name == prior.name


@pytest.mark.parametrize("shape", [(128, 128), (51, 70), (200, 90)])
def test_no_frequency_counts_more_than_once(prior, shape):
    """The normalisation undoes any factor on the filters."""
    normalised = prior.spectra(shape) / prior.gains[:, None, None]
    assert 0.98 < shearlets.total_power(normalised).max() <= 1 + 1e-12
    larger = 10 * prior.filters
    spectra = shearlets.spectra(larger, shape)
    weight = shearlets.frame_weight(spectra, shearlets.overlap(larger), prior.rules.ridge)
    np.testing.assert_allclose(spectra * weight, normalised, atol=1e-12)
