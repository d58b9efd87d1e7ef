"""Images that are solved together: series that share their sensitivities, and simultaneous slices."""

import numpy as np
import pytest
from conftest import psnr
from properties import assert_adjoint, random_complex

from bart_pogmdm import Gibbs, Map, ReconstructionWarning, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import noise, phantom, sensitivities
from bart_pogmdm.physics.cartesian import CartesianSampling
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.coil_model import coil_model
from bart_pogmdm.physics.fourier import fft2c, ifft2c
from bart_pogmdm.physics.image_set import ImageAxis, ImageSet
from bart_pogmdm.physics.sensitivities import SensitivityModel, gathered
from bart_pogmdm.physics.series import SeriesSampling, SimultaneousSampling
from bart_pogmdm.physics.sobolev_maps import SobolevRules

SHAPE, COILS, IMAGES = (48, 44), 8, 3
TE, TIME, SLICE = 5, 10, 13
KINDS = {SeriesSampling: ImageAxis.series, SimultaneousSampling: ImageAxis.simultaneous}
both_kinds = pytest.mark.parametrize("kind", KINDS)


def images_of(count):
    """Images (count, y, x) of one object: each is darker than the one before, and its phase turns."""
    image = phantom(SHAPE)
    return np.stack([image * (0.8 + 0.05j * abs(image)) ** number for number in range(count)])


def in_barts_order(kspace, axis):
    """k-space (coil, image, y, x) with the images along a dimension of BART."""
    return kspace.transpose(2, 3, 0, 1).reshape(*SHAPE, 1, COILS, *(1,) * (axis - 4), kspace.shape[1])


def shots_of(kspace):
    """Shot q of slices (coil, slice, y, x) that were excited together: sum_p exp(-2 pi i p q / P) x_p / P^(1/2)."""
    count = kspace.shape[1]
    phases = np.exp(-2j * np.pi * np.outer(np.arange(count), np.arange(count)) / count) / count**0.5
    return np.einsum("jpyx,pq->jqyx", kspace, phases)


@pytest.fixture(scope="module")
def echoes():
    """k-space (coil, echo, y, x), each echo with lines of its own, and the images."""
    images = images_of(IMAGES)
    sens = sensitivities(SHAPE, COILS)[:, None]
    full = fft2c(sens * images)
    pattern = np.stack([masks.named("cartesian4acs4", SHAPE, number) for number in range(IMAGES)])
    return ((full + 0.005 * noise(full.shape, 0)) * pattern).astype(np.complex64), images


def test_echoes_of_which_one_is_mirrored_are_solved_alone_and_said_to_be():
    full, options = fft2c(sensitivities(SHAPE, COILS)[:, None] * images_of(IMAGES)), {"iterations": 12}
    kspace = (full + 0.005 * noise(full.shape, 0)).astype(np.complex64)
    assert not recon(in_barts_order(kspace, TE), **options).info["warnings"]
    kspace[:, 1] = np.roll(kspace[:, 1, :, ::-1], 1, 2)
    with pytest.warns(ReconstructionWarning, match="sensitivities in common that a series shares"):
        together = recon(in_barts_order(kspace, TE), **options)
    alone = recon(in_barts_order(kspace, TE), shared_sens=0, **options)
    np.testing.assert_allclose(together.image, alone.image, atol=0.01)  # whose virtual coils are others
    assert not alone.info["warnings"]


@pytest.fixture(scope="module")
def shots():
    """k-space (coil, shot, y, x) of two slices that were excited together, and the slices."""
    slices = np.stack([phantom(SHAPE), 0.7 * np.roll(phantom(SHAPE)[::-1], 3, 1)])
    sens = np.stack([sensitivities(SHAPE, COILS), np.roll(sensitivities(SHAPE, COILS), 1, 0)], 1)
    full = shots_of(fft2c(sens * slices))
    pattern = np.stack([masks.named("cartesian2acs16", SHAPE, number) for number in range(2)])
    return ((full + 0.005 * noise(full.shape, 0)) * pattern).astype(np.complex64), slices


