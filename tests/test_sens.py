from functools import partialmethod

import numpy as np
import pytest
from conftest import psnr, simulate
from properties import assert_adjoint, random_complex

from bart_pogmdm.algorithms.joint_map import joint_map
from bart_pogmdm.algorithms.problem import Problem
from bart_pogmdm.algorithms.quadratic_step import newton_step
from bart_pogmdm.algorithms.state import State
from bart_pogmdm.physics.cartesian import CartesianSampling, CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.physics.sensitivities import SensFit
from bart_pogmdm.physics.sobolev_maps import PADDING, SobolevMaps
from bart_pogmdm.prior.smooth_phase import Phase


@pytest.mark.parametrize("grid, shape", [((40, 31), (40, 31)), ((20, 18), (64, 60))])
def test_maps_are_adjoint(grid, shape, rng):
    maps = SobolevMaps.on_grid(grid, shape, np.complex128)
    assert_adjoint(maps.forward, maps.adjoint, (3, *maps.weight.shape), (3, *grid), rng)


def test_plane_waves_are_orthonormal_on_the_padded_field_of_view():
    shape = (40, 32)
    maps = SobolevMaps.on_grid(shape, shape, np.complex128)
    padded = [int(PADDING * n) for n in shape]
    frequencies = [np.arange(-(wave.shape[1] // 2), wave.shape[1] // 2 + 1) / n
                   for wave, n in zip((maps.rows, maps.columns), padded)]
    waves = [np.exp(2j * np.pi * np.outer(np.arange(n), f)) / n**0.5 for n, f in zip(padded, frequencies)]
    for wave in waves:
        np.testing.assert_allclose(wave.conj().T @ wave, np.eye(wave.shape[1]), atol=1e-12)
    y, x = np.meshgrid(*frequencies, indexing="ij")
    weight = (1 + 0.02 * 40 * 32 * (x**2 + y**2)) ** -6.0
    expected = np.where(weight < 1e-4, 0, weight) / np.prod(padded) ** 0.5
    np.testing.assert_allclose(maps.weight, expected, rtol=1e-12)


def test_maps_agree_between_grids(rng):
    """On grids that share points they are the same function."""
    full, low = (SobolevMaps.on_grid(grid, (64, 48), np.complex128) for grid in ((64, 48), (32, 24)))
    coefficients = random_complex(rng, (2, *full.weight.shape))
    np.testing.assert_allclose(full.forward(coefficients)[:, ::2, ::2], low.forward(coefficients), atol=1e-12)


@pytest.mark.parametrize("shape", [(64, 48), (300, 260)])
def test_low_frequency_data_are_those_of_the_full_grid(shape, rng):
    """c x at low resolution predicts the central samples of c x at full resolution, where x is smooth."""
    maps = SobolevMaps.on_grid(shape, shape, np.complex128)
    coefficients = random_complex(rng, (2, *maps.weight.shape))
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    image = np.exp(-12 * (x**2 + y**2)) * (1 + 0.5j * x)
    from bart_pogmdm.physics.fourier import fft2c, resample
    fit = SensFit.of(CartesianScan(fft2c(maps.forward(coefficients) * image), np.ones(shape, bool)))
    predicted = fit.sampling.forward(fit.low.forward(coefficients) * resample(image, fit.samples.shape[1:]))
    assert np.linalg.norm(predicted - fit.samples) < 1e-3 * np.linalg.norm(fit.samples)
    updated = fit.update(image, np.zeros_like(coefficients), 1e-10, 1.0, 200)
    assert np.linalg.norm(fit.maps.forward(updated - coefficients) * image) < 0.02 * np.linalg.norm(
        fit.maps.forward(coefficients) * image)


def test_newton_steps_explain_the_data(phantom):
    kspace, mask, _ = phantom
    fit = SensFit.of(CartesianScan(kspace, mask))
    image, coefficients = fit.start()
    residual = fit.sampling.forward(fit.low.forward(coefficients) * image) - fit.samples
    assert np.linalg.norm(residual) < 0.15 * np.linalg.norm(fit.samples)
    rss2 = (np.abs(fit.low.forward(coefficients)) ** 2).sum(0)
    assert np.isclose((rss2 * np.abs(image) ** 2).sum(), (np.abs(image) ** 2).sum(), rtol=1e-4)


def test_newton_step_is_the_solution_of_its_system(prior, rng):
    mask = rng.random((40, 36)) < 0.4
    operator = CartesianSampling.centred(mask, float)
    descent, sigma, variance = random_complex(rng, (40, 36)), 0.1, 1e-3
    hessian = prior.curvature((40, 36), sigma)
    one, phase = np.ones((1, 40, 36), complex), np.exp(1j * rng.standard_normal((40, 36)))
    cases = ((one, np.ones((40, 36)), 1), (one, phase, 500), (random_complex(rng, (4, 40, 36)), phase, 500))
    for sens, phase, steps in cases:
        model = CoilModel(operator, sens)
        d = newton_step(model, hessian, phase, descent, variance, steps)
        applied = model.normal(d) / variance + phase * np.fft.ifft2(hessian * np.fft.fft2(phase.conj() * d))
        np.testing.assert_allclose(applied, descent, atol=1e-6 * np.abs(descent).max())


def test_each_step_lowers_the_posterior_energy(prior, rng, monkeypatch):
    """Majorise-minimise without momentum and continuation: -log posterior never rises, whatever the phase."""
    kspace, mask, _ = simulate((48, 40), coils=1)
    scale = np.abs(ifft2c(kspace)).max()
    operator, noise_std = CartesianSampling.centred(mask, np.float64), 0.05
    data = Problem(operator, operator.forward(ifft2c(kspace.astype(complex) / scale)), noise_std, None)
    monkeypatch.setattr("bart_pogmdm.algorithms.schedules.momentum", lambda n: [0.0] * n)
    monkeypatch.setattr("bart_pogmdm.algorithms.problem.CONTINUATION", 0.0)
    phase = np.exp(1j * rng.standard_normal((48, 40)))
    monkeypatch.setattr("bart_pogmdm.samplers.Phase.of", lambda image, trusted: Phase(phase))
    monkeypatch.setattr("bart_pogmdm.samplers.following", lambda image, unit: 1.0)
    monkeypatch.setattr(type(prior), "score", partialmethod(type(prior).score, exact=True))
    energies = []
    start = State(ifft2c(kspace.astype(complex) / scale)[0], np.ones((1, 48, 40), complex), None)
    for state in joint_map(prior, data, start, sigma=0.05, iterations=12):
        power = CoilModel(operator, state.sens).gradient(state.image, data.samples)[1].sum()
        energies.append(prior.potential(phase.conj() * state.image, 0.05) + power / (2 * (0.5 * noise_std) ** 2))
    assert (np.diff(energies) < 1e-4).all() and energies[-1] < energies[0]


def test_joint_reconstruction_beats_zero_filling_and_finds_the_coils(prior, phantom):
    from bart_pogmdm import recon
    kspace, mask, reference = phantom
    result = recon(kspace, mask)
    zero_filled = np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(0))
    assert psnr(result.image, reference) > psnr(zero_filled, reference) + 3
    residual = np.linalg.norm(mask * (kspace - np.stack(
        [np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(s * result.image), norm="ortho")) for s in result.sens])))
    assert residual < 1.5 * 0.01 * (2 * mask.sum() * len(kspace)) ** 0.5
