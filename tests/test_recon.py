"""`recon`: layouts, precision, masks, units, known sensitivities, start images, and the names of bad arguments."""

import json

import numpy as np
import pytest
import strict_cupy
from conftest import psnr, simulate
from trajectories import measured

from bart_pogmdm import Diffusion, Gibbs, Map, PoGMDM, ReconstructionWarning, recon
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import phantom, sensitivities
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.reconstruction.inputs import Inputs
from bart_pogmdm.reconstruction.options import options_of
from bart_pogmdm.reconstruction.recon import reconstruct

QUICK = {"iterations": 4}


@pytest.fixture(scope="module")
def small():
    return simulate((40, 36), coils=4)


def test_layouts_agree(small):
    kspace, mask, _ = small
    plain = recon(kspace, mask, **QUICK)
    assert plain.image.shape == (40, 36) and plain.sens.shape == kspace.shape and plain.std is None
    bart = recon(to_bart(kspace), mask, **QUICK)
    assert bart.image.shape == (40, 36, 1, 1) and bart.sens.shape == (40, 36, 1, 4)
    np.testing.assert_array_equal(bart.image[..., 0, 0], plain.image)
    np.testing.assert_array_equal(np.moveaxis(bart.sens[:, :, 0], -1, 0), plain.sens)
    for same in (mask, mask[None, :, :], mask[None, :, :, None]):
        sliced = recon(np.moveaxis(kspace, 0, -1)[None], same, **QUICK)  # READ = 1
        np.testing.assert_array_equal(sliced.image[0, ..., 0], plain.image)


def test_a_result_is_short_to_print_and_its_facts_are_plain(small):
    stack = np.stack([to_bart(small[0])] * 2, -1)
    for kspace, steps in ((small[0], 4), (stack, [4, 4])):
        found = recon(kspace, small[1], **QUICK)
        text = repr(found)
        assert len(text) < 200 and f"image complex64 {found.image.shape}" in text and "std" not in text
        assert np.array_equal(found.info["steps"], steps)
    info = recon(small[0], small[1], samples=2, iterations=10).info
    assert json.loads(json.dumps(info)) == info
    with pytest.warns(ReconstructionWarning, match="do not explain the samples"):
        assert recon(small[0], small[1], method=Diffusion(num_levels=2)).info["iterations"] is None


def test_higher_dimensions_are_looped_over(small):
    kspace, mask, _ = small
    other = simulate((40, 36), coils=4, seed=2)
    stack = np.stack([to_bart(kspace), to_bart(other[0])], -1)[:, :, :, :, None]
    masks = np.stack([mask, other[1]], -1)[:, :, None, None, None]
    result = recon(stack, masks, shared_sens=0, **QUICK)
    assert result.image.shape == (40, 36, 1, 1, 1, 2) and result.sens.shape == stack.shape
    for i, (k, m, _) in enumerate((small, other)):
        alone = recon(k, m, **QUICK)
        np.testing.assert_array_equal(result.image[:, :, 0, 0, 0, i], alone.image)
        assert result.info["noise_std"][i] == alone.info["noise_std"]


def test_single_coil(small):
    kspace, mask, _ = simulate((40, 36), coils=1)
    flat, stacked = recon(kspace[0], mask, **QUICK), recon(kspace, mask, **QUICK)
    assert flat.image.shape == flat.sens.shape == (40, 36)
    np.testing.assert_array_equal(flat.image, stacked.image)
    np.testing.assert_array_equal(flat.sens, np.ones((40, 36)))


@pytest.mark.parametrize("dtype", ["c8", "c16", ">c8", ">c16"])
def test_precision_is_kept(small, dtype):
    kspace = np.asfortranarray(small[0].astype(dtype))
    kspace.setflags(write=False)
    result = recon(kspace, small[1], **QUICK)
    assert result.image.dtype == result.sens.dtype == np.dtype(dtype)
    reference = recon(small[0], small[1], **QUICK).image
    assert np.linalg.norm(result.image - reference) < 1e-3 * np.linalg.norm(reference)


