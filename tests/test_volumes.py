"""Reconstruction in three dimensions: the operators, the prior of volumes, and whole volumes."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import psnr
from properties import assert_adjoint, assert_gradient, random_complex

from bart_pogmdm import Gibbs, Map, ReconstructionWarning, from_bart, recon, to_bart
from bart_pogmdm.algorithms.schedules import SensitivityPenalty
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import noise
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import CoilModel
from bart_pogmdm.physics.fourier import axes_of, fft2c, ifft2c
from bart_pogmdm.physics.kspace_centre import CentreRules, find_centre
from bart_pogmdm.physics.sensitivities import SensitivityModel
from bart_pogmdm.physics.sensitivity_start import StartRules, joint_inversion
from bart_pogmdm.physics.sobolev_maps import MapsByCoil, SobolevMaps, SobolevRules, fields
from bart_pogmdm.prior.planes import Planes
from bart_pogmdm.prior.smooth_phase import SmoothPhase

GRID, COILS = (24, 22, 26), 6
AXES = axes_of(GRID)


def coordinates():
    """z, y and x of the voxels, from -1 to 1."""
    return np.meshgrid(*(np.linspace(-1, 1, n) for n in GRID), indexing="ij")


def head():
    """Ellipsoids of constant brightness, with a smooth phase."""
    z, y, x = coordinates()
    image = 0.6 * (x**2 / 0.64 + y**2 / 0.7 + z**2 / 0.7 < 1) + 0.4 * (
        (x - 0.3) ** 2 / 0.05 + (y + 0.2) ** 2 / 0.1 + (z - 0.1) ** 2 / 0.1 < 1) - 0.3 * (
        (x + 0.3) ** 2 / 0.06 + y**2 / 0.06 + (z + 0.2) ** 2 / 0.06 < 1)
    return image * np.exp(0.5j * x + 0.3j * y**2 - 0.4j * z)


def coils():
    """Sensitivities on a ring around the x axis, with RSS 1."""
    z, y, x = coordinates()
    angles = 2 * np.pi * np.arange(COILS)[:, None, None, None] / COILS
    sens = np.exp(-((y - 1.3 * np.cos(angles)) ** 2 + (z - 1.3 * np.sin(angles)) ** 2 + (x - 0.5 * (-1) ** np.arange(
        COILS)[:, None, None, None]) ** 2 / 2) / 2 + 1j * (angles + y * np.sin(angles)))
    return sens / np.sqrt((abs(sens) ** 2).sum(0))


@pytest.fixture(scope="module")
def scan():
    """k-space in BART's order of a volume with readouts along the first axis, its mask, and the image."""
    rng, image = np.random.default_rng(0), head()
    full = fft2c(coils() * image, AXES)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in GRID[1:]), indexing="ij")
    radius = np.hypot(y, x)
    mask = (rng.random(radius.shape) < 0.9 * np.exp(-radius / 0.5)) | (radius < 0.25)
    kspace = (full + 0.01 * noise(full.shape, 0)) * mask
    return np.moveaxis(kspace, 0, -1).astype(np.complex64), mask, image


QUICK = Map(iterations=4)


@pytest.fixture(scope="module")
def quick_image(scan):
    """The image after a few iterations."""
    return recon(*scan[:2], method=QUICK).image


