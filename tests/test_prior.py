import dataclasses

import numpy as np
import pytest
from properties import assert_gradient, random_complex

from bart_pogmdm import PoGMDM, load_prior
from bart_pogmdm.prior import shearlets
from bart_pogmdm.prior.pogmdm import FINE_GAIN, _table

SIGMAS = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]


def image(rng, shape=(33, 40)):
    steps = np.cumsum(rng.standard_normal(shape) * (rng.random(shape) < 0.1), 1)
    return steps / np.abs(steps).max() + 0.02 * rng.standard_normal(shape)


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
                               np.where(centre > np.median(centre), FINE_GAIN, 1))
    assert taken is prior.reconstructing and taken.name == prior.name


@pytest.mark.parametrize("sigma", SIGMAS)
def test_table_is_the_mixture(prior, sigma):
    u = np.tile((0.5 + 50 * prior.experts.std(sigma)) * np.linspace(-1, 1, 20001), (20, 1))
    exact = prior.experts.activation(u, sigma)
    table, fast = prior.experts.table(sigma), u.copy()
    table.apply(fast, slice(None))
    relative = np.abs(fast - exact).max(1) / np.abs(exact).max(1)
    assert relative.max() < 1e-3
    single = prior.experts.table(sigma, dtype=np.float32)
    fast = u.astype(np.float32)
    single.apply(fast, slice(None))
    assert (np.linalg.norm(fast - exact, axis=1) / np.linalg.norm(exact, axis=1)).max() < 1e-3


def test_table_error_falls_with_the_square_of_the_step(prior, monkeypatch):

    errors, u = [], np.linspace(-0.5, 0.5, 3001) * np.ones((20, 1))
    for nodes in (2049, 4097):
        monkeypatch.setattr("bart_pogmdm.prior.experts.TABLE_NODES", nodes)
        table, fast = prior.experts.table(0.05), u.copy()
        table.apply(fast, slice(None))
        errors.append(np.abs(fast - prior.experts.activation(u, 0.05)).max())
    assert 3 < errors[0] / errors[1] < 5


def test_activation_is_the_derivative_of_the_log_density(prior, rng):
    assert_gradient(lambda u: prior.experts.log_density(u, 0.1).sum(), lambda u: prior.experts.activation(u, 0.1),
                    0.2 * rng.standard_normal((20, 50)), rng)