@pytest.mark.parametrize("method", [None, Gibbs(chains=1, burn_in=0, thin=1), Diffusion(num_levels=3)])
@pytest.mark.parametrize("noise_std", [None, np.float64(0.01)])
@pytest.mark.filterwarnings("ignore:.*do not explain:bart_pogmdm.ReconstructionWarning")  # of so few levels
def test_single_precision_stays_single(small, method, noise_std):
    """All States are in single precision: one scalar in double precision on the way would double the work."""
    seen = set()
    recon(small[0], small[1], method=method, noise_std=noise_std, **QUICK,
          callback=lambda state: seen.update((state.image.dtype, state.sens.dtype)))
    assert seen == {np.dtype(np.complex64)}


def test_masks(small):
    kspace, mask, _ = small
    reference = recon(kspace, mask, **QUICK).image
    for same in (None, mask.astype(int), mask.astype(np.float32), mask.astype(np.complex64), mask[None]):
        np.testing.assert_array_equal(recon(kspace, same, **QUICK).image, reference)
    line = (np.arange(36) % 3 == 0) | (np.abs(np.arange(36) - 18) < 4)
    full = simulate_kspace(phantom((40, 36)), 4, 0.01, 0)
    for same in (recon(full, line[None, :], **QUICK), recon(to_bart(full), line, **QUICK)):
        np.testing.assert_array_equal(np.squeeze(same.image), recon(full, line, **QUICK).image)


@pytest.mark.filterwarnings("ignore:.*its centre is not sampled:bart_pogmdm.ReconstructionWarning")
@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")
def test_missing_centre(small):
    """The zero frequency and its neighbours need not be sampled."""
    hole = np.ones((40, 36), bool)
    hole[17:24, 15:22] = False
    for coils in (slice(None), slice(1)):
        result = recon(small[0][coils], small[1] & hole, **QUICK)
        assert np.isfinite(result.image).all() and np.abs(result.image).max() < 3 * np.abs(small[2]).max()


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")
def test_one_line():
    line = np.zeros(36, bool)
    line[18] = True
    for coils in (slice(None), slice(1)):
        kspace = simulate_kspace(phantom((40, 36)), 4, 0.01, 0)[coils]
        assert np.isfinite(recon(kspace, line, **QUICK).image).all()


def test_input_is_left_alone(small):
    kspace, mask = small[0].copy(), np.ones((40, 36), bool)
    with pytest.warns(ReconstructionWarning, match="mask: many of its samples are zero"):
        recon(kspace, mask, **QUICK)
    np.testing.assert_array_equal(kspace, small[0])


def test_same_seed_same_bits(small):
    first, second = recon(small[0], small[1], seed=3), recon(small[0], small[1], seed=3)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.sens, second.sens)


@pytest.mark.parametrize("factor", [1e-6, 7.5, 1e6])
def test_result_is_in_data_units(small, factor):
    kspace, mask, _ = small
    one, other = recon(kspace, mask, **QUICK), recon((factor * kspace).astype(np.complex64), mask, **QUICK)
    assert np.linalg.norm(other.image / factor - one.image) < 1e-3 * np.linalg.norm(one.image)
    assert np.isclose(other.info["noise_std"], factor * one.info["noise_std"], rtol=1e-3)
    assert np.isclose(other.info["scale"], factor * one.info["scale"], rtol=1e-3)


def test_normalization(small):
    kspace, mask, _ = small
    normal, raw = recon(kspace, mask, **QUICK), recon(kspace, mask, normalize=False, **QUICK)
    rss = np.sqrt((np.abs(raw.sens) ** 2).sum(0))
    np.testing.assert_allclose(normal.image, raw.image * rss, rtol=1e-4)
    np.testing.assert_allclose((np.abs(normal.sens) ** 2).sum(0), 1, rtol=1e-4)
    np.testing.assert_allclose(normal.image * normal.sens, raw.image * raw.sens, rtol=1e-3, atol=1e-6)