@pytest.mark.parametrize("leading", [(5,), (5, 2)], ids=["coils", "chains"])
@both_kinds
def test_samplings_side_by_side_are_adjoint(kind, leading, rng):
    pattern = rng.random((IMAGES, *SHAPE)) < 0.4
    sampling = kind(tuple(CartesianSampling.centred(one, float) for one in pattern))
    shape = (*leading, IMAGES, *SHAPE)
    assert_adjoint(sampling.forward, sampling.adjoint, shape, shape, rng, restrict=np.fft.ifftshift(pattern, (1, 2)))
    x = random_complex(rng, shape)
    np.testing.assert_allclose(sampling.normal(x.copy()), sampling.adjoint(sampling.forward(x.copy())), atol=1e-12)
    assert np.isclose(np.sum(sampling.count), pattern.sum())


def test_shots_are_sums_of_slices_with_other_phases(rng):
    slices = random_complex(rng, (1, 2, *SHAPE))
    full = CartesianSampling.centred(np.ones(SHAPE), float)
    first, second = SimultaneousSampling((full, full)).forward(slices.copy())[0]
    one, two = full.forward(slices.copy())[0]
    np.testing.assert_allclose(first, (one + two) * 0.5**0.5, atol=1e-12)
    np.testing.assert_allclose(second, (one - two) * 0.5**0.5, atol=1e-12)


@both_kinds
def test_the_density_is_the_diagonal_in_fourier_space(kind, rng):
    sampling = kind(tuple(CartesianSampling.centred(one, float) for one in rng.random((2, 9, 8)) < 0.4))
    images = ImageSet((9, 8)).along(KINDS[kind](2))
    model = coil_model(sampling, random_complex(rng, (3, *images.sens_shape)), images)
    density = np.broadcast_to(model.density, images.shape)
    for place in ((0, 0, 0), (1, 3, 7), (1, 8, 2)):
        wave = np.zeros(images.shape, complex)
        wave[place] = 1
        diagonal = np.vdot(wave, np.fft.fft2(model.normal(np.fft.ifft2(wave, norm="ortho")), norm="ortho"))
        assert np.isclose(diagonal, density[place])


@both_kinds
@pytest.mark.parametrize("shape", [(24, 20), (96, 90)], ids=["full grid", "with a border"])
def test_sensitivities_fit_all_images_together(kind, shape, rng):
    """The update is where the gradient of the sum of all images' energies is zero, each with its own variance."""
    scans = [CartesianScan(random_complex(rng, (2, *shape)), np.ones(shape, bool)) for _ in range(2)]
    model = SensitivityModel.together([SensitivityModel.of(scan, SobolevRules()) for scan in scans], kind)
    images, wide = model.images, model.wide
    assert any(wide.border) == (shape[0] > 90)
    x = random_complex(rng, (2, *shape))
    variance = np.array([0.5, 2.0]).reshape(2, 1, 1) if kind is SeriesSampling else 0.5
    found = model.update(x, None, variance, 1.0, 400, images)

    def gradient(coefficients):
        low = wide.image(x)
        products = wide.folded(low * wide.maps.forward(coefficients))
        residual = model.sampling.adjoint(model.sampling.forward(products) - model.samples)
        return wide.maps.adjoint(gathered(low.conj() * wide.unfolded(residual) / variance, images)) + coefficients

    assert found.shape == model.shape == (2, 1 if kind is SeriesSampling else 2, *model.low.weight.shape)
    assert np.linalg.norm(gradient(found)) < 1e-6 * np.linalg.norm(gradient(0 * found))


def test_echoes_gain_by_the_sensitivities_they_share(echoes):
    kspace, images = echoes
    shared, alone = (recon(in_barts_order(kspace, TE), shared_sens=bits) for bits in (1 << TE, 0))
    assert shared.image.shape == alone.image.shape == (*SHAPE, 1, 1, 1, IMAGES)
    assert shared.sens.shape == alone.sens.shape == (*SHAPE, 1, COILS, 1, IMAGES)
    gains = [psnr(shared.image[..., number].squeeze(), image) - psnr(alone.image[..., number].squeeze(), image)
             for number, image in enumerate(images)]
    assert min(gains) > 1 and np.mean(gains) > 2
    np.testing.assert_array_equal(shared.sens[..., 0], shared.sens[..., 1])
    assert not np.allclose(alone.sens[..., 0], alone.sens[..., 1], atol=1e-3)
    assert shared.info["noise_std"].shape == shared.info["residual_std"].shape == (IMAGES,)