def test_operators_are_adjoint(rng):
    mask = rng.random(GRID) < 0.3
    sampling, shape = CartesianSampling.centred(mask, float, ndim=3), (COILS, *GRID)
    assert_adjoint(sampling.forward, sampling.adjoint, shape, shape, rng, restrict=np.fft.ifftshift(mask))
    x = random_complex(rng, shape)
    np.testing.assert_allclose(sampling.normal(x.copy()), sampling.adjoint(sampling.forward(x.copy())), atol=1e-12)
    model = CoilModel(sampling, random_complex(rng, shape))
    assert_adjoint(model.forward, model.adjoint, GRID, shape, rng, restrict=np.fft.ifftshift(mask))
    np.testing.assert_allclose(sampling.forward(x.copy()), np.fft.ifftshift(mask) * np.fft.fftn(x, axes=AXES,
                                                                                             norm="ortho"), atol=1e-12)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_samples_on_lines_are_those_of_the_grid(rng, is_weighted):
    mask = np.broadcast_to(rng.random(GRID[1:]) < 0.3, GRID).astype(float)
    if is_weighted:
        mask = mask * rng.uniform(0.5, 2, GRID)
    whole = CartesianSampling.centred(mask, float, ndim=3)
    if is_weighted:
        whole = whole.weighted(rng.uniform(0.1, 1, GRID))
    on_lines, x = whole.on_lines, random_complex(rng, (2, *GRID))
    taken, samples = on_lines.lines.taken, whole.forward(x.copy())
    assert on_lines.shape == GRID and on_lines.count == whole.count
    assert on_lines.mask.size < 0.4 * whole.mask.size
    np.testing.assert_allclose(on_lines.forward(x.copy()), taken(samples), atol=1e-12)
    np.testing.assert_allclose(on_lines.adjoint(taken(samples)), whole.adjoint(samples.copy()), atol=1e-12)
    np.testing.assert_allclose(on_lines.normal(x.copy()), whole.normal(x.copy()), atol=1e-12)
    if is_weighted:  # the loop that scales samples refuses others than C-contiguous ones
        np.testing.assert_allclose(on_lines.normal(np.asfortranarray(x)), whole.normal(x.copy()), atol=1e-12)
    np.testing.assert_array_equal(on_lines.density, whole.density)
    np.testing.assert_array_equal(on_lines.radius(GRID), taken(whole.radius(GRID)))
    which = rng.random(GRID) < 0.1
    (rest, left), (expected, of_whole) = on_lines.without(taken(which), taken(samples)), whole.without(which, samples)
    np.testing.assert_array_equal(rest.density, expected.density)
    np.testing.assert_allclose(left, taken(of_whole), atol=1e-12)
    np.testing.assert_allclose(rest.normal(x.copy()), expected.normal(x.copy()), atol=1e-12)
    (low, found), (low_whole, wanted) = (one.low(z, (12, 10, 14)) for one, z in (
        (on_lines, taken(samples)), (whole, samples)))
    np.testing.assert_array_equal(low.density, low_whole.density)
    np.testing.assert_allclose(low.adjoint(found), low_whole.adjoint(wanted), atol=1e-12)


def test_the_first_sensitivities_are_the_same_from_samples_on_lines(rng):
    mask = np.broadcast_to(rng.random(GRID[1:]) < 0.4, GRID) | (np.hypot(*np.indices(GRID)[1:] - 10) < 4)
    whole = CartesianScan(random_complex(rng, (3, *GRID)) * mask, mask)
    models = [SensitivityModel.of(whole, SobolevRules(), on_lines) for on_lines in (False, True)]
    assert models[1].samples.size < 0.7 * models[0].samples.size
    found = [joint_inversion(model, StartRules(newton_steps=4, newton_tolerance=1e-9)) for model in models]
    for of_grid, of_lines in zip(*found):
        np.testing.assert_allclose(of_lines, of_grid, atol=1e-8 * abs(of_grid).max())


def test_the_centre_is_moved_in_place_and_the_samples_of_the_caller_are_not(scan, quick_image):
    shifts, (kspace, mask) = (3, 0, -2), scan[:2]
    moved, pattern = np.roll(kspace, shifts, (0, 1, 2)), np.roll(mask, shifts[1:], (0, 1))
    before = moved.copy()
    found = recon(moved, pattern, method=QUICK).image
    np.testing.assert_array_equal(moved, before)
    np.testing.assert_allclose(abs(found), abs(quick_image), atol=1e-3 * abs(quick_image).max())
    own = CartesianScan(random_complex(np.random.default_rng(0), (2, *GRID)), np.ones(GRID, bool))
    expected = np.roll(own.kspace, (-1, 2, 0), (1, 2, 3))
    centred = own.moved((1, -2, 0))
    np.testing.assert_array_equal(centred.kspace, expected)
    assert np.shares_memory(centred.kspace, own.kspace)


