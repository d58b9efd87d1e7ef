"""Spikes: single samples of k-space that outshine those about them."""

import warnings

import numpy as np
import pytest

from bart_pogmdm import bart, recon
from bart_pogmdm.evaluate import masks
from bart_pogmdm.evaluate.simulate import kspace as simulate_kspace
from bart_pogmdm.evaluate.simulate import noise, phantom, sensitivities
from bart_pogmdm.physics.cartesian_scan import CartesianScan
from bart_pogmdm.physics.fourier import fft2c
from bart_pogmdm.physics.spikes import SpikeRules, spikes_on_grid

SHAPE, COILS = (96, 80), 6


def scan(kind):
    """k-space (J, *SHAPE) and its mask."""
    mask = masks.named(kind, SHAPE, 0)
    return simulate_kspace(phantom(SHAPE), COILS, 0.005, 0) * mask, mask


def spiked(kspace, places, size=2.0, coils=0):
    """k-space with spikes in all coils, along axis `coils`, at places of its other axes."""
    moved = np.moveaxis(kspace.copy(), coils, 0)
    for number, place in enumerate(places):
        moved[(slice(None), *place)] += size * noise((len(moved),), number)
    return np.moveaxis(moved, 0, coils)


def solved(kspace, mask=None, **options):
    """The result, and whether it says that spikes were left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = recon(kspace.astype(np.complex64), mask, **{"iterations": 15} | options)
    return result, any("far larger than those about them" in one for one in result.info["warnings"])


@pytest.mark.parametrize("size", [3.0, 100.0])
@pytest.mark.parametrize("kind", ["uniform2", "cartesian4", "gaussian4", "poisson4"])
def test_it_is_as_if_spikes_were_not_in_the_mask(kind, size):
    kspace, mask = scan(kind)
    sampled = np.argwhere(mask & (np.hypot(*np.meshgrid(*(np.arange(n) - n // 2 for n in SHAPE), indexing="ij")) > 9))
    places = sampled[[len(sampled) // 5, len(sampled) // 3, -len(sampled) // 9]]
    repaired, left_out = solved(spiked(kspace, places, size), mask)
    rest = mask.copy()
    rest[tuple(places.T)] = False
    expected, undisturbed = solved(kspace, rest)
    assert left_out and not undisturbed
    np.testing.assert_array_equal(repaired.image, expected.image)


def test_they_are_left_out_along_readouts():
    traj = bart(1, "traj -r -x 96 -y 40 -o 2")
    kspace = bart(1, "phantom -s 4 -k -t", traj)
    kspace = kspace + 1e-3 * abs(kspace).max() * noise(kspace.shape, 0)
    along, rest = {"traj": traj.real, "dims": (96, 96)}, np.ones((*kspace.shape[:3], 1), bool)
    places = [(0, 30, 4), (0, 130, 20), (0, 131, 20), (0, 170, 33)]
    rest[tuple(np.transpose(places))] = False
    repaired, left_out = solved(spiked(kspace, places, abs(kspace).max() / 2, coils=3), **along)
    expected, undisturbed = solved(kspace, rest, **along)
    assert left_out and not undisturbed
    np.testing.assert_array_equal(repaired.image, expected.image)


def test_they_are_left_out_of_a_volume():
    full = bart(1, "phantom -3 -x 32 -s 4 -k")
    mask = masks.named("poisson2", (32, 32), 0)[None, :, :, None]
    kspace = full * mask + 1e-3 * abs(full).max() * noise(full.shape, 0) * mask
    _, y, x, _ = np.argwhere(mask).T
    far = np.flatnonzero(np.hypot(y - 16, x - 16) > 8)[[3, 40]]
    disturbed = spiked(kspace, [(20, y[one], x[one]) for one in far], abs(full).max(), coils=3)
    (repaired, left_out), (clean, undisturbed) = solved(disturbed, mask), solved(kspace, mask)
    assert left_out and not undisturbed
    assert np.linalg.norm(repaired.image - clean.image) < 0.02 * np.linalg.norm(clean.image)


def test_stronger_spikes_do_not_hide_weaker_ones():
    kspace, mask = scan("uniform2")
    places = [(20, 46), (70, 20)]
    disturbed = spiked(spiked(kspace, places[:1], 1000), places[1:], 1)
    rest = mask.copy()
    rest[tuple(np.transpose(places))] = False
    image = solved(kspace, rest)[0].image
    np.testing.assert_array_equal(solved(disturbed, mask)[0].image, image)


@pytest.mark.parametrize("coils", [1, 8])
@pytest.mark.parametrize("kind", ["full", "cartesian4", "gaussian8", "uniform3"])
@pytest.mark.parametrize("period", [5, 8.37, 12])
def test_stripes_of_an_object_are_no_spikes(coils, kind, period):
    """Tags in the heart, or a phantom for resolution: its k-space has peaks far from the centre."""
    rows, columns = np.indices(SHAPE)
    stripes = 0.5 + 0.5 * np.cos(2 * np.pi * (rows + columns) / period)
    mask = np.ones(SHAPE, bool) if kind == "full" else masks.named(kind, SHAPE, 1)
    for image in (phantom(SHAPE), np.ones(SHAPE))[:coils]:  # with one coil, the second has no width in k-space
        kspace = fft2c(sensitivities(SHAPE, coils) * image * stripes) + 0.005 * noise((coils, *SHAPE), 0)
        assert not spikes_on_grid(CartesianScan(kspace * mask, mask), SpikeRules()).any()


@pytest.mark.parametrize("coils, kind", [(1, "uniform2"), (4, "gaussian8")])
def test_nothing_is_left_out_where_no_centre_stands_out(coils, kind):
    """A chequered field of view has its peaks far from the centre."""
    rows, columns = np.indices(SHAPE)
    mask = masks.named(kind, SHAPE, 0)
    kspace = fft2c(sensitivities(SHAPE, coils) * ((rows + columns) // 5 % 2)) + 0.003 * noise((coils, *SHAPE), 1)
    result, left_out = solved(kspace * mask, mask)
    assert not left_out and any("its centre" in one for one in result.info["warnings"])


def test_the_centre_is_no_spike():
    """A flat object that fills the field of view has all of its energy in one sample."""
    kspace = fft2c(np.ones((1, *SHAPE), complex)) + 0.005 * noise((1, *SHAPE), 0)
    assert not spikes_on_grid(CartesianScan(kspace, np.ones(SHAPE, bool)), SpikeRules()).any()


def test_weights_and_masks_of_each_coil():
    kspace, mask = scan("uniform2")
    places = [(20, 46), (70, 20)]
    weights = mask * (0.5 + np.random.default_rng(0).random(SHAPE))
    of_coils = np.stack([mask & (np.random.default_rng(coil).random(SHAPE) < 0.9) for coil in range(COILS)])
    for pattern in (weights, of_coils):
        for place in places:
            pattern[(..., *place)] = 1
        rest = pattern.copy()
        rest[(..., *np.transpose(places))] = 0
        repaired, left_out = solved(spiked(kspace, places) * (pattern != 0), pattern)
        expected, _ = solved(kspace * (rest != 0), rest)
        assert left_out
        np.testing.assert_array_equal(repaired.image, expected.image)
