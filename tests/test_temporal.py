"""Frames that are smooth in time: the prior of their changes, reconstructions of moving objects, and bad arguments."""

import numpy as np
import pytest
from conftest import psnr
from properties import assert_gradient, random_complex

from bart_pogmdm import Map, read, recon, write
from bart_pogmdm.algorithms.temporal import Changes
from bart_pogmdm.commands.main import main
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import noise, phantom, sensitivities
from bart_pogmdm.physics.fourier import fft2c

SHAPE, COILS, FRAMES, TIME = (48, 44), 6, 5, 10
IGNORE = pytest.mark.filterwarnings("ignore::bart_pogmdm.ReconstructionWarning")  # after few iterations


def frames_of(shift):
    """Frames (time, y, x) of an object of which a part moves by some pixels from frame to frame."""
    whole = phantom(SHAPE)
    still, moving = whole.copy(), np.zeros_like(whole)
    moving[16:30, 14:28], still[16:30, 14:28] = 0.5 * whole[16:30, 14:28], 0.5 * whole[16:30, 14:28]
    return np.stack([still + np.roll(moving, shift * number, 0) for number in range(FRAMES)])


def measured(frames, factor=5, centres=(0,) * FRAMES):
    """k-space in BART's order with random lines, others in each frame, its mask, and the magnitudes.

    centres: columns by which k-space of each frame is off its centre.
    """
    x = np.arange(SHAPE[1]) - SHAPE[1] // 2
    ramps = np.exp(2j * np.pi * np.outer(centres, x) / SHAPE[1])[:, None]
    full = fft2c(sensitivities(SHAPE, COILS)[:, None] * frames * ramps)
    mask = np.stack([masks.named(f"cartesian{factor}acs8", SHAPE, number) for number in range(FRAMES)])
    kspace = ((full + 0.005 * noise(full.shape, 0)) * mask).astype(np.complex64)
    return in_barts_order(kspace), mask.transpose(1, 2, 0).reshape(*SHAPE, *(1,) * 8, FRAMES), abs(frames)


def in_barts_order(kspace):
    return kspace.transpose(2, 3, 0, 1).reshape(*SHAPE, 1, COILS, *(1,) * (TIME - 4), kspace.shape[1])


def scores(result, magnitudes):
    return np.array([psnr(result.image[..., number].squeeze(), one) for number, one in enumerate(magnitudes)])


def test_ascent_is_the_gradient_and_the_curvature_bounds_it(rng):
    changes = Changes(0.05, rng.uniform(0.5, 2, (FRAMES, 1, 1)))

    def potential(frames):
        scaled = changes.scale * frames
        return np.sqrt(1 + (abs(np.diff(scaled, axis=0)) / changes.change) ** 2).sum()

    for size in (1e-3, 1.0):
        frames = size * random_complex(rng, (FRAMES, 6, 5))
        assert_gradient(potential, lambda frames: -changes.ascent(frames), frames, rng, step=1e-4 * size, rtol=1e-4)
        for _ in range(10):
            step = size * random_complex(rng, frames.shape)
            bound = potential(frames) - np.vdot(changes.ascent(frames), step).real
            bound += (changes.curvature * abs(step) ** 2).sum() / 2
            assert potential(frames + step) <= bound + 1e-9


def test_frames_that_do_not_change_become_one():
    kspace, mask, magnitudes = measured(frames_of(0))
    shared, smooth = recon(kspace, mask, shared_sens=1 << TIME), recon(kspace, mask, temporal=0.01)
    spread = [np.std(abs(result.image), -1).mean() for result in (shared, smooth)]
    assert spread[1] < spread[0] / 3
    assert (scores(smooth, magnitudes) > scores(shared, magnitudes) + 2).all()
    np.testing.assert_array_equal(smooth.sens[..., 0], smooth.sens[..., 1])


def test_a_part_that_moves_is_not_blurred():
    kspace, mask, magnitudes = measured(frames_of(2))
    shared, smooth = recon(kspace, mask, shared_sens=1 << TIME), recon(kspace, mask, temporal=0.05)
    assert (scores(smooth, magnitudes) > scores(shared, magnitudes)).all()
    assert scores(smooth, magnitudes).mean() > scores(shared, magnitudes).mean() + 1


@IGNORE
def test_frames_need_not_have_one_centre():
    """An echo that is a sample late in some frames turns their phase, which is no change of the object."""
    frames, options = frames_of(2), {"temporal": 0.05, "iterations": 20}
    together = scores(recon(*measured(frames)[:2], **options), abs(frames))
    apart = scores(recon(*measured(frames, centres=(0, 1, 0, 1, 1))[:2], **options), abs(frames))
    assert apart.mean() > together.mean() - 1


@IGNORE
def test_command(tmp_path, monkeypatch):
    kspace, mask, _ = measured(frames_of(2))
    monkeypatch.chdir(tmp_path)
    write({"ksp": kspace, "mask": mask})
    assert main(["-i4", "--temporal", "0.05", "-p", "mask", "ksp", "out"]) == 0
    expected = recon(kspace, mask, temporal=0.05, iterations=4).image
    np.testing.assert_allclose(read("out").reshape(expected.shape), expected, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("change, message", [
    ({"temporal": 0}, "temporal: expected a number above 0, got 0"),
    ({"temporal": "much"}, "temporal: expected a number above 0, got 'much'"),
    ({"samples": 4}, "`temporal=0.05` does not go with `samples=4`"),
    ({"sms": True}, "`temporal=0.05` does not go with `sms=True`"),
    ({"shared_sens": 0}, "`temporal=0.05` goes with `shared_sens=1024`, TIME alone, got 0"),
    ({"maps": 2}, "`maps=2` does not go with `temporal=0.05`"),
    ({"sens": np.ones((*SHAPE, 1, COILS), complex)}, "temporal: goes with several coils and unknown sens"),
])
def test_bad_arguments_are_named(change, message):
    kspace, mask, _ = measured(frames_of(0))
    with pytest.raises(ValueError, match=message):
        recon(kspace, mask, **{"temporal": 0.05, "method": None if "samples" in change else Map(), **change})


def test_one_frame_has_no_changes():
    kspace, mask, _ = measured(frames_of(0))
    with pytest.raises(ValueError, match="temporal: expected several frames along TIME, got one"):
        recon(kspace[..., :1], mask[..., :1], temporal=0.05)