@pytest.mark.parametrize("shape", [(33, 40), (24, 25), (64, 64)])
@pytest.mark.parametrize("sigma", [0.02, 0.2, 2.0])
def test_score_is_the_gradient_of_the_potential(prior, rng, sigma, shape):
    for x in (image(rng, shape), image(rng, shape) + 1j * image(rng, shape)):
        assert_gradient(lambda x: -prior.potential(x, sigma), lambda x: prior.score(x, sigma, exact=True), x, rng,
                            step=2e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_fast_score_is_the_exact_one(prior, rng, sigma, dtype):
    x = image(rng) + (1j * image(rng) if np.dtype(dtype).kind == "c" else 0)
    fast, exact = prior.score(x.astype(dtype), sigma), prior.score(x, sigma, exact=True)
    assert fast.dtype == dtype
    assert np.linalg.norm(fast - exact) < 1e-3 * np.linalg.norm(exact)


def test_complex_score_is_that_of_both_parts(prior, rng):
    x = image(rng) + 1j * image(rng)
    parts = prior.score(x.real.copy(), 0.1) + 1j * prior.score(x.imag.copy(), 0.1)
    np.testing.assert_allclose(prior.score(x, 0.1), parts, atol=1e-9 * np.abs(parts).max())
    assert np.isclose(prior.potential(x, 0.1), prior.potential(x.real, 0.1) + prior.potential(x.imag, 0.1))


def test_leading_axes_are_a_batch(prior, rng):
    x = np.stack([image(rng), image(rng)])[None].astype(np.float32)
    np.testing.assert_array_equal(prior.score(x, 0.1)[0, 1], prior.score(x[0, 1], 0.1))
    assert prior.potential(x, 0.1).shape == (1, 2)


def test_generic_kernels_are_the_compiled_ones(prior, rng, monkeypatch):
    x = random_complex(rng, (30, 28))
    fast, slow = prior.score(x, 0.07), None
    potential = prior.potential(x, 0.07)
    monkeypatch.setattr(prior_module, "kernels", lambda array: generic)
    monkeypatch.setattr("bart_pogmdm.experts.kernels", lambda array: generic)
    _table.cache_clear()
    slow = prior.score(x, 0.07)
    _table.cache_clear()
    np.testing.assert_allclose(slow, fast, atol=1e-9 * np.abs(fast).max())
    monkeypatch.setattr("bart_pogmdm.experts.kernels", lambda array: generic)
    assert np.isclose(prior.potential(x, 0.07), potential, rtol=1e-12)
    np.testing.assert_allclose(prior.score(x, 0.07), fast, atol=1e-9 * np.abs(fast).max())
    images, maps, factor = (random_complex(rng, (3, 5, 6)) for _ in range(3))
    matrix = random_complex(rng, (5, 5))
    for name, arguments in (("expand", (maps, images[0])), ("combine", (maps, images)), ("scale", ()),
                            ("multiply", (matrix, images))):
        results = []
        for module in (cpu, generic):
            out = factor.copy() if name != "combine" else factor[0].copy()
            getattr(module, name)(*((*arguments, out) if arguments else (out, np.abs(images[0]))))
            results.append(out)
        np.testing.assert_allclose(*results)


def test_threads_do_not_change_the_score(prior, rng, monkeypatch):
    x = random_complex(rng, (30, 28))
    many = prior.score(x, 0.1)
    np.testing.assert_array_equal(prior.score(x, 0.1), many)
    monkeypatch.setattr("bart_pogmdm.arrays.threads.NUM_THREADS", 1)
    np.testing.assert_array_equal(prior.score(x, 0.1), many)


@pytest.mark.parametrize("shape", [(128, 128), (51, 70), (200, 90)])
def test_no_frequency_counts_more_than_once(prior, shape):
    total = shearlets.power(prior.spectra(shape) / prior.gains[:, None, None]).sum(0)
    assert 0.98 < total.max() <= 1 + 1e-12
    reference = shearlets.normalise(shearlets.spectra(10 * prior.filters, shape), shearlets.overlap(10 * prior.filters))
    np.testing.assert_allclose(reference, prior.spectra(shape) / prior.gains[:, None, None], atol=1e-12)


@pytest.mark.parametrize("sigma", [0.005, 0.05, 0.5, 1.0, 2.0, 10.0])
def test_denoising_never_amplifies_noise_on_a_flat_image(prior, rng, sigma):
    noise = 1e-3 * prior.experts.std(sigma) * rng.standard_normal((64, 60))
    assert np.linalg.norm(prior.denoise(noise, sigma)) <= np.linalg.norm(noise)
    kappa = prior.experts.peak_curvature(sigma)
    step = 1e-4 * prior.experts.std(sigma)
    slope = (prior.experts.activation(np.full((20, 1), step), sigma) / -step)[:, 0]
    np.testing.assert_allclose(kappa, slope, rtol=1e-3, atol=1e-3 / prior.experts.std(sigma)**2)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.1, 0.5, 1.0, 2.0])
def test_denoising_never_overshoots(prior, shared, sigma):
    rng = np.random.default_rng(0)
    for image in validation_images(shared):
        noisy = image + sigma * rng.standard_normal(image.shape)
        assert np.linalg.norm(prior.denoise(noisy, sigma) - image) <= np.linalg.norm(noisy - image)


def test_denoising_of_the_validation_images(prior, shared):
    """What the model card states."""
    images, rng = validation_images(shared), np.random.default_rng(0)
    for sigma, least in ((0.025, 37.1), (0.05, 32.9), (0.1, 29.3), (0.2, 25.4)):
        psnr = [-10 * np.log10(np.mean((prior.denoise(image + sigma * rng.standard_normal(image.shape), sigma) - image)
                                       ** 2)) for image in images]
        assert np.mean(psnr) > least


def validation_images(shared):
    import h5py
    with h5py.File(shared("data/train/validation.h5")) as file:
        return [image for name in sorted(file["ms"]) for image in file["ms"][name][2::6]][:6]


@pytest.mark.parametrize("sigma", [0.02, 0.1, 1.0])
def test_majoriser_majorises_and_touches(prior, rng, sigma):
    x = image(rng, (40, 33))
    hessian, energy = prior.curvature(x.shape, sigma), prior.potential(x, sigma)
    slope = -prior.score(x, sigma, exact=True)
    for step in (1e-3, 0.03, 0.3, 1.0):
        for d in (rng.standard_normal(x.shape), image(rng, (40, 33)), -x):
            spectrum = np.fft.fft2(step * d, norm="ortho")
            bound = energy + step * (slope * d).sum() + (hessian * np.abs(spectrum) ** 2).sum() / 2
            assert prior.potential(x + step * d, sigma) <= bound + 1e-6 * abs(energy)
    d = 1e-4 * rng.standard_normal(x.shape)
    assert abs(prior.potential(x + d, sigma) - energy - (slope * d).sum()) < \
        (hessian * np.abs(np.fft.fft2(d, norm="ortho")) ** 2).sum() / 2 + 1e-9 * abs(energy)


