"""Two sets of image and sensitivities, for an object that is larger than the field of view and folds over."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import simulate

from bart_pogmdm import Diffusion, Gibbs, Map, recon, to_bart
from bart_pogmdm.algorithms.held_out import HeldOut, HeldOutRules, without_held_out
from bart_pogmdm.algorithms.joint_map import majorise_minimise
from bart_pogmdm.algorithms.problem import prior_for
from bart_pogmdm.evaluate import masks, metrics
from bart_pogmdm.evaluate import simulate as simulation
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.espirit import EspiritRules, TwoSets
from bart_pogmdm.physics.fourier import fft2c, ifft2c, resize
from bart_pogmdm.prior.image_scale import ImageScale
from bart_pogmdm.reconstruction.frame import Frame
from bart_pogmdm.reconstruction.inputs import Inputs
from bart_pogmdm.reconstruction.options import options_of
from bart_pogmdm.reconstruction.recon import reconstruct
from bart_pogmdm.reconstruction.rules import Rules
from bart_pogmdm.reconstruction.second_set import are_nearer_to_two, misfits, with_second_set
from bart_pogmdm.reconstruction.start import Measured, problem_of

pytestmark = pytest.mark.filterwarnings("ignore:kspace. it takes two sets:bart_pogmdm.ReconstructionWarning")


def folded(part, noise_std=0.005):
    """k-space of a head on a field of view of `part` of its height, where the rest folds over, and its RSS image."""
    _, _, reference = simulate((128, 96), coils=4)
    rows, columns = (np.linspace(-1, 1, n) for n in reference.shape)
    image = reference / reference.max() * np.exp(0.5j * rows[:, None] + 0.4j * columns)
    full = simulation.sensitivities(image.shape, 8) * image
    images = simulation.folded(full, (round(part * len(image)) // 2 * 2, image.shape[1]))
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


def test_the_phase_of_the_image_is_the_same_with_one_set_and_with_two():
    """Otherwise it would jump where only some slices or frames ask for two."""
    kspace = folded(0.95)[0]
    lines = masks.named("horizontal2", kspace.shape[1:], 0)
    one, two = (recon(kspace * lines, lines, maps=maps).image for maps in (1, 2))
    product = one.conj() * two
    assert abs(np.angle(product.sum())) < 0.05 and abs(product.sum()) > 0.98 * np.abs(product).sum()


@pytest.mark.parametrize("phase", [0.6, 1.2])
def test_odd_lines_of_another_phase_are_doubtful(phase):
    """As in EPI: the ghost needs a second set, as the part of an object that folds over does."""
    _, _, reference = simulate((128, 96), coils=4)
    kspace = simulation.kspace(reference / reference.max(), 8, 0.005, 0)
    ghosts = kspace * np.exp(1j * phase * (np.arange(128) % 2)[:, None])
    lines = masks.named("horizontal2", reference.shape, 0)
    found = recon((ghosts * lines).astype(np.complex64), lines)
    assert found.info["warnings"] and not recon((kspace * lines).astype(np.complex64), lines).info["warnings"]


@pytest.mark.filterwarnings("ignore:kspace. image and sens:bart_pogmdm.ReconstructionWarning")
def test_the_second_set_is_taken_where_the_object_folds_over():
    """Slice by slice; one set is taken where nothing folds, also with noise, and where something given says so."""
    kspace, reference = folded(0.8)
    height, width = reference.shape
    rng, whole = np.random.default_rng(1), simulation.kspace(simulation.phantom(reference.shape), 8, 0.005, 0)
    noise = 0.05 * (rng.standard_normal(whole.shape) + 1j * rng.standard_normal(whole.shape))
    series = np.stack([to_bart(samples) for samples in (whole, kspace, whole + noise)], -1).astype(np.complex64)
    lines = masks.named("cartesian2", reference.shape, 0)
    found = recon(series.reshape(height, width, 1, 8, 3), lines, iterations=2)
    assert found.info["maps"].tolist() == [1, 2, 1]
    for options in ({"start": found.image[:, :, 0, 0, 1]}, {"normalize": False}, {"maps": 1},
                    {"method": Diffusion(num_levels=2, come_closer=0.1), "samples": 1}):
        assert recon(kspace * lines, lines, **({"iterations": 2} | options)).info["maps"] == 1


@pytest.mark.filterwarnings("ignore:kspace. image and sens:bart_pogmdm.ReconstructionWarning",
                            "ignore:kspace. its images:bart_pogmdm.ReconstructionWarning")
def test_a_series_has_the_second_set_where_all_of_its_images_fold_over():
    kspace, reference = folded(0.8)
    whole = simulation.kspace(simulation.phantom(reference.shape), 8)
    lines = masks.named("cartesian2", reference.shape, 0)
    # An image of other coils does not share its sensitivities, and each is solved alone.
    for images, sets in (((kspace, kspace), [2, 2]), ((kspace, whole), [2, 1]), ((whole, kspace), [1, 2])):
        series = np.stack([to_bart(samples) for samples in images], -1).reshape(*reference.shape, 1, 8, 1, 2)
        assert recon(series.astype(np.complex64), lines, iterations=2).info["maps"].tolist() == sets


@pytest.mark.parametrize("part, sets", [(0.88, 2), (1.0, 1)])
def test_a_small_fold_is_seen(part, sets):
    kspace, reference = folded(part)
    lines = masks.named("horizontal2", reference.shape, 0)
    assert recon(kspace * lines, lines, iterations=2).info["maps"] == sets


def cut_off(noise_std, prior):
    """The problem of a head that ends at the border of the field of view, with one set."""
    image, shape = simulation.phantom((160, 160))[32:128, 32:128], (96, 96)
    lines = masks.named("cartesian2", shape, 0)
    scan = CartesianScan(simulation.kspace(image, 8, noise_std, 0) * lines, lines)
    measured = Measured.of(scan, Frame(1.0), noise_std, None, ImageScale(), Rules(), known_sens=False)
    return problem_of(measured, None, None, prior, options_of(maps=1))


@pytest.mark.parametrize("noise_std", [0.005, 0.05])
def test_an_object_that_ends_at_the_border_has_one_set(noise_std, prior):
    """ESPIRiT sees both sides of the field in a pixel at its border, so that held-out samples have to decide."""
    problem = cut_off(noise_std, prior)
    predicted = problem.sens_model.predicted(problem.start.image, problem.start.coefficients)
    sets = TwoSets.of(problem.sens_model, predicted, problem.start.sens, problem.noise_std, EspiritRules())
    assert sets.second > EspiritRules().trace
    assert with_second_set(problem, prior, options_of()).images.sets == 1


def test_a_trial_goes_on_while_two_sets_are_nearer_within_chance(prior, rng):
    """It ends with one set at a look where these are not nearer, and with two where they are beyond chance."""
    held_out = HeldOut.drawn(cut_off(0.005, prior), HeldOutRules(), rng)
    one = np.full(40, 4.0)
    farther, nearer, beyond_chance = one + 0.1, one - 0.1 + np.linspace(-1, 1, 40), one - 1 + np.linspace(-1, 1, 40)
    for of_two, are_nearer, seen in (([farther, nearer], False, 1), ([nearer, farther, nearer], False, 2),
                                     ([nearer, beyond_chance, farther], True, 2), ([nearer] * 3, True, 3)):
        looks = iter([(one, two) for two in of_two])
        assert are_nearer_to_two(held_out, looks) == are_nearer
        assert len(list(looks)) == len(of_two) - seen


@pytest.mark.filterwarnings("ignore:kspace. image and sens:bart_pogmdm.ReconstructionWarning")
def test_without_kept_samples_there_is_one_set():
    """They are held out beyond 16 cycles per field of view, which a small image does not reach."""
    small = resize(folded(0.75)[0], (22, 22))
    far = Map(held_out=HeldOutRules(centre=2.0))
    assert [recon(small, iterations=2, **one).info["maps"] for one in ({}, {"method": far}, {"maps": 2})] == [1, 2, 2]


def test_each_look_is_after_so_many_steps_without_the_kept_samples(prior, rng):
    held_out = HeldOut.drawn(cut_off(0.005, prior), HeldOutRules(), rng)
    found = list(misfits(held_out, prior, Map(), EspiritRules(steps=2, looks=2)))
    rest = without_held_out(held_out.problem, held_out.which, Map().image_cg)
    states = list(majorise_minimise(rest, range(4), prior_for(rest, prior), Map()))
    assert len(found) == 2
    for misfit, state in zip(found, states[1::2]):
        np.testing.assert_allclose(misfit, held_out.misfit(state), 1e-5)


def test_the_posterior_of_two_sets_has_the_accuracy_of_their_maximum():
    """Its standard deviation is that of the combined image, and its samples are such images."""
    kspace, reference = folded(0.75)
    lines = masks.named("horizontal1.5", reference.shape, 0)
    maximum = recon(kspace * lines, lines, iterations=10)
    result = recon(kspace * lines, lines, method=Gibbs(chains=2, burn_in=2, thin=2), samples=2, keep_samples=True,
                   iterations=10)
    assert maximum.info["maps"] == result.info["maps"] == 2
    accuracy = metrics.psnr(maximum.image, reference)
    assert metrics.psnr(result.image, reference) > accuracy - 1
    assert all(metrics.psnr(sample, reference) > accuracy - 6 for sample in result.samples)
    assert 0 < result.std.mean() < 0.05


@pytest.mark.parametrize("options", [{"maps": 3}, {"maps": "two"}, {"maps": 2, "normalize": False},
                                     {"maps": 2, "method": "diffusion"}])
def test_sets_have_their_limits(phantom, options):
    with pytest.raises(ValueError, match="maps"):
        recon(phantom[0], phantom[1], **options)


def test_one_coil_has_one_set():
    kspace, _, _ = simulate((64, 60), coils=3)
    with pytest.raises(ValueError, match="maps: 2 needs several coils"):
        recon(kspace[:1], maps=2, iterations=2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:kspace. image and sens:bart_pogmdm.ReconstructionWarning")
def test_known_sets_of_ecalib(bart):
    """With two sets the image of a folded object is better than with one, by at least 6 dB, and better than of pics."""
    kspace, reference = folded(0.75, noise_std=0.002)
    lines = np.zeros(reference.shape, bool)
    lines[::2] = lines[36:60] = True
    data, errors = to_bart(kspace * lines), []
    for sets in (1, 2):
        sens = bart(1, f"ecalib -m{sets}", data)
        result = recon(data, lines, sens=sens)
        images = bart(1, "pics -S -R T:3:0:.001 -i60", data, sens)
        ours, pics = result.image * result.sens, images.reshape(*reference.shape, 1, 1, sets)
        pics = (pics * sens.reshape(*reference.shape, 1, 8, sets)).sum(-1)
        errors.append([np.linalg.norm(np.sqrt((np.abs(images) ** 2).sum(3)).squeeze() - reference)
                       for images in (ours, pics)])
    assert errors[0][0] > 2 * errors[1][0] and errors[1][0] < errors[1][1]
    again = recon(kspace * lines, lines, sens=np.moveaxis(sens[:, :, 0], (3, 2), (0, 1)))
    np.testing.assert_array_equal(again.image, result.image.squeeze())


@pytest.mark.parametrize("change, message", [
    (lambda sens: sens[[0, 0, 0]], r"sens: expected shape \(3, 64, 60\), or two such sets, got \(3, 3, 64, 60\)"),
    (lambda sens: sens[:, :2], r"sens: expected shape \(3, 64, 60\), or two such sets"),
    (lambda sens: 0 * sens, "sens: all values are zero")])
def test_wrong_sets_are_named(change, message):
    kspace, mask, _ = simulate((64, 60), coils=3)
    sens = np.stack([simulation.sensitivities((64, 60), 3)] * 2)
    with pytest.raises(ValueError, match=message):
        recon(kspace, mask, sens=change(sens))


def test_known_sets_have_their_limits():
    kspace, mask, _ = simulate((64, 60), coils=3)
    sens = np.stack([simulation.sensitivities((64, 60), 3)] * 2)
    for options, message in (({"method": "diffusion"}, "`sens` of two sets does not go with `method=diffusion`"),
                             ({"normalize": False}, "`sens` of two sets does not go with `normalize=False`"),
                             ({"start": kspace[0]}, "sens: two sets go with several coils and no start")):
        with pytest.raises(ValueError, match=message):
            recon(kspace, mask, sens=sens, **options)
    with pytest.raises(ValueError, match="maps: expected 1 or auto with one set of `sens`, got 2"):
        recon(kspace, mask, sens=sens[0], maps=2)


def test_one_set_serves_a_whole_series():
    kspace, mask, _ = simulate((32, 28), coils=3)
    sens = to_bart(recon(kspace, mask).sens)
    series = np.stack([to_bart(kspace), 2 * to_bart(kspace)], -1)[:, :, :, :, None]
    result, alone = recon(series, mask, sens=sens, iterations=3), recon(to_bart(kspace), mask, sens=sens, iterations=3)
    np.testing.assert_array_equal(result.image[:, :, 0, 0, 0, 0], alone.image[:, :, 0, 0])
    assert result.sens.shape == series.shape


@pytest.mark.slow
def test_a_similar_slice_does_not_hide_a_fold(prior):
    """Starts from a neighbour's sensitivities find the second set, too, and two sets are no neighbour's."""
    kspace, _ = folded(0.75)
    lines = masks.named("horizontal1.5", kspace.shape[1:], 0)
    options = options_of(iterations=12)
    _, neighbour = reconstruct(Inputs(kspace * lines, lines), prior, replace(options, maps=1))
    result, coefficients = reconstruct(Inputs(kspace * lines, lines, neighbour=neighbour), prior, options)
    assert neighbour is not None and result.info["maps"] == 2 and coefficients is None