def test_no_echo_is_worse_than_alone():
    """These lines told all images at once wrong sensitivities: an echo lost 3.6 dB."""
    images = images_of(IMAGES)
    full = fft2c(sensitivities(SHAPE, COILS)[:, None] * images)
    pattern = np.stack([masks.named("cartesian4acs4", SHAPE, 6 + number) for number in range(IMAGES)])
    kspace = in_barts_order(((full + 0.005 * noise(full.shape, 2)) * pattern).astype(np.complex64), TE)
    shared, alone = (recon(kspace, shared_sens=bits).image for bits in (1 << TE, 0))
    for number, image in enumerate(images):
        assert psnr(shared[..., number].squeeze(), image) > psnr(alone[..., number].squeeze(), image)


def test_echoes_share_by_default_and_frames_do_not(echoes):
    kspace, _ = echoes
    quick = Map(iterations=2)
    for axis, bits, is_shared in ((TE, None, True), (TIME, None, False), (TIME, 1 << TIME, True), (TE, 0, False)):
        options = {} if bits is None else {"shared_sens": bits}
        sens = recon(in_barts_order(kspace, axis), method=quick, **options).sens
        assert (sens[..., :1] == sens).all() == is_shared


def test_the_scale_of_an_echo_does_not_change_the_others(echoes):
    """Each image has units of its own, so a dark echo is smoothed no more than a bright one."""
    kspace, _ = echoes
    darker = kspace * np.array([1, 1, 0.01], np.float32)[:, None, None]
    one, other = (recon(in_barts_order(k, TE), iterations=5).image for k in (kspace, darker))
    np.testing.assert_allclose(one[..., 2], 100 * other[..., 2], atol=2e-3 * abs(one[..., 2]).max())
    np.testing.assert_allclose(one[..., 0], other[..., 0], atol=2e-3 * abs(one[..., 0]).max())


@pytest.mark.parametrize("change", ["one coil", "known sens", "two sets"])
def test_images_without_sensitivities_to_share_are_solved_alone(echoes, change):
    kspace, _ = echoes
    kspace = in_barts_order(kspace[:1] if change == "one coil" else kspace, TE) if change != "one coil" else (
        kspace[:1].transpose(2, 3, 0, 1).reshape(*SHAPE, 1, 1, 1, IMAGES))
    options = {"iterations": 2, "maps": 2} if change == "two sets" else {"iterations": 2}
    if change == "known sens":
        options["sens"] = sensitivities(SHAPE, COILS).transpose(1, 2, 0)[:, :, None].astype(np.complex64)
    shared, alone = recon(kspace, **options), recon(kspace, shared_sens=0, **options)
    np.testing.assert_array_equal(shared.image, alone.image)


def test_simultaneous_slices_are_told_apart(shots):
    kspace, slices = shots
    found = recon(in_barts_order(kspace, SLICE), sms=True)
    assert found.image.shape[-1] == 2
    for number, image in enumerate(slices):
        assert psnr(found.image[..., number].squeeze(), image) > 32
    with pytest.warns(ReconstructionWarning, match="slices were excited together"):
        folded = recon(in_barts_order(kspace, SLICE)).image
    assert psnr(folded[..., 0].squeeze(), slices[0]) < 22
    coil_images = (found.image * found.sens).squeeze().transpose(2, 3, 0, 1)
    residual = shots_of(fft2c(coil_images)) * (kspace != 0) - kspace
    assert np.linalg.norm(residual) < 0.1 * np.linalg.norm(kspace)  # in the scale of the data


SHOTS = {
    "ordinary slices": lambda full, shots: full,
    "a turned shot": lambda full, shots: shots * np.exp(0.8j * np.arange(2))[:, None, None],
    "a shot that is moved in k-space": lambda full, shots: np.stack([shots[:, 0], np.roll(shots[:, 1], 1, 2)], 1),
    "motion": lambda full, shots: np.stack([shots[:, 0], fft2c(np.roll(ifft2c(shots[:, 1]), 3, 2))], 1)}


@pytest.mark.parametrize("fault", SHOTS)
def test_shots_that_do_not_belong_together_are_doubtful(fault):
    """In slices of other objects: two that are even make an even one together, with smooth maps."""
    sens = np.stack([sensitivities(SHAPE, COILS), np.roll(sensitivities(SHAPE, COILS), 2, 0)], 1)
    bright = np.kron(np.random.default_rng(1).random((2, 12, 11)), np.ones((4, 4)))
    full = fft2c(sens * bright * phantom(SHAPE))
    added = 0.005 * noise(full.shape, 0)
    recon(in_barts_order((shots_of(full) + added).astype(np.complex64), SLICE), sms=True, iterations=10)
    wrong = (SHOTS[fault](full, shots_of(full)) + added).astype(np.complex64)
    with pytest.warns(ReconstructionWarning, match="do not explain the shots of simultaneous slices"):
        recon(in_barts_order(wrong, SLICE), sms=True, iterations=10)


