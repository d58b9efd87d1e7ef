"""Coil sensitivities: smooth maps, their fit to low frequencies, the joint inversion, and the paper's update."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import psnr
from properties import assert_adjoint, random_complex

from bart_pogmdm import Rules, recon
from bart_pogmdm.arrays.fft import dst1, sine_matrix
from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resample
from bart_pogmdm.physics.h1_sensitivities import h1_step, smooth
from bart_pogmdm.physics.sensitivities import SensitivityModel
from bart_pogmdm.physics.sensitivity_start import StartRules, joint_inversion
from bart_pogmdm.physics.sobolev_maps import SobolevMaps, SobolevRules
from bart_pogmdm.physics.wide_grid import WideGrid

RULES = SobolevRules()


@pytest.mark.parametrize("grid, shape", [((40, 31), (40, 31)), ((20, 18), (64, 60))])
def test_maps_are_adjoint(grid, shape, rng):
    maps = SobolevMaps.on_grid(grid, shape, np.complex128, RULES)
    assert_adjoint(maps.forward, maps.adjoint, (3, *maps.weight.shape), (3, *grid), rng)


def test_waves_are_orthonormal_on_the_padded_field_of_view():
    shape = (40, 32)
    for wave, n in zip(SobolevMaps.on_grid(shape, shape, np.complex128, SobolevRules(padding=1.0)).waves, shape):
        np.testing.assert_allclose(wave.T @ wave / n, np.eye(wave.shape[1]), atol=1e-12)
    maps = SobolevMaps.on_grid(shape, shape, np.complex128, RULES)
    padded = [int(RULES.padding * n) for n in shape]
    frequencies = [np.arange(-(wave.shape[1] // 2), wave.shape[1] // 2 + 1) / n
                   for wave, n in zip(maps.waves, padded)]
    for wave, frequency, n in zip(maps.waves, frequencies, shape):
        exact = np.exp(2j * np.pi * np.outer(np.arange(n) - n // 2, frequency))
        np.testing.assert_allclose(wave[:, -1], 2**0.5 * exact[:, -1].real, atol=1e-12)
        np.testing.assert_allclose(wave[:, 0], 2**0.5 * exact[:, 0].imag, atol=1e-12)
    y, x = np.meshgrid(*frequencies, indexing="ij")
    weight = (1 + 0.02 * 40 * 32 * (x**2 + y**2)) ** -6.0
    expected = np.where(weight < 1e-4, 0, weight) / np.prod(padded) ** 0.5
    np.testing.assert_allclose(maps.weight, expected, rtol=1e-12)


def test_maps_agree_between_grids(rng):
    """On grids that share points they are the same function."""
    full, low = (SobolevMaps.on_grid(grid, (64, 48), np.complex128, RULES) for grid in ((64, 48), (32, 24)))
    coefficients = random_complex(rng, (2, *full.weight.shape))
    np.testing.assert_allclose(full.forward(coefficients)[:, ::2, ::2], low.forward(coefficients), atol=1e-12)


def test_numbers_of_higher_precision_do_not_change_the_fit(rng):
    shape = (40, 32)
    image, coefficients = random_complex(rng, shape, np.complex64), None
    kspace = fft2c(random_complex(rng, (2, *shape), np.complex64)).astype(np.complex64)
    model = SensitivityModel.of(CartesianScan(kspace, np.ones(shape, bool)), RULES)
    expected = model.update(image, coefficients, 0.5, 1.0, 3)
    for found in (model.update(image.astype(complex), coefficients, 0.5, 1.0, 3),
                  model.update(image, coefficients, np.float64(0.5), np.float64(1), 3)):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * abs(expected).max())


@pytest.mark.parametrize("shape", [(64, 48), (300, 260)])
def test_low_frequency_samples_are_those_of_the_full_grid(shape, rng):
    """c x at low resolution predicts the central samples of c x at full resolution, where x is smooth."""
    maps = SobolevMaps.on_grid(shape, shape, np.complex128, RULES)
    coefficients = random_complex(rng, (2, *maps.weight.shape))
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = np.exp(-12 * (x**2 + y**2)) * (1 + 0.5j * x)
    scan = CartesianScan(fft2c(maps.forward(coefficients) * image), np.ones(shape, bool))
    model = SensitivityModel.of(scan, RULES)
    predicted = model.sampling.forward(model.low.forward(coefficients) * resample(image, model.samples.shape[1:]))
    assert np.linalg.norm(predicted - model.samples) < 1e-3 * np.linalg.norm(model.samples)
    updated = model.update(image, np.zeros_like(coefficients), 1e-10, 1.0, 200)
    assert np.linalg.norm(model.maps.forward(updated - coefficients) * image) < 0.02 * np.linalg.norm(
        model.maps.forward(coefficients) * image)


@pytest.mark.parametrize("grid, shape", [((20, 18), (64, 60)), ((20, 30), (64, 30)), ((8, 9, 10), (24, 9, 31))])
def test_folding_is_adjoint_to_going_on(grid, shape, rng):
    wide = WideGrid.of(grid, shape, np.complex128, RULES, np)
    assert wide.maps.shape == tuple(n + 2 * 6 * (n < full) for n, full in zip(grid, shape))
    assert_adjoint(wide.folded, wide.unfolded, (2, *wide.maps.shape), (2, *grid), rng)


@pytest.mark.parametrize("grid, shape", [((12, 10), (12, 10)), ((12, 10), (30, 10)), ((14, 16), (30, 40))])
@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_compiled_loops_are_those_in_operations(grid, shape, leading, rng):
    wide = WideGrid.of(grid, shape, np.dtype(complex), RULES, np)
    image = random_complex(rng, (*leading, *wide.maps.shape))
    for of_coils in (leading, (1,) * len(leading), (2, 1)[:len(leading)], (1, 3)[:len(leading)]):
        coefficients = random_complex(rng, (3, *of_coils, *wide.maps.weight.shape))
        expected = wide.folded(image * wide.maps.forward(coefficients))
        np.testing.assert_allclose(wide.coil_images(image, coefficients), expected, 1e-9, 1e-11)
        seen = random_complex(rng, (3, *of_coils, *grid))
        expected = wide.maps.adjoint(image.conj() * wide.unfolded(seen))
        np.testing.assert_allclose(wide.adjoint(image, seen), expected, 1e-9, 1e-11)


@pytest.mark.parametrize("of_image", [(64, 48), (32, 24), (18, 48)])
def test_low_resolution_keeps_the_sides_of_the_field_apart(of_image):
    """An image that is bright on the left border is hardly seen on the right, as a periodic one is; others agree."""
    wide = WideGrid.of((32, 30), (64, 48), np.complex128, RULES, np)
    y, x = np.meshgrid(*((np.arange(n) - n // 2) / n for n in of_image), indexing="ij")
    left, inside = (np.exp(-40 * (y**2 + (x - centre) ** 2)).astype(complex) for centre in (-0.5, 0))
    low = wide.image(left)[6:-6, 6:-6]
    assert abs(low[:, -2:]).max() < 0.1 * abs(resample(left, (32, 30))[:, -2:]).max()
    np.testing.assert_allclose(wide.image(inside)[6:-6, 6:-6], resample(inside, (32, 30)), atol=1e-3)


def test_samples_of_an_object_that_ends_at_the_border_are_those_of_the_full_grid(rng):
    """At low resolution a pixel of the border would hold both sides of the field, which the maps tell apart."""
    shape = (120, 96)
    maps = SobolevMaps.on_grid(shape, shape, np.complex128, RULES)
    coefficients = random_complex(rng, (2, *maps.weight.shape))
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = (1 + 0.5 * y + 0.3 * np.sin(9 * x)) * np.exp(0.5j * x)
    model = SensitivityModel.of(CartesianScan(fft2c(maps.forward(coefficients) * image), np.ones(shape, bool)), RULES)

    def error(coil_images):
        return np.linalg.norm(model.sampling.forward(coil_images) - model.samples) / np.linalg.norm(model.samples)

    narrow = model.low.forward(coefficients) * resample(image, model.samples.shape[1:])
    assert error(model.predicted(image, coefficients)) < 1e-3 < 0.1 * error(narrow)


def test_an_object_that_ends_at_the_border_is_reconstructed():
    """The border of the field of view once gave it sensitivities that were wrong there, and bands across the image."""
    shape = (128, 128)
    image = simulate.phantom((212, 212))[42:170, 42:170]
    mask, reference = masks.cartesian(shape, 4, 0), np.abs(image)
    result = recon(simulate.kspace(image, 8, 0.005) * mask, mask)
    known = recon(simulate.kspace(image, 8, 0.005) * mask, mask, sens=simulate.sensitivities(shape, 8))
    assert psnr(result.image, reference) > psnr(known.image, reference) - 3.5
    assert result.info["maps"] == 1


def test_joint_inversion_explains_the_samples(phantom):
    kspace, mask, _ = phantom
    model = SensitivityModel.of(CartesianScan(kspace, mask), RULES)
    image, coefficients = joint_inversion(model, StartRules())
    residual = model.sampling.forward(model.low.forward(coefficients) * image) - model.samples
    assert np.linalg.norm(residual) < 0.15 * np.linalg.norm(model.samples)
    rss2 = (np.abs(model.low.forward(coefficients)) ** 2).sum(0)
    assert np.isclose((rss2 * np.abs(image) ** 2).sum(), (np.abs(image) ** 2).sum(), rtol=1e-4)


def test_steps_for_smoother_maps_are_those_of_a_steeper_weight(phantom):
    kspace, mask, _ = phantom
    model, image = SensitivityModel.of(CartesianScan(kspace, mask), RULES), ifft2c(kspace).sum(0)
    weight = (model.low.weight / model.low.weight.max()) ** 1.5 * model.low.weight.max()
    smoother = replace(model, low=replace(model.low, weight=weight),
                       wide=replace(model.wide, maps=replace(model.wide.maps, weight=weight)))
    coefficients = smoother.update(image, None, 1e-3, 1.0, 4)
    for start in (None, coefficients):
        expected = smoother.update(image, start, 1e-3, 1.0, 3)
        factor = model.low.factor(0.5)
        found = model.update(image, None if start is None else factor * start, 1e-3, 1.0, 3, steeper=0.5)
        np.testing.assert_allclose(model.low.forward(found), smoother.low.forward(expected), rtol=1e-3, atol=1e-5)


def test_smoother_maps_at_first_keep_aliasing_out():
    """Few lines at the centre hardly tell image and sensitivities apart."""
    shape = (72, 64)
    image, mask = simulate.phantom(shape), masks.named("cartesian3", shape, 0)
    kspace = simulate.kspace(image, 6, 0.005, 0) * mask
    at_first, at_once = (psnr(recon(kspace, mask, rules=Rules(sens=sens)).image, abs(image))
                         for sens in (RULES, SobolevRules(steeper=0.0)))
    assert at_first > at_once + 1


def test_each_coil_is_fitted_for_itself(phantom):
    kspace, mask, _ = phantom
    model, image = SensitivityModel.of(CartesianScan(kspace, mask), RULES), ifft2c(kspace).sum(0)
    together = model.update(image, None, 1e-3, 1.0, 4)
    for coil in range(len(together)):
        one = SensitivityModel.of(CartesianScan(kspace[coil:coil + 1], mask), RULES)
        np.testing.assert_allclose(together[coil:coil + 1], one.update(image, None, 1e-3, 1.0, 4), rtol=1e-4, atol=1e-6)


def test_joint_reconstruction_beats_zero_filling_and_finds_the_coils(phantom):
    kspace, mask, reference = phantom
    result = recon(kspace, mask)
    zero_filled = np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(0))
    assert psnr(result.image, reference) > psnr(zero_filled, reference) + 3
    residual = np.linalg.norm(mask * (kspace - np.stack(
        [np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(s * result.image), norm="ortho")) for s in result.sens])))
    assert residual < 1.5 * 0.01 * (2 * mask.sum() * len(kspace)) ** 0.5


def test_smoothing_solves_its_equation(rng):
    maps, weight = random_complex(rng, (2, 9, 8)), 0.3
    smoothed = smooth(maps, weight)
    padded = np.pad(smoothed, ((0, 0), (1, 1), (1, 1)))
    laplacian = 4 * smoothed - (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:])
    np.testing.assert_allclose(smoothed + weight * laplacian, maps, atol=1e-12)


def test_sine_transform_is_orthonormal_and_the_dense_one(rng):
    x = random_complex(rng, (2, 7, 10))
    np.testing.assert_allclose(dst1(dst1(x)), x, atol=1e-12)
    rows, columns = sine_matrix(7), sine_matrix(10)
    np.testing.assert_allclose(dst1(x), rows @ x @ columns, atol=1e-12)


def test_h1_step_lowers_its_energy(rng):
    shape = (8, 6)
    sampling = CartesianSampling.centred(rng.random(shape) < 0.5, float)
    sens = random_complex(rng, (3, *shape)) / 3
    samples = sampling.mask * random_complex(rng, (3, *shape))
    image = 3 * random_complex(rng, shape)

    def energy(sens):
        padded = np.pad(sens, ((0, 0), (1, 1), (1, 1)))
        roughness = sum((np.abs(np.diff(padded, axis=axis)) ** 2).sum() for axis in (1, 2))
        return CoilModel(sampling, sens).gradient(image, samples)[1].sum() / 2 + roughness / 2

    energies = [energy(sens)]
    for _ in range(5):
        sens = h1_step(sampling, samples, image, sens, 10.0)
        energies.append(energy(sens))
    assert (np.diff(energies) < 0).all()