def test_known_sensitivities_are_kept(small):
    kspace, mask, reference = small
    joint = recon(kspace, mask)
    known = recon(kspace, mask, sens=joint.sens)
    np.testing.assert_allclose(known.sens, joint.sens, rtol=1e-4, atol=1e-6)
    assert psnr(known.image, reference) > psnr(joint.image, reference) - 1
    for factor in (0.1, 10):
        scaled = recon(kspace, mask, sens=factor * joint.sens)
        assert np.linalg.norm(scaled.image - known.image) < 1e-3 * np.linalg.norm(known.image)
        raw = recon(kspace, mask, sens=factor * joint.sens, normalize=False)
        np.testing.assert_array_equal(raw.sens, factor * joint.sens)
        assert np.linalg.norm(raw.image * factor - known.image) < 1e-3 * np.linalg.norm(known.image)
    one_coil = recon(kspace[:1], mask, sens=np.ones((1, 40, 36), np.complex64))
    np.testing.assert_array_equal(one_coil.image, recon(kspace[:1], mask).image)


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # these are others than in the samples
@pytest.mark.parametrize("kind", ["one set", "two sets", "mask of each coil", "no mask", "units kept"])
def test_coils_whose_known_sensitivities_are_zero_are_left_out(small, kind):
    kspace, mask, _ = small
    others = [0, *range(2, len(kspace))]
    sens = sensitivities(mask.shape, len(kspace)).astype(np.complex64)
    sens[1] = 0
    if kind == "two sets":
        sens = np.stack([sens, 0.1 * sens[..., ::-1]])
    if kind == "mask of each coil":
        mask = np.stack([mask | (coil == 1) for coil in range(len(kspace))])
    mask = None if kind == "no mask" else mask
    options = QUICK | {"normalize": kind != "units kept"}
    found = recon(kspace, mask, sens=sens, **options)
    alone = recon(kspace[others], mask[others] if kind == "mask of each coil" else mask, sens=sens[..., others, :, :],
                  **options)
    np.testing.assert_array_equal(found.image, alone.image)
    np.testing.assert_array_equal(found.sens[others], alone.sens)
    assert found.sens.shape == kspace.shape and not found.sens[1].any()


def test_such_coils_are_left_out_along_trajectories():
    kspace, traj, _ = measured(coils=3)
    kspace, sens = kspace.transpose(0, 2, 1), sensitivities((40, 40), 3).astype(np.complex64)
    sens[2] = 0
    with pytest.warns(ReconstructionWarning, match="sens: it is zero in a coil that holds signal"):
        found = recon(kspace, traj=traj, sens=sens, iterations=3)
    np.testing.assert_array_equal(found.image, recon(kspace[:2], traj=traj, sens=sens[:2], iterations=3).image)


def test_start_image_saves_iterations(small):
    kspace, mask, _ = small
    full = recon(kspace, mask)
    warm = recon(kspace, mask, start=full.image, iterations=2)
    assert psnr(warm.image, full.image) > psnr(recon(kspace, mask, iterations=2).image, full.image)


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # the smallest image has five lines
@pytest.mark.parametrize("shape", [(33, 47), (16, 90), (20, 20)])
@pytest.mark.parametrize("coils", [1, 2, 9])
def test_any_size_and_number_of_coils(shape, coils):
    kspace, mask, reference = simulate(shape, coils)
    zero_filled = np.sqrt((np.abs(ifft2c(kspace)) ** 2).sum(0))
    noise_std = 0.01 if coils == 1 else None  # a single small image has no noise-only samples to estimate it from
    assert psnr(recon(kspace, mask, noise_std=noise_std).image, reference) > psnr(zero_filled, reference) - 0.5