def test_ordinary_slices_are_told_from_simultaneous_ones_by_few_samples():
    sens = np.stack([sensitivities(SHAPE, COILS), np.roll(sensitivities(SHAPE, COILS), 2, 0)], 1)
    bright = np.kron(np.random.default_rng(1).random((2, 12, 11)), np.ones((4, 4)))
    full = fft2c(sens * bright * phantom(SHAPE))
    pattern = np.stack([masks.named("cartesian2acs16", SHAPE, number) for number in range(2)])
    wrong = ((full + 0.02 * noise(full.shape, 0)) * pattern).astype(np.complex64)
    with pytest.warns(ReconstructionWarning, match="are these ordinary slices"):
        recon(in_barts_order(wrong, SLICE), sms=True, iterations=5)


@pytest.mark.parametrize("count", [2, 3])
def test_simultaneous_slices_have_the_order_of_nlinv(count, bart):
    slices = np.stack([np.roll(phantom(SHAPE), 3 * number, 0) * (1 - 0.2 * number) for number in range(count)])
    sens = np.stack([np.roll(sensitivities(SHAPE, COILS), number, 0) for number in range(count)], 1)
    full = shots_of(fft2c(sens * slices))
    kspace = in_barts_order((full + 0.002 * noise(full.shape, 0)).astype(np.complex64), SLICE)
    for images in (recon(kspace, sms=True, iterations=10).image, bart(1, "nlinv -S -i 9", kspace)):
        scores = [[psnr(images[..., found].squeeze(), one) for one in slices] for found in range(count)]
        assert np.argmax(scores, 1).tolist() == list(range(count))


def test_the_posterior_of_several_images(echoes, shots):
    for kspace, axis, options in ((echoes[0], TE, {}), (shots[0], SLICE, {"sms": True})):
        kspace = in_barts_order(kspace, axis)
        maximum = recon(kspace, method=Map(iterations=6), **options)
        method = Gibbs(chains=2, burn_in=1, thin=1, maximum=Map(iterations=6))
        found, again = (recon(kspace, method=method, samples=4, keep_samples=True, **options) for _ in range(2))
        assert found.std.shape == found.image.shape == maximum.image.shape
        assert found.samples.shape == (*found.image.shape, *(1,) * (15 - found.image.ndim), 4)
        assert (found.std > 0).mean() > 0.99
        scale = abs(maximum.image).max()
        assert np.sqrt(np.mean(abs(found.image - maximum.image) ** 2)) < 0.05 * scale
        np.testing.assert_array_equal(found.image, again.image)