def test_denoising_helps(prior, rng):
    clean = np.zeros((64, 64))
    clean[16:48, 20:40] = 1
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    denoised = prior.denoise(noisy, 0.1)
    assert np.linalg.norm(denoised - clean) < 0.6 * np.linalg.norm(noisy - clean)


def test_prior_is_immutable(prior):
    with pytest.raises(dataclasses.FrozenInstanceError):
        prior.base_std = 1.0
    with pytest.raises(ValueError, match="read-only"):
        prior.gains[0] = 1.0


def test_save_and_load(prior, tmp_path, rng):
    prior.save(tmp_path / "copy.npz")
    copy = load_prior(tmp_path / "copy.npz")
    assert copy.digest == prior.digest and copy.name == prior.name
    x = image(rng)
    np.testing.assert_array_equal(copy.score(x, 0.1), prior.score(x, 0.1))
    changed = PoGMDM(prior.lowpass, prior.directional, 2 * prior.gains, prior.weights, prior.means, prior.base_std)
    assert changed.digest != prior.digest


@pytest.mark.parametrize("change, message", [
    ({"schema": 99}, "expected schema 2, got 99"),
    ({"provenance": "[1]"}, "provenance: expected a JSON object"),
    ({"gains": None}, "missing gains"),
    ({"gains": np.ones(19, "f4")}, "gains: expected real numbers of shape"),
    ({"gains": -np.ones(20, "f4")}, "gains must not be negative"),
    ({"gains": np.zeros(20, "f4")}, "gains must not be negative, nor all zero"),
    ({"name": np.arange(3)}, "name: expected a string"),
    ({"lowpass": np.full(9, np.nan, "f4")}, "lowpass holds NaN"),
    ({"lowpass": np.ones(9, "f4")}, "lowpass must sum to 1"),
    ({"weights": np.ones((20, 125), "f4")}, "weights must lie on the simplex"),
    ({"weights": np.eye(20, 125, dtype="f4")}, "weights must be symmetric"),
    ({"means": np.zeros(124, "f4")}, "agree in their number of components"),
    ({"means": np.linspace(0, 1, 125, dtype="f4")}, "means must be equispaced"),
    ({"base_std": np.float32(0)}, "base_std must be positive"),
])
def test_foreign_priors_are_refused(prior, tmp_path, change, message):
    prior.save(tmp_path / "prior.npz")
    with np.load(tmp_path / "prior.npz") as file:
        content = {**file, **change}
    np.savez(tmp_path / "bad.npz", **{key: value for key, value in content.items() if value is not None})
    with pytest.raises(ValueError, match=message):
        load_prior(tmp_path / "bad.npz")


def test_damaged_priors_are_refused(prior, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_prior(tmp_path / "none.npz")
    prior.save(tmp_path / "prior.npz")
    whole = (tmp_path / "prior.npz").read_bytes()
    np.save(tmp_path / "array.npy", np.ones(3))
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "pickle.npz", pickled)
    (tmp_path / "cut.npz").write_bytes(whole[:len(whole) // 2])
    (tmp_path / "flipped.npz").write_bytes(whole[:3000] + bytes(255 - b for b in whole[3000:3100]) + whole[3100:])
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("cut.npz", "flipped.npz", "text.npz", "empty.npz", "array.npy", "pickle.npz"):
        with pytest.raises(ValueError, match=r"not a readable npz|not a PoGMDM"):
            load_prior(tmp_path / name)


def test_score_names_a_bad_image(prior):
    with pytest.raises(ValueError, match=r"image: expected .* got float64 \(5,\)"):
        prior.score(np.ones(5), 0.1)
    with pytest.raises(ValueError, match="got int64"):
        prior.potential(np.ones((5, 5), int), 0.1)
    with pytest.raises(TypeError, match="image: expected an array, got list"):
        prior.score([[1.0]], 0.1)
    for sigma in (np.nan, -1, "a"):
        with pytest.raises(ValueError, match="sigma: expected a number >= 0"):
            prior.score(np.ones((5, 5)), sigma)


def test_foreign_byte_order(prior, rng):
    x = random_complex(rng, (20, 20), np.complex64)
    for dtype in (">c8", ">c16"):
        score = prior.score(x.astype(dtype), 0.1)
        assert score.dtype == np.dtype(dtype)
        np.testing.assert_allclose(score, prior.score(x, 0.1), rtol=1e-3, atol=1e-3)