def test_given_noise_is_used(small):
    with pytest.warns(ReconstructionWarning, match="noise_std: it is far above the residual"):
        result = recon(small[0], small[1], noise_std=0.3, **QUICK)
    assert result.info["noise_std"] == 0.3
    assert np.linalg.norm(result.image - recon(small[0], small[1], **QUICK).image) > 0
    assert np.isfinite(recon(small[0], small[1], noise_std=0).image).all()
    assert np.isfinite(recon(simulate((40, 36), 1, noise_std=0)[0], noise_std=0).image).all()


def test_callback_and_info(small, prior):
    states = []
    result = recon(small[0], small[1], iterations=5, callback=states.append)
    assert [state.info.iteration for state in states] == [1, 2, 3, 4, 5]
    assert {state.info.sigma for state in states} == {Map.sigma}
    assert all(0 < state.info.residual_std < 1 and state.sens.shape == small[0].shape for state in states)
    assert result.info["prior_hash"] == prior.digest and result.info["seconds"] > 0
    assert {"method", "iterations", "noise_std", "scale", "prior", "seed"} <= set(result.info)


@pytest.mark.parametrize("coils", [1, 4])
def test_no_numpy_array_meets_a_device_array(small, prior, monkeypatch, coils):
    """On a stand-in for CuPy the arrays stay what they are, and the result is that of NumPy."""
    kspace = small[0][:coils].astype(complex)
    expected = recon(kspace, small[1], **QUICK)
    cupy = strict_cupy.install(monkeypatch)
    result = recon(cupy.asarray(kspace), cupy.asarray(small[1]), **QUICK)
    assert type(result.image) is type(result.sens) is cupy.ndarray
    assert np.linalg.norm(np.array(result.image) - expected.image) < 1e-9 * np.linalg.norm(expected.image)
    image = cupy.asarray(np.abs(expected.image))
    for name in ("score", "denoise", "potential"):
        np.testing.assert_allclose(np.array(getattr(prior, name)(image, 0.1)),
                                   getattr(prior, name)(np.array(image), 0.1), rtol=1e-3, atol=1e-3)


def test_another_prior(small, prior, tmp_path):
    kspace, mask, _ = small
    stronger = PoGMDM(prior.lowpass, prior.directional, 3 * prior.gains, prior.weights, prior.means, prior.base_std)
    image = recon(kspace, mask, prior=stronger, **QUICK).image
    assert np.linalg.norm(image - recon(kspace, mask, **QUICK).image) > 0
    stronger.save(tmp_path / "stronger.npz")
    loaded = recon(kspace, mask, prior=tmp_path / "stronger.npz", **QUICK)
    np.testing.assert_allclose(loaded.image, image, atol=1e-5 * np.abs(image).max())


def bad(change):
    kspace = simulate((20, 20), coils=2)[0]
    change(kspace)
    return kspace