def test_states_on_the_way_hold_no_sensitivities(scan):
    """They are as large as k-space, and their coefficients are not."""
    states = []
    recon(*scan[:2], method=QUICK, callback=states.append)
    for state in states:
        assert isinstance(state.maps, SobolevMaps) and state.sens.shape == state.sens_shape == (COILS, *GRID)
        np.testing.assert_allclose(state.weight, np.sqrt((abs(state.sens) ** 2).sum(0)), rtol=1e-5)


def test_the_penalty_of_sensitivities_of_volumes_falls_evenly_until_the_last_iteration():
    rule = SensitivityPenalty()
    weights = np.array([rule.weight(number, 9, GRID) for number in range(9)])
    assert weights[0] == 1 and weights[-1] == pytest.approx(rule.least(GRID))
    np.testing.assert_allclose(weights[1:] / weights[:-1], rule.least(GRID) ** (1 / 8))
    assert rule.weight(0, 1, GRID) == 1 and rule.weight(2, 3, GRID[:2]) == pytest.approx(0.64)


def test_a_volume_that_is_too_large_for_memory_is_refused_at_once():
    kspace = np.broadcast_to(np.complex64(1), (8192, 8192, 8192, 8))
    with pytest.raises(MemoryError, match=r"kspace: a volume of 8192 x 8192 x 8192 and 8 coils needs about .* TiB, .*"):
        recon(kspace)


def test_smooth_maps_of_volumes(rng):
    maps = SobolevMaps.on_grid(GRID, GRID, np.dtype(complex), SobolevRules())
    assert maps.shape == GRID
    assert_adjoint(maps.forward, maps.adjoint, (2, *maps.weight.shape), (2, *GRID), rng)
    coefficients = random_complex(rng, (2, *maps.weight.shape))
    z, y, x = maps.waves
    expected = np.einsum("zk,yl,xm,jklm->jzyx", z, y, x, maps.weight * coefficients, optimize=True)
    np.testing.assert_allclose(maps.forward(coefficients), expected, atol=1e-12)
    assert maps.forward(coefficients).flags.c_contiguous
    by_coil = maps.by_coil(coefficients)
    assert isinstance(by_coil, MapsByCoil) and len(by_coil) == 2 and by_coil.shape == expected.shape
    np.testing.assert_allclose(by_coil[1:], expected[1:], atol=1e-12)
    np.testing.assert_allclose(by_coil.every(3, 3), expected[:, ::3, ::3, ::3], atol=1e-12)


def test_a_model_with_maps_by_coil_is_that_with_all_of_them(rng):
    """They are made anew in each operation, because all of them are as large as k-space."""
    maps = SobolevMaps.on_grid(GRID, GRID, np.dtype(complex), SobolevRules())
    coefficients, image = random_complex(rng, (COILS, *maps.weight.shape)), random_complex(rng, GRID)
    mask = np.broadcast_to(rng.random(GRID[1:]) < 0.5, GRID)
    sampling = CartesianSampling.centred(mask, float, ndim=3).on_lines
    whole, by_coil = (CoilModel(sampling, sens) for sens in (maps.forward(coefficients), maps.by_coil(coefficients)))
    samples = whole.forward(image)
    np.testing.assert_allclose(by_coil.forward(image), samples, atol=1e-12)
    np.testing.assert_allclose(by_coil.adjoint(samples), whole.adjoint(samples), atol=1e-12)
    np.testing.assert_allclose(by_coil.normal(image), whole.normal(image), atol=1e-12)
    np.testing.assert_allclose(by_coil.density, whole.density, atol=1e-12)
    for found, expected in zip(by_coil.gradient(image, 0.5 * samples), whole.gradient(image, 0.5 * samples)):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_score_of_volumes_is_the_gradient_of_the_mean_potential_of_their_planes(rng, prior):
    volume, planes = 0.3 * rng.standard_normal((9, 8, 10)), Planes(prior)

    def energy(x):
        return -sum(prior.potential(np.moveaxis(x, axis, 0), 0.1).sum() for axis in range(3)) / 3

    assert_gradient(energy, lambda x: Planes(Exact(prior)).score(x, 0.1), volume, rng, rtol=1e-5)
    np.testing.assert_allclose(planes.score(volume, 0.1), Planes(Exact(prior)).score(volume, 0.1), atol=0.05)


