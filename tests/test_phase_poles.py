"""Points about which the phase of the sensitivities winds."""

import numpy as np
import pytest
from conftest import psnr
from properties import random_complex

from bart_pogmdm import recon
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.physics.image_set import ImageAxis, ImageSet
from bart_pogmdm.physics.phase_poles import in_light, winding_numbers, winding_phase, without_poles
from bart_pogmdm.physics.sensitivities import SensitivityModel
from bart_pogmdm.physics.sensitivity_start import StartRules, joint_inversion
from bart_pogmdm.physics.sobolev_maps import SobolevMaps, SobolevRules

GRID = (40, 36)


@pytest.fixture
def maps():
    return SobolevMaps.on_grid(GRID, GRID, np.complex128, SobolevRules())


def fitted(maps, fields):
    """Coefficients of smooth fields (J, …, n, m), by a least-squares fit."""
    modes = maps.weight.shape
    columns = maps.forward(np.eye(maps.weight.size).reshape(-1, *modes)).reshape(maps.weight.size, -1)
    normal = columns.conj() @ columns.T + 1e-12 * np.eye(len(columns))
    return np.linalg.solve(normal, columns.conj() @ fields.reshape(-1, columns.shape[1]).T).T.reshape(
        *fields.shape[:-2], *modes)


def wound(points):
    """A smooth field that winds about points (row, column, 1 or -1)."""
    y, x = np.meshgrid(*map(np.arange, GRID), indexing="ij")
    return np.prod([((x - column) + sign * 1j * (y - row)) / 20 for row, column, sign in points], axis=0)


def test_winding_numbers_are_found_between_four_pixels():
    numbers = np.zeros((2, GRID[0] - 1, GRID[1] - 1), int)
    numbers[0, 10, 7], numbers[0, 30, 20], numbers[1, 3, 3] = 1, -1, 1
    turn, sens = winding_phase(numbers), simulate.sensitivities(GRID, 5)
    np.testing.assert_allclose(abs(turn), 1)
    np.testing.assert_array_equal(winding_numbers(sens[:, None] * turn), numbers)
    sens[0] *= wound([(20.5, 20.5, 1)])  # A coil that sees nothing at a point may wind about it.
    assert not winding_numbers(sens).any()


@pytest.mark.parametrize("kind", ["one image", "series", "simultaneous slices"])
def test_maps_are_unwound_and_coil_images_stay(maps, kind, rng):
    axis = {"one image": (), "series": (ImageAxis.series(2),), "simultaneous slices": (ImageAxis.simultaneous(2),)}
    images = ImageSet(GRID, axis[kind])
    own = wound([(12.5, 9.5, 1), (25.5, 30.5, -1)]) / 2
    smooth = fitted(maps, simulate.sensitivities(GRID, 4))
    sens = maps.forward(smooth).reshape(4, *(1,) * len(images.axes), *GRID)
    factor = np.stack([own, np.ones(GRID)]) if kind == "simultaneous slices" else own
    coefficients = fitted(maps, sens * factor)
    before = maps.forward(coefficients)
    assert abs(winding_numbers(before)).sum() == 2
    image = (1 + 0.2 * random_complex(rng, images.shape)) / abs(own).clip(0.02)
    turned, unwound = without_poles(image, coefficients, maps, images, 2**-9, 15)
    after = maps.forward(unwound)
    assert turned.shape == image.shape and unwound.shape == coefficients.shape
    assert not winding_numbers(after).any()
    expected = image * before
    assert np.linalg.norm(turned * after - expected) < 0.1 * np.linalg.norm(expected)


def test_only_what_winds_in_the_light_counts():
    numbers, power = np.zeros((GRID[0] - 1, GRID[1] - 1), int), np.ones(GRID)
    numbers[10, 10] = numbers[30, 25] = numbers[0, 0] = 1
    power[:20] = 0.2
    np.testing.assert_array_equal(np.argwhere(in_light(numbers, power)), [[0, 0], [10, 10], [30, 25]])
    power[:20] = 0.1
    np.testing.assert_array_equal(np.argwhere(in_light(numbers, power)), [[30, 25]])
    assert not in_light(numbers, np.zeros(GRID) + (np.arange(GRID[1]) < 4) * 1.0)[1:].any()


def test_what_does_not_wind_stays_as_it_is(maps, rng):
    smooth = fitted(maps, simulate.sensitivities(GRID, 4))
    assert without_poles(np.ones(GRID, complex), smooth, maps, ImageSet(GRID), 1e-6, 5) is None
    volume = SobolevMaps.on_grid((8, 10, 12), (8, 10, 12), np.complex128, SobolevRules())
    coefficients = random_complex(rng, (2, *volume.weight.shape))
    assert without_poles(np.ones(volume.shape, complex), coefficients, volume, ImageSet(volume.shape), 1, 5) is None


def test_the_joint_inversion_unwinds_what_a_similar_slice_winds(rng):
    """Sensitivities of a neighbour that wind about a point of the object: they would stay so."""
    shape = (64, 56)
    sens, image = simulate.sensitivities(shape, 5), simulate.phantom(shape)
    scan = CartesianScan(fft2c(sens * image), np.ones(shape, bool))
    model = SensitivityModel.of(scan, SobolevRules())
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in model.low.shape), indexing="ij")
    neighbour = fitted(model.low, model.low.forward(joint_inversion(model, StartRules())[1]) * (x + 1j * y))
    assert winding_numbers(model.low.forward(neighbour)).any()
    low, coefficients = joint_inversion(model, StartRules(), neighbour)
    maps = model.low.forward(coefficients)
    assert not winding_numbers(maps).any()
    predicted = model.sampling.forward(low * maps)
    assert np.linalg.norm(predicted - model.samples) < 0.05 * np.linalg.norm(model.samples)


@pytest.mark.slow
def test_a_heart_has_no_hole(shared):
    """One set that winds has 24.1 dB, with false signal in the lung; with the true sensitivities it is 28.9 dB."""
    with np.load(shared("data/dev/cardiac_multiecho_images.npz")) as file:
        image = file["set05"][3]
    kspace = simulate.kspace(image, 8, 0.005, 0)
    mask = masks.named("cartesian4acs4", image.shape, 3)
    found = recon((kspace * mask).astype(np.complex64), mask).image
    assert psnr(abs(found), abs(image)) > 27