@pytest.mark.parametrize("options, sentence", [
    ({"shared_sens": 8}, "shared_sens: expected bits of the dimensions from TE on, as 16480 for TE, COEFF and AVG"),
    ({"shared_sens": -1}, "shared_sens: expected bits"),
    ({"shared_sens": 1 << 16}, "shared_sens: expected bits"),
    ({"shared_sens": 1 << TE, "maps": 2}, "`shared_sens=32` does not go with `maps=2`"),
    ({"shared_sens": 1 << TE, "sms": True}, "`shared_sens=32` does not go with `sms=True`"),
    ({"sms": True, "start": np.ones((*SHAPE, 1, 1, *9 * (1,), 2), complex)}, "sms: goes with a mask of zeros and ones"),
    ({"sms": True, "mask": np.full(SHAPE, 0.5)}, "sms: goes with a mask of zeros and ones"),
    ({"sms": True, "maps": 2}, "`maps=2` does not go with `sms=True`"),
    ({"sms": True, "method": "diffusion"}, "`sms=True` does not go with `method=diffusion`"),
    ({"sms": True, "sens": np.ones((*SHAPE, 1, COILS), np.complex64)}, "sms: expected shots of several coils"),
])
def test_wrong_options_are_named(shots, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        recon(in_barts_order(shots[0], SLICE), **options)


def test_images_that_are_solved_together_have_one_box_of_kspace():
    """Zero-padded k-space of which the second echo measured less: the first alone fills the box of both."""
    full = fft2c(sensitivities((64, 60), COILS)[:, None] * np.stack([phantom((64, 60))] * 2))
    for number, rows in enumerate((14, 16)):
        full[:, number, :rows] = full[:, number, 64 - rows:] = 0
    full = (full + 1e-4 * noise(full.shape, 0)) * (full != 0)
    kspace = full.transpose(2, 3, 0, 1)[:, :, None, :, None].astype(np.complex64)
    boxes = {bits: [] for bits in (1 << TE, 0)}
    for bits, found in boxes.items():
        recon(kspace, iterations=1, shared_sens=bits, callback=lambda state, found=found: found.append(
            state.image.shape))
    assert boxes == {1 << TE: [(2, 36, 60)], 0: [(36, 60), (32, 60)]}


def test_simultaneous_slices_lie_along_slice(echoes):
    for kspace in (echoes[0][:, 0], in_barts_order(echoes[0], TE)):
        with pytest.raises(ValueError, match="sms: expected SLICE longer than 1"):
            recon(kspace, sms=True)


def test_the_chains_of_a_series_do_not_depend_on_how_many_go_together(echoes):
    kspace = in_barts_order(echoes[0], TE)
    one, two = (recon(kspace, samples=2, method=Gibbs(chains=2, burn_in=1, thin=1, side_by_side=number,
                                                      maximum=Map(iterations=3))) for number in (1, 2))
    np.testing.assert_allclose(one.std, two.std, rtol=1e-3)
    assert one.image.dtype == np.complex64


def test_the_solver_of_a_series_keeps_the_precision(echoes):
    kinds = set()
    recon(in_barts_order(echoes[0], TE), iterations=2, callback=lambda state: kinds.update(
        (state.image.dtype, state.sens.dtype)))
    assert kinds == {np.dtype(np.complex64)}


def test_frames_along_trajectories_share_their_sensitivities(bart):
    """Enough samples that some are kept from the mean, another number in each frame."""
    trajectory = bart(1, "traj -x48 -y64 -r")
    spokes = bart(1, "phantom -k -s4 -t", trajectory)
    frames, paths = (np.stack([array[:, :, number::2] for number in (0, 1)], -1)[..., None, :]
                     for array in (spokes, trajectory[:, :, :, None]))
    frames = frames.reshape(*spokes.shape[:2], 32, 4, 1, 2)
    found = recon(frames, traj=paths.reshape(3, 48, 32, 1, 1, 2), dims=(48, 48), iterations=12)
    np.testing.assert_array_equal(found.sens[..., 0], found.sens[..., 1])


@pytest.mark.parametrize("options", [{"shared_sens": 1 << TIME}, {"temporal": 0.05}])
def test_frames_along_spokes_of_the_golden_angle_go_together(bart, options):
    """Each frame has another number of samples near zero frequency; one has fewer in all."""
    trajectory = bart(1, "traj -x96 -y72 -r -G")
    spokes = bart(1, "phantom -k -s4 -t", trajectory)
    frames = np.stack(np.split(spokes, 3, 2), -1).reshape(1, 96, 24, 4, *(1,) * 6, 3)
    paths = np.stack(np.split(trajectory, 3, 2), -1).reshape(3, 96, 24, *(1,) * 7, 3)
    frames[:, :, 0, ..., 1] = 0
    found = recon(frames, traj=paths, dims=(96, 96), iterations=12, **options)
    np.testing.assert_array_equal(found.sens[..., 0], found.sens[..., 2])
    truth = bart(1, "phantom -x96 -s4")
    assert min(psnr(image.squeeze(), np.sqrt((abs(truth.squeeze()) ** 2).sum(-1)))
               for image in np.moveaxis(found.image, -1, 0)) > 23


@pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")
def test_an_empty_image_of_a_series_is_named(echoes):
    kspace = echoes[0].copy()
    kspace[:, 1] = 0
    with pytest.raises(ValueError, match="kspace: all samples are zero in TE 1"):
        recon(in_barts_order(kspace, TE))
    with pytest.raises(ValueError, match="kspace: all samples are zero in slice 1"):
        recon(in_barts_order(kspace, SLICE), sms=True)
    assert issubclass(ReconstructionWarning, UserWarning)