class Exact:
    """A prior whose score comes from the mixtures themselves, instead of a table."""

    def __init__(self, prior):
        self.prior = prior

    def score(self, image, sigma):
        return self.prior.score(image, sigma, exact=True)


def test_a_prior_that_does_not_denoise_gives_the_maximum_of_volumes(scan, prior):
    class Score:
        score, curvature, image_scale = prior.score, prior.curvature, prior.image_scale

    kspace, mask, _ = scan
    assert recon(kspace, mask, prior=Score, iterations=11).image.shape == (*GRID, 1)


def test_the_curvature_of_volumes_majorises(rng, prior):
    """-<x - y, g(x) - g(y)> <= <x - y, H (x - y)> for the score g and the Hessian H of the majoriser."""
    planes, sigma, shape = Planes(prior), 0.05, (12, 10, 14)
    spectrum = planes.curvature(shape, sigma)
    assert spectrum.shape == shape
    for scale in (0.01, 0.3):
        x, y = (scale * rng.standard_normal(shape) for _ in range(2))
        change = x - y
        bound = np.vdot(change, np.fft.ifftn(spectrum * np.fft.fftn(change)).real)
        assert -np.vdot(change, planes.score(x, sigma) - planes.score(y, sigma)) <= bound * (1 + 1e-6)


def test_planes_of_long_voxels_look_as_if_they_were_interpolated(rng, prior):
    """The score of a plane with pixels three times as long is that of its sinc interpolation, at its own pixels."""
    coarse, fine = (16, 40), (48, 40)
    plane = 0.3 * rng.standard_normal(coarse)
    interpolated = np.fft.irfft(np.fft.rfft(plane, axis=0)[:8], 48, axis=0) * 3  # without its highest frequency
    plane = interpolated[::3]
    longer = replace(prior, pixel=(3.0, 1.0))
    np.testing.assert_allclose(longer.spectra(coarse)[:, :8], prior.spectra(fine)[:, :8], atol=1e-12)
    responses = [np.fft.ifft2(spectra * np.fft.fft2(image)) for spectra, image in (
        (longer.spectra(coarse), plane), (prior.spectra(fine), interpolated))]
    assert abs(responses[0].imag).max() < 1e-12
    np.testing.assert_allclose(responses[0], responses[1][:, ::3], atol=1e-12)

    def energy(x):
        maps = longer.spectra(x.shape)
        u = np.fft.ifft2(maps * np.fft.fft2(x)).real
        return longer.exponent(0.1) * longer.experts.log_density(u, 0.1).sum()

    assert_gradient(energy, lambda x: longer.score(x, 0.1, exact=True), plane, rng, rtol=1e-5)


@pytest.mark.parametrize("shape, pixel", [((20, 40), (2.0, 1.0)), ((24, 64), (3.0, 1.0)), ((21, 40), (1.0, 2.0))])
def test_the_filters_of_long_voxels_are_real(shape, pixel, prior):
    """Also on the highest frequency of even sizes, so that real and imaginary part of an image do not mix."""
    filters = np.fft.ifft2(replace(prior, pixel=pixel).spectra(shape))
    assert abs(filters.imag).max() < 1e-12 * abs(filters).max()


def test_the_sides_of_voxels_belong_to_their_axes(scan, quick_image):
    """A turned volume with turned voxels has the turned image, and other voxels have another one."""
    kspace, mask, _ = scan
    one = recon(kspace, mask, voxel=(1, 2, 4), method=QUICK).image
    turned = np.broadcast_to(mask, GRID).transpose(2, 0, 1)
    other = recon(kspace.transpose(2, 0, 1, 3), turned, voxel=(8, 2, 4), method=QUICK).image
    np.testing.assert_allclose(other, one.transpose(2, 0, 1, 3), atol=2e-3 * abs(one).max())
    assert abs(quick_image - one).max() > 0.02 * abs(one).max()


