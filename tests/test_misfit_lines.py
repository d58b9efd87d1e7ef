"""Lines and samples of k-space that do not fit the others."""

import warnings

import numpy as np
import pytest
from conftest import psnr

from bart_pogmdm import ReconstructionWarning, Rules, bart, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import noise, phantom
from bart_pogmdm.physics.spikes import SpikeRules
from bart_pogmdm.reconstruction.misfit_lines import LEFT_OUT, LineRules

SHAPE, COILS = (96, 80), 6


def scan(kind):
    """k-space (J, *SHAPE), its mask and the true image."""
    mask = masks.named(kind, SHAPE, 0)
    return simulate_kspace(phantom(SHAPE), COILS, 0.005, 0) * mask, mask, abs(phantom(SHAPE))


def found(kspace, mask, **options):
    """The result, and whether a warning says that lines were left out, as it does in its info."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = recon(kspace.astype(np.complex64), mask, **{"iterations": 25} | options)
    assert any(LEFT_OUT in str(one.message) for one in seen) == any(LEFT_OUT in one for one in result.info["warnings"])
    return result, any(LEFT_OUT in one for one in result.info["warnings"])


def burst(kspace, column, size=0.3):
    """k-space with noise in one column."""
    disturbed = kspace.copy()
    disturbed[:, :, column] += size * noise((COILS, SHAPE[0]), 7)
    return disturbed


@pytest.mark.parametrize("kind, column", [("uniform2", 46), ("uniform2", 41), ("cartesian3", 44)])
def test_a_burst_of_noise_costs_its_line_only(kind, column):
    kspace, mask, image = scan(kind)
    assert mask[:, column].all()
    (clean, undisturbed), (repaired, left_out) = found(kspace, mask), found(burst(kspace, column), mask)
    assert not undisturbed and left_out
    spoiled, _ = found(burst(kspace, column), mask, rules=Rules(lines=LineRules(ratio=1e9)))
    assert psnr(repaired.image, image) > max(psnr(clean.image, image) - 1.5, psnr(spoiled.image, image) + 5)


def test_it_is_as_if_the_line_were_not_in_the_mask():
    kspace, mask, _ = scan("uniform2")
    without = mask & (np.arange(SHAPE[1]) != 46)
    repaired, _ = found(burst(kspace, 46), mask)
    expected, _ = found(kspace, without)
    np.testing.assert_array_equal(repaired.image, expected.image)
    np.testing.assert_array_equal(repaired.sens, expected.sens)


def test_a_sample_costs_itself_only():
    """Also where spikes are not sought before."""
    kspace, mask, _ = scan("uniform2")
    spiked = kspace.copy()
    spiked[:, 30, 46] += 2 * noise((COILS,), 3)
    repaired, left_out = found(spiked, mask, rules=Rules(spikes=SpikeRules(contrast=1e9)))
    without = mask.copy()
    without[30, 46] = False
    expected, _ = found(kspace, without)
    assert left_out
    np.testing.assert_array_equal(repaired.image, expected.image)


@pytest.mark.parametrize("size, left_out", [(1.0, True), (0.0, False)])
def test_readouts_along_a_trajectory(size, left_out):
    """As if the readout were not in the mask, in the frames of a series, too."""
    traj = bart(1, "traj -r -x 96 -y 40 -o 2")
    kspace = bart(1, "phantom -s 4 -k -t", traj)
    kspace = kspace / abs(kspace).max() * 30 + 0.005 * noise(kspace.shape, 0)
    disturbed, mask = kspace.copy(), np.ones((*kspace.shape[:3], 1), bool)
    disturbed[0, :, 9] += size * noise(disturbed[0, :, 9].shape, 1)
    mask[0, :, 9] = not left_out
    along = {"traj": traj.real, "dims": (96, 96)}
    repaired, found_one = found(disturbed, None, **along)
    expected, undisturbed = found(kspace, mask, **along)
    assert found_one == left_out and not undisturbed
    np.testing.assert_array_equal(repaired.image, expected.image)
    pair = np.stack([kspace, disturbed], -1)[:, :, :, :, None]  # along TE, which shares sensitivities
    result, _ = found(pair, None, **along)
    assert [one.endswith("(TE 1)") for one in result.info["warnings"]] == [True] * left_out


def test_slices_are_judged_one_by_one_and_series_together():
    kspace, mask, _ = scan("uniform2")
    pair = np.stack([kspace, burst(kspace, 46)], -1).transpose(1, 2, 0, 3)
    for axis in (13, 5):  # slices on their own, and echoes that share their sensitivities
        shape = [*SHAPE, 1, COILS, *(1,) * 10]
        shape[axis] = 2
        result, left_out = found(pair.reshape(shape), mask.reshape(*SHAPE, *(1,) * 12))
        (sentence,) = [one for one in result.info["warnings"] if LEFT_OUT in one]
        assert left_out and sentence.endswith({13: "(slice 1)", 5: "(TE 1)"}[axis]), sentence
        one, other = np.moveaxis(result.image, axis, 0)
        assert np.linalg.norm(one - other) < 0.1 * np.linalg.norm(one)


@pytest.mark.parametrize("options", [{"samples": 2}, {"maps": 2}, {"method": "diffusion", "samples": 1}],
                         ids=["draws", "two sets", "diffusion"])
def test_other_methods(options):
    """Draws go on from a maximum, which tells; Algorithm 1 has none."""
    kspace, mask, _ = scan("uniform2")
    _, left_out = found(burst(kspace, 46), mask, **options)
    assert left_out == ("method" not in options)


def test_many_such_lines_have_another_cause():
    kspace, mask, _ = scan("uniform2")
    for column in np.flatnonzero(mask.all(0))[::4]:
        kspace = burst(kspace, column)
    assert not found(kspace, mask)[1]


def test_a_burst_that_moves_the_centre_leaves_no_doubt_about_it():
    """All is as if the line were not in the mask, also where its noise is as strong as the image."""
    kspace, mask, _ = scan("uniform2")
    repaired, left_out = found(burst(kspace, 44, 1), mask)
    expected, _ = found(kspace, mask & (np.arange(SHAPE[1]) != 44))
    assert left_out and repaired.info["warnings"] == [LEFT_OUT]
    np.testing.assert_array_equal(repaired.image, expected.image)


def test_lines_of_interpolated_k_space_are_those_of_the_data():
    kspace, mask, _ = scan("uniform2")
    padded, pattern = (np.pad(array, [(0, 0)] * (array.ndim - 2) + [(16, 16)] * 2) for array in (
        burst(kspace, 46), mask))
    repaired, left_out = found(padded, pattern)
    pattern[:, 46 + 16] = False
    assert left_out
    np.testing.assert_array_equal(repaired.image, found(padded * pattern, pattern)[0].image)


def test_frames_with_a_temporal_prior_lose_no_line():
    kspace, mask, _ = scan("uniform2")
    frames = np.stack([kspace, burst(kspace, 46), kspace], -1).transpose(1, 2, 0, 3)
    frames = frames.reshape(*SHAPE, 1, COILS, *(1,) * 6, 3)
    assert not found(frames, mask.reshape(*SHAPE, *(1,) * 9), temporal=0.05, iterations=12)[1]


def test_known_sensitivities_that_are_wrong_leave_no_line_out():
    kspace, mask, _ = scan("uniform2")
    with pytest.warns(ReconstructionWarning, match="do not explain"):
        recon(kspace, mask, sens=np.ones((COILS, *SHAPE), np.complex64), iterations=5)


def test_the_callback_sees_no_more_iterations_than_there_are():
    kspace, mask, _ = scan("uniform2")
    numbers = []
    found(burst(kspace, 46), mask, callback=lambda state: numbers.append((state.info.iteration, state.info.iterations)))
    assert all(number <= total for number, total in numbers) and numbers.count(numbers[0]) == 2