@pytest.mark.parametrize("arguments, message", [
    ({"kspace": np.ones((2, 20, 20))}, "kspace: expected complex samples, got float64"),
    ({"kspace": [[1j]]}, "kspace: expected complex samples, got list"),
    ({"kspace": np.ones(20, complex)}, "kspace: expected 2 to 16 dimensions, got 1"),
    ({"kspace": np.ones((2, 20, 0), complex)}, "kspace: expected samples, got an empty array"),
    ({"kspace": np.ones((2, 20, 1), complex)}, "kspace: expected an image plane of at least 2 x 2"),
    ({"kspace": np.ones((20, 20, 1, 1, 2), complex)}, "expected the coils along COIL, dimension 3, got 1 there and 2"),
    ({"kspace": np.ones((20, 1, 1, 2), complex)}, "expected at least two of READ, PHS1, PHS2 longer than 1"),
    ({"kspace": np.ones((2, 20, 20), complex)}, "all imaginary parts are zero"),
    ({"kspace": np.zeros((2, 20, 20), complex)}, "kspace: all samples are zero"),
    ({"kspace": bad(lambda k: k.__setitem__((0, 10, 10), np.nan))}, "kspace: expected finite samples"),
    ({"kspace": bad(lambda k: k.__setitem__((0, 10, 10), np.inf))}, "kspace: expected finite samples"),
    ({"mask": np.ones((20, 21))}, r"mask: expected a shape that broadcasts to \(2, 20, 20\), .* got \(20, 21\)"),
    ({"mask": np.ones((3, 20, 20))}, "mask: expected a shape that broadcasts"),
    ({"mask": np.full((20, 20), "x")}, "mask: expected boolean values or weights"),
    ({"mask": np.zeros((20, 20))}, "mask: expected at least one sample"),
    ({"mask": np.arange(400).reshape(20, 20) == 0}, "all samples are zero inside the mask"),
    ({"iterations": 0}, "iterations: expected a positive integer, got 0"),
    ({"iterations": 2.5}, "iterations: expected a positive integer, got 2.5"),
    ({"noise_std": -1}, "noise_std: expected a number >= 0, got -1"),
    ({"noise_std": np.nan}, "noise_std: expected a number >= 0, got nan"),
    ({"noise_std": "a"}, "noise_std: expected a number >= 0, got 'a'"),
    ({"mask": [[1], [1, 1]]}, "mask: expected an array"),
    ({"prior": 5}, "prior: expected a PoGMDM, a path or PlugAndPlay.denoiser., got int"),
    ({"sens": np.ones((3, 20, 20), complex)},
     r"sens: expected shape \(2, 20, 20\), or two such sets, got \(3, 20, 20\)"),
    ({"sens": np.zeros((2, 20, 20), complex)}, "sens: all values are zero"),
    ({"kspace": np.ma.array(np.ones((2, 20, 20), complex))}, "kspace: expected a plain array, got a masked one"),
    ({"mask": np.ma.array(np.ones((20, 20)))}, "mask: expected a plain array, got a masked one"),
    ({"keep_samples": True}, "keep_samples: goes with samples, and none are drawn"),
    ({"start": np.full((20, 20), np.nan)}, "start: expected finite"),
    ({"start": np.zeros((20, 20), complex)}, "start: all values are zero"),
    ({"prior": "nowhere.npz"}, "prior nowhere.npz: no such file"),
    ({"first": -1}, "first: no such option"),
    ({"callback": 3}, "callback: expected a function of a State, or None, got int"),
])
def test_bad_arguments_are_named(arguments, message):
    call = {"kspace": bad(lambda k: k.__setitem__((slice(None), 0, 0), 0)), "iterations": 1, **arguments}
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
        recon(call.pop("kspace"), **call)


@pytest.mark.filterwarnings("ignore:kspace. image and sensitivities do not explain")  # after so few iterations
def test_a_start_image_may_have_any_scale():
    kspace, mask, reference = simulate((48, 44), 4)
    start = reference.astype(np.complex64)
    expected = recon(kspace, mask, start=start, iterations=5).image
    for scale in (1e-20, 0.1, 1e20):
        found = recon(kspace, mask, start=np.float32(scale) * start, iterations=5).image
        assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    own = mask & (np.random.default_rng(0).random(kspace.shape) < 0.9)
    ones = np.ones(kspace.shape, np.complex64)
    for data, options in ((kspace * own, {"mask": own}), (kspace[:1], {"mask": mask}), (kspace, {"sens": ones})):
        found, alike = (recon(data, start=np.float32(scale) * start, iterations=5, **options).image
                        for scale in (1e20, 1))
        assert np.linalg.norm(found - alike) < 1e-3 * np.linalg.norm(alike)
    series, images = (np.stack([array, array], -1).reshape(48, 44, 1, -1, 1, 2)
                      for array in (kspace.transpose(1, 2, 0), start))
    found, alike = (recon(series, mask[:, :, None, None, None, None], start=images * np.array(factors, np.float32),
                          iterations=5).image for factors in ((1e4, 1e-3), (1, 1)))
    assert np.linalg.norm(found - alike) < 1e-3 * np.linalg.norm(alike)