def test_a_volume_that_is_constant_along_an_axis_costs_at_most_as_much_as_its_slices(prior):
    plane = abs(head()[12])
    volume = np.repeat(plane[None], 20, 0)
    of_slices = -20 * (prior.potential(plane, 0.05) - prior.potential(0 * plane, 0.05))
    of_volume = -sum(prior.potential(np.moveaxis(x, axis, 0), 0.05).sum() * sign / 3
                     for axis in range(3) for x, sign in ((volume, 1), (0 * volume, -1)))
    assert 0.5 * of_slices > of_volume > of_slices or 0.5 * of_slices < of_volume < of_slices


def test_phase_and_centre_of_volumes(scan):
    kspace, mask, image = scan
    turn = SmoothPhase().turn(image, AXES)
    bright = abs(image) > 0.3
    assert abs(np.angle(turn * image.conj()))[bright].mean() < 0.05
    moved = np.roll(np.moveaxis(kspace, -1, 0), (2, -1, 3), AXES)
    where = np.roll(np.broadcast_to(mask, GRID), (2, -1, 3), AXES)
    found = find_centre(CartesianScan(moved, where), CentreRules())
    assert found.place == (2, -1, 3) and found.fit > 0.4


def test_a_volume_is_better_than_its_slices(scan):
    kspace, mask, image = scan
    found = recon(kspace, mask)
    assert found.image.shape == (*GRID, 1) and found.sens.shape == (*GRID, COILS)
    np.testing.assert_allclose(np.sqrt((abs(found.sens) ** 2).sum(-1)), 1, atol=1e-4)
    hybrid = np.fft.fftshift(np.fft.ifft(np.fft.ifftshift(kspace, 0), axis=0, norm="ortho"), 0)
    slices = np.stack([recon(np.ascontiguousarray(np.moveaxis(one, -1, 0)), mask).image for one in hybrid[8:14]])
    assert psnr(found.image.squeeze()[8:14], image[8:14]) > psnr(slices, image[8:14]) + 0.5
    assert psnr(found.image, image[..., None]) > 26
    assert found.info["residual_std"] < 1.2 * found.info["noise_std"]


def test_the_order_of_the_axes_does_not_matter(scan, quick_image):
    """READ, PHS1 and PHS2 are all alike, in the image, the mask and the sensitivities."""
    kspace, mask, _ = scan
    other = recon(kspace.transpose(2, 0, 1, 3), np.broadcast_to(mask, GRID).transpose(2, 0, 1), method=QUICK)
    np.testing.assert_allclose(other.image, quick_image.transpose(2, 0, 1, 3), atol=2e-3 * abs(quick_image).max())


def test_known_sensitivities_start_image_and_posterior_of_volumes(scan):
    kspace, mask, image = scan
    sens = np.moveaxis(coils(), 0, -1).astype(np.complex64)
    known = recon(kspace, mask, sens=sens, iterations=10)
    assert psnr(known.image, image[..., None]) > 26
    again = recon(kspace, mask, start=known.image, iterations=3)
    assert psnr(again.image, image[..., None]) > 26
    method = Gibbs(chains=2, burn_in=1, thin=1, maximum=Map(iterations=12))
    found = recon(kspace, mask, method=method, samples=4)
    assert found.std.shape == found.image.shape and (found.std > 0).all()
    assert psnr(found.image, image[..., None]) > 26


def test_series_of_volumes_and_padded_volumes(scan):
    kspace, mask, _image = scan
    series = np.stack([kspace, 0.5 * kspace], -1).reshape(*GRID, COILS, 1, 2)
    found = recon(series, mask, iterations=3)
    assert found.image.shape == (*GRID, 1, 1, 2)
    np.testing.assert_array_equal(found.sens[..., 0], found.sens[..., 1])
    scale = abs(found.image[..., 0]).max()
    np.testing.assert_allclose(2 * found.image[..., 1], found.image[..., 0], atol=1e-3 * scale)


