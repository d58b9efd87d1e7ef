"""K-space that was padded with zeros, as scanners interpolate, is solved on the box of its samples."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import psnr

from bart_pogmdm import Diffusion, Gibbs, Map, load_prior, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import phantom, sensitivities
from bart_pogmdm.physics.fourier import fft2c, ifft2c, interpolate, resample, resize
from bart_pogmdm.physics.sampled_box import BoxRules, sampled_box
from bart_pogmdm.reconstruction.inputs import Inputs
from bart_pogmdm.reconstruction.options import options_of
from bart_pogmdm.reconstruction.recon import reconstruct

QUICK = {"iterations": 4}


def lines(n, step=3, centre=16, part=1.0):
    """Every `step`-th of n lines, those at the centre, and of all only the first part."""
    places = np.arange(n)
    return ((places % step == (n // 2) % step) | (abs(places - n // 2) < centre // 2)) & (places < part * n)


def scan(shape=(48, 42), coils=4, mask=None, seed=0):
    """K-space of the phantom inside a mask (by default every third column, or all of an odd number), and the mask."""
    mask = np.broadcast_to(lines(shape[1], 1 if shape[1] % 2 else 3), shape) if mask is None else mask
    return simulate_kspace(phantom(shape), coils, 0.005, seed) * mask, mask


def padded(array, shape):
    return resize(array, shape)


def close(found, wanted, tolerance=1e-5):
    assert found.shape == wanted.shape
    assert np.linalg.norm(found - wanted) < tolerance * np.linalg.norm(wanted)


SHAPES = [((48, 42), (72, 72)), ((48, 42), (49, 71)), ((49, 45), (70, 71)), ((49, 45), (72, 72)), ((48, 42), (48, 72)),
          ((48, 42), (96, 42))]


def coil_images(result):
    return result.image * result.sens


@pytest.mark.parametrize("small, large", SHAPES)
def test_padding_kspace_pads_the_result(small, large):
    kspace, mask = scan(small)
    alone, whole = recon(kspace, mask, **QUICK), recon(padded(kspace, large), padded(mask, large), **QUICK)
    if large[0] == 49:  # One line is no padding, so only the columns are cropped.
        kspace, mask = padded(kspace, (49, 42)), padded(mask, (49, 42))
        alone = recon(kspace, mask, **QUICK)
    close(whole.image, resample(alone.image, large))
    close(resize(fft2c(coil_images(whole)), alone.image.shape), fft2c(coil_images(alone)), 0.02)
    for fact in ("noise_std", "residual_std"):
        assert whole.info[fact] == alone.info[fact]
    assert whole.info["scale"] == pytest.approx(alone.info["scale"] * (alone.image.size / whole.image.size) ** 0.5)
    np.testing.assert_allclose((abs(whole.sens) ** 2).sum(0), 1, atol=1e-5)


def test_the_samples_say_where_the_box_is_without_a_mask_and_within_one():
    (kspace, mask), large = scan(), (72, 72)
    alone = resample(recon(kspace, mask, **QUICK).image, large)
    for pattern in (None, padded(mask, large)[36]):  # a line counts for all rows, also for those of zeros
        close(recon(padded(kspace, large), pattern, **QUICK).image, alone)
    kspace, mask = scan(mask=np.ones((48, 42), bool))
    close(recon(padded(kspace, large), np.ones(large), **QUICK).image, resample(recon(kspace, **QUICK).image, large))


@pytest.mark.filterwarnings("ignore:kspace. image and sensitivities do not explain")  # after so few iterations
@pytest.mark.parametrize("case", ["one coil", "masks of coils", "weights", "two sets", "known", "two known sets",
                                  "start", "unnormalised", "moved", "diffusion"])
def test_all_ways_to_reconstruct_crop(case):
    (kspace, mask), large = scan(coils=1 if case == "one coil" else 4), (72, 72)
    size, options, sens, start = kspace.shape[-2:], dict(QUICK), None, None
    if case == "masks of coils":
        kspace = scan(mask=1)[0]
        mask = np.stack([masks.named("cartesian3", size, seed) for seed in range(4)])
        kspace = kspace * mask
    elif case == "weights":
        mask = mask * np.random.default_rng(0).uniform(0.5, 1, size)
    elif case == "two sets":
        options["maps"] = 2
    elif case == "known":
        sens = 3 * sensitivities(large, 4).astype(np.complex64)
    elif case == "two known sets":
        sens = np.stack([sensitivities(large, 4), 0.1 * sensitivities(large, 4)[::-1]]).astype(np.complex64)
    elif case == "start":
        start = phantom(large).astype(np.complex64)
    elif case == "unnormalised":
        options["normalize"] = False
    elif case == "moved":
        kspace, mask = np.roll(kspace, (6, -6), (-2, -1)), np.roll(mask, (6, -6), (-2, -1))
    elif case == "diffusion":
        options = {"method": Diffusion(num_levels=8), "samples": 2}
    alone = recon(kspace, mask, sens=None if sens is None else interpolate(sens, size),
                  start=None if start is None else resample(start, size), **options)
    whole = recon(padded(kspace, large), padded(mask, large), sens=sens, start=start, **options)
    if case not in ("two sets", "two known sets", "unnormalised"):
        close(whole.image, resample(alone.image, large))
    rough = 0.1 if case == "diffusion" else 0.02  # Its maps are no short Fourier series, so they are interpolated.
    close(resize(fft2c(coil_images(whole)), size), fft2c(coil_images(alone)), rough)
    if case == "known":
        close(whole.sens, sens / 3)
    residual = np.where(mask != 0, resize(fft2c(coil_images(whole)), size) - kspace, 0)
    if case != "diffusion":
        assert np.linalg.norm(residual) < 0.1 * np.linalg.norm(kspace)


def test_samples_and_their_spread_are_those_of_the_interpolated_draws():
    (kspace, mask), large = scan(), (72, 72)
    options = {"method": Gibbs(chains=2, burn_in=2, thin=2, maximum=Map(iterations=4)), "samples": 4,
               "keep_samples": True}
    alone, whole = recon(kspace, mask, **options), recon(padded(kspace, large), padded(mask, large), **options)
    close(whole.image, resample(alone.image, large))
    # The window of R-hat and of the variance has 1.5 pixels of either grid, so that the deviations may differ a little.
    for one, other in zip(alone.samples, whole.samples):
        expected, found = resample(one - alone.image, large), other - whole.image
        assert np.linalg.norm(found - expected) < 0.1 * np.linalg.norm(expected)
    ratio = (abs(whole.std) ** 2).mean() / (abs(alone.std) ** 2).mean()
    assert ratio == pytest.approx(kspace[0].size / np.prod(large), rel=0.2)


def test_slices_in_a_loop_have_boxes_of_their_own():
    small, large = scan(), scan((72, 72), seed=1)
    stack = np.stack([padded(small[0], (72, 72)), large[0]], -1).transpose(1, 2, 0, 3)[:, :, None]
    result = recon(stack, **QUICK)
    for i, (kspace, _) in enumerate((small, large)):
        image = recon(kspace, **QUICK).image
        close(result.image[:, :, 0, 0, i], resample(image, (72, 72)))


def test_a_slice_starts_from_a_neighbour_in_another_box():
    prior, options = load_prior(), options_of(iterations=4)
    first, second = scan()[0], scan((48, 54), seed=1)[0]
    _, neighbour = reconstruct(Inputs(padded(first, (72, 72))), prior, options)
    warm, _ = reconstruct(Inputs(padded(second, (72, 72)), neighbour=neighbour), prior, options)
    cold, _ = reconstruct(Inputs(padded(second, (72, 72))), prior, options)
    assert np.linalg.norm(warm.image - cold.image) < 0.1 * np.linalg.norm(cold.image)


BOXES = {
    "full": (np.ones((64, 64)), (64, 64)),
    "padded": (padded(np.ones((64, 48)), (96, 60)), (64, 48)),
    "padded odd": (padded(np.ones((63, 47)), (96, 61)), (63, 47)),
    "padded in one direction": (padded(np.ones((64, 48)), (64, 72)), (64, 48)),
    "every third line, padded": (padded(np.broadcast_to(lines(60), (64, 60)), (96, 96)), (64, 60)),
    "every third line, some missed, padded": (padded(np.broadcast_to(lines(64), (64, 64)), (96, 96)), (64, 63)),
    "partial Fourier": (np.broadcast_to(lines(64, 1, part=0.75), (64, 64)), (64, 64)),
    "partial Fourier, padded": (padded(np.broadcast_to(lines(64, 1, part=0.75), (64, 64)), (96, 96)), (64, 64)),
    "asymmetric echo": (np.broadcast_to(lines(64, 1)[:, None] & (np.arange(64) >= 16)[:, None], (64, 64)), (64, 64)),
    "outermost lines missed": (np.broadcast_to((np.arange(64) >= 3) & (np.arange(64) < 61), (64, 64)), (64, 64)),
    "a calibration region": (padded(np.ones((24, 64)), (64, 64)), (64, 64)),
    "nothing": (np.zeros((64, 64)), (64, 64)),
    **{f"{name} {seed}": (masks.named(name, (64, 64), seed), (64, 64))
       for name in ("cartesian4", "horizontal4", "gaussian6", "poisson8", "radial16", "spiral4") for seed in range(3)},
}


@pytest.mark.parametrize("name", BOXES)
def test_the_box_is_that_of_padding_only(name):
    mask, box = BOXES[name]
    assert sampled_box(mask != 0, BoxRules()) == box


def test_maps_are_interpolated_about_the_same_centre():
    maps = sensitivities((65, 64), 3)
    close(interpolate(interpolate(maps, (130, 97)), (65, 64)), maps, 0.01)
    assert np.array_equal(interpolate(maps, (65, 64)), maps)
    assert np.allclose(interpolate(np.ones((2, 5, 4)), (9, 3)), 1)


def test_bart_pads_and_crops_as_recon_does(bart):
    (kspace, _), large = scan(), (72, 72)
    dims = kspace.transpose(1, 2, 0)[:, :, None]
    wide = np.asarray(bart(1, f"resize -c 0 {large[0]} 1 {large[1]}", dims))
    assert np.array_equal(wide[:, :, 0].transpose(2, 0, 1), padded(kspace, large).astype(wide.dtype))
    whole, alone = recon(wide.reshape(*large, 1, 4), **QUICK), recon(kspace, **QUICK)
    back = bart(1, f"resize -c 0 {kspace.shape[1]} 1 {kspace.shape[2]}", bart(1, "fft -u 3", whole.image))
    close(np.asarray(bart(1, "fft -u -i 3", back)).squeeze(), alone.image)


def test_the_box_is_better_than_the_padded_grid_on_a_scan(shared):
    kspace = np.load(shared("data/dev/brain16ch_mchiew_96.npz"))["kspace"]
    size = kspace.shape[-2:]
    large = tuple(n * 3 // 2 for n in size)
    mask = np.broadcast_to(lines(size[1], 3, 24), size)
    truth = np.sqrt((abs(ifft2c(padded(kspace, large))) ** 2).sum(0))
    scores = [psnr(recon(padded(kspace * mask, large), padded(mask, large), rules=replace(options_of().rules, box=box),
                         iterations=8).image, truth) for box in (BoxRules(), BoxRules(least=10**6))]
    assert scores[0] > scores[1] + 1