def test_known_sensitivities_that_are_zero_in_a_slice_are_named():
    kspace, sens = np.ones((20, 20, 1, 2, 3), complex) * (1 + 1j), np.ones((20, 20, 1, 2, 3), complex)
    sens[..., 1] = 0
    with pytest.raises(ValueError, match="sens: all values are zero in MAPS 1"):
        recon(kspace, sens=sens, iterations=1)


def test_an_array_of_dask_is_refused():
    dask = pytest.importorskip("dask.array", reason="Dask is not installed (extra volume)")
    with pytest.raises(TypeError, match="kspace: expected an array in memory, got one of Dask"):
        recon(dask.from_array(np.ones((2, 20, 20), np.complex64)))


@pytest.mark.parametrize("arguments, message", [
    ({}, "neighbour: expected coefficients of as many coils"),
    ({"start": np.ones((20, 20), complex)}, "neighbour: goes with"),
    ({"sens": np.ones((2, 20, 20), complex)}, "neighbour: goes with"),
])
def test_a_neighbour_that_does_not_fit_is_named(prior, arguments, message):
    kspace = bad(lambda k: k.__setitem__((slice(None), 0, 0), 0))
    with pytest.raises(ValueError, match=message):
        reconstruct(Inputs(kspace, neighbour=np.ones((3, 3, 3), complex), **arguments), prior, options_of(iterations=1))


class OwnError(ValueError):
    """An error of a caller, which is not ours to reword."""


@pytest.mark.parametrize("error", [OwnError("a", 2), StopIteration("enough"), MemoryError("mine"), KeyboardInterrupt(),
                                   GeneratorExit(), UnicodeDecodeError("utf8", b"x", 0, 1, "?")], ids=repr)
def test_an_error_of_the_callback_comes_back_as_it_is(small, error):
    kspace, mask = small[:2]
    stack = np.stack([to_bart(kspace)] * 2, -1)

    def stop(state):
        raise error

    with pytest.raises(type(error)) as caught:
        recon(stack, mask, iterations=2, callback=stop)
    assert caught.value is error


def test_bad_slice_is_named(small):
    stack = np.stack([to_bart(small[0]), 0 * to_bart(small[0])], -1)
    with pytest.raises(ValueError, match="all samples are zero in MAPS 1"):
        recon(stack, **QUICK)


@pytest.mark.slow
def test_real_data_beat_nlinv(shared):
    """brain8ch_espirit, 2-D Gaussian R=8: BART's nlinv reaches 28.6 dB there at its best."""
    with np.load(shared("data/dev/masks.npz")) as masks, np.load(shared("data/dev/brain8ch_espirit.npz")) as data:
        result = recon(data["kspace"], masks["brain8ch_espirit__gaussian8__0"])
        assert psnr(result.image, data["reference"]) > 29.5


@pytest.mark.filterwarnings("ignore:.*its centre is not sampled:bart_pogmdm.ReconstructionWarning")
@pytest.mark.parametrize("coils", [1, 4])
@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_a_point_keeps_its_magnitude(coils, scale):
    """The image scale does not come from a quantile of the magnitude that is zero."""
    image = np.zeros((40, 36))
    image[15, 20] = scale
    kspace = fft2c(sensitivities(image.shape, coils) * image).astype(np.complex64)
    # The estimate would take a point for noise.
    found = np.abs(recon(kspace, iterations=8, noise_std=1e-3 * scale).image) / scale
    assert abs(found[15, 20] - 1) < 0.02 and np.partition(found, -2, axis=None)[-2] < 0.02


def test_a_start_may_have_any_scale(small):
    kspace, mask, _ = small
    one = kspace[:1]
    first = recon(one, mask, iterations=3).image
    results = [recon(one, mask, iterations=3, start=scale * first) for scale in (0.1, 1, 1j)]
    for other in results[1:]:
        assert np.isclose(other.info["scale"], results[0].info["scale"], rtol=1e-4)
        assert np.linalg.norm(np.abs(other.image) - np.abs(results[0].image)) < 1e-3 * np.linalg.norm(other.image)