@pytest.mark.parametrize("options, sentence", [
    ({"method": "diffusion", "samples": 1}, "method: diffusion goes with 2-D images, and k-space is 3-D"),
    ({"maps": 2}, "maps: 2 goes with 2-D images, and k-space is 3-D"),
    ({"mask": np.ones((5, 5))}, "mask: expected a shape that broadcasts to"),
    ({"start": np.ones(GRID, complex)}, "start: expected shape"),
    ({"sens": np.ones((COILS, *GRID), complex)}, "sens: expected shape"),
    ({"voxel": (1, 2)}, r"voxel: expected three sides above 0, got \(1, 2\)"),
    ({"voxel": (1, 2, 0)}, "voxel: expected three sides above 0"),
])
def test_what_does_not_go_with_volumes_is_named(scan, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        recon(scan[0], **options)


def test_a_volume_of_two_slices_is_a_volume(scan):
    """Sizes that hold next to nothing are no error."""
    kspace = fft2c(fft2c(coils() * head(), AXES)[:, :, :, 12:14], ()).transpose(1, 2, 3, 0).astype(np.complex64)
    assert recon(kspace, iterations=2).image.shape == (*GRID[:2], 2, 1)


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")
def test_volumes_with_the_coils_first(scan):
    kspace, *_ = scan
    coils_first = from_bart(kspace)
    assert coils_first.shape == (COILS, *GRID)
    np.testing.assert_array_equal(to_bart(coils_first), kspace)
    with pytest.warns(ReconstructionWarning, match="more coils than the image has rows"):
        recon(coils_first[:, ::2, ::2, ::2], iterations=1)


def test_a_volume_of_bart(bart):
    full = bart(1, "phantom -3 -x 24 -s 8 -k")
    pattern = bart(1, "poisson -Y 24 -Z 24 -y 1.4 -z 1.4 -C 8 -e").real.reshape(1, 24, 24, 1)
    found = recon((full * pattern).astype(np.complex64), pattern)
    reference = np.sqrt((abs(bart(1, "fft -iu 7", full)) ** 2).sum(3, keepdims=True))
    assert psnr(found.image, reference) > 25 and not found.info["warnings"]


def slab(partitions):
    """k-space (READ, PHS1, PHS2, coil) of a few planes of the head, and their magnitudes."""
    part = slice((GRID[0] - partitions) // 2, (GRID[0] + partitions) // 2)
    images = (coils() * head())[:, part].repeat(2, -2).repeat(2, -1)
    kspace = fft2c(images, AXES) + 0.01 * noise(images.shape, 0)
    return kspace.transpose(3, 2, 1, 0).astype(np.complex64), abs(head())[part].repeat(2, -2).repeat(2, -1)


@pytest.mark.parametrize("partitions", [2, 4])
def test_few_partitions_are_as_good_as_their_slices(partitions):
    """The field of view of a slab is that of its planes, so that its maps are as smooth there."""
    kspace, truth = slab(partitions)
    kspace = kspace * masks.named("cartesian3acs18", (52, 44), 0)[:, :, None, None]
    volume = abs(recon(kspace).image).squeeze().T
    slices = [abs(recon(plane.transpose(2, 1, 0)).image) for plane in np.moveaxis(ifft2c(kspace, (2,)), 2, 0)]
    assert psnr(volume, truth) > psnr(np.stack(slices), truth) - 0.3


@pytest.mark.parametrize("shape", [(48, 40, 2), (48, 40, 6), (12, 48, 40)])
def test_field_of_view_of_the_axes_of_a_slab(shape):
    plane = np.prod(sorted(shape)[1:]) ** 0.5
    assert np.allclose(fields(shape), [(n * plane) ** 0.5 for n in shape])
    assert np.allclose(fields((40, 40, 40)), fields((40, 40))[0])
    assert all(0 < width <= 0.5 for width in SobolevRules().bandwidth(shape))


@pytest.mark.parametrize("partitions", [2, 4, 6])
def test_the_centre_of_a_slab_of_random_samples_is_in_its_own_plane(partitions):
    kspace, _ = slab(partitions)
    for seed in range(6):
        mask = masks.named("gaussian8", (44, partitions), seed)
        found = find_centre(CartesianScan(np.moveaxis(kspace, -1, 0) * mask, np.broadcast_to(mask, kspace.shape[:3])),
                            CentreRules())
        assert found.place[2] == 0
