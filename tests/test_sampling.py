"""The methods that draw samples, through `recon`: their samples, standard deviation, options and quality."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import strict_cupy
from conftest import psnr, simulate
from properties import random_complex

from bart_pogmdm import Diffusion, Gibbs, Map, PoGMDM, recon
from bart_pogmdm.algorithms.held_out import HeldOutRules
from bart_pogmdm.algorithms.posterior_statistics import PosteriorStatistics
from bart_pogmdm.arrays.bart_dims import to_bart
from bart_pogmdm.evaluate import masks, metrics
from bart_pogmdm.evaluate import simulate as simulation
from bart_pogmdm.physics.fourier import resize
from bart_pogmdm.physics.kspace_rings import RingRules
from bart_pogmdm.prior.pogmdm import SHAPES

pytestmark = pytest.mark.slow

QUICK = Gibbs(chains=2, burn_in=1, thin=2)
FEW = Diffusion(num_levels=5, come_closer=0.3)


@pytest.fixture(scope="module")
def small():
    return simulate((40, 36), coils=4)


@pytest.mark.parametrize("method", [QUICK, FEW])
@pytest.mark.parametrize("coils", [1, 4])
def test_same_seed_same_samples(small, method, coils):
    """The first samples do not depend on how many follow, nor a slice on the others."""
    kspace, mask, _ = small[0][:coils], *small[1:]
    two = recon(kspace, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    again = recon(kspace, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    np.testing.assert_array_equal(two.samples, again.samples)
    np.testing.assert_array_equal(two.std, again.std)
    other = recon(kspace, mask, method=method, samples=2, iterations=3, seed=6)
    assert np.linalg.norm(other.image - two.image) > 0
    slices = (1,) * 9 + (2,)
    stack = np.stack([to_bart(kspace), to_bart(kspace)], -1).reshape(40, 36, 1, coils, *slices)
    both = recon(stack, mask, method=method, samples=2, iterations=3, keep_samples=True, seed=5)
    assert both.image.shape == (40, 36, 1, 1, *slices) and both.samples.shape == (40, 36, 1, 1, *slices, 1, 2)
    np.testing.assert_array_equal(both.samples.reshape(40, 36, 2, 2)[:, :, 0], np.moveaxis(two.samples, 0, -1))
    assert np.linalg.norm(both.image[..., 1] - both.image[..., 0]) > 0


@dataclass(frozen=True, eq=False)
class WatchedPrior(PoGMDM):
    """A prior that notes how many images it gets side by side, in the methods "diffusion" and "gibbs"."""

    scored: set[int] = field(default_factory=set, kw_only=True)
    drawn: set[int] = field(default_factory=set, kw_only=True)

    def score(self, image, sigma, *, exact=False):
        self.scored.add(len(image))
        return super().score(image, sigma, exact=exact)

    def drawn_score(self, images, sigma, rngs):
        self.drawn.add(len(images))
        return super().drawn_score(images, sigma, rngs)


@pytest.mark.parametrize("method", [QUICK, replace(QUICK, chains=4), FEW,
                                    replace(FEW, sens_update="sobolev")])
@pytest.mark.parametrize("coils", [1, 4])
def test_chains_side_by_side_draw_what_each_draws_alone(small, prior, method, coils):
    kspace, mask, results = small[0][:coils].astype(complex), small[1], []
    for side_by_side, expected in ((1, {1}), (3, {2} if method is QUICK else {3, 1})):
        watched = WatchedPrior(*(getattr(prior, name) for name in SHAPES))
        results.append(recon(kspace, mask, method=replace(method, side_by_side=side_by_side), samples=4, iterations=3,
                             keep_samples=True, prior=watched))
        assert (watched.drawn if isinstance(method, Gibbs) else watched.scored) == expected
    alone, together = results
    for name in ("image", "std", "samples", "sens"):
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), rtol=1e-6, atol=1e-8)


def test_statistics_are_those_of_all_draws(rng):
    draws = random_complex(rng, (3, 5, 6, 4)) + 2
    statistics = PosteriorStatistics(5)
    for images in draws.swapaxes(0, 1):
        for chain, image in enumerate(images):
            statistics.add(image, chain)
    np.testing.assert_allclose(statistics.mean, draws.mean((0, 1)))
    np.testing.assert_allclose(statistics.std, np.abs(draws).reshape(15, 6, 4).std(0, ddof=1))
    rhat, ess = statistics.convergence()
    assert 0.7 < rhat < 1.3 and 4 < ess <= 15
    within, pooled = statistics.variances()
    np.testing.assert_allclose(within, np.abs(draws).var(1, ddof=1).mean(0))
    np.testing.assert_allclose(pooled, 0.8 * within + np.abs(draws).mean(1).var(0, ddof=1))
    assert np.isclose(rhat, np.median(np.sqrt(pooled / within)))


def padded(kspace, mask):
    """The same k-space off its centre, as for an image of more pixels."""
    return [resize(np.roll(array, (2, -1), (-2, -1)), (60, 52)) for array in (kspace, mask)]


def in_barts_order(kspace, axis, count):
    """k-space (coil, y, x) again and again along a dimension of BART, brighter each time."""
    images = [to_bart(kspace * (1 + 0.1 * number)) for number in range(count)]
    return np.stack(images, -1).reshape(*images[0].shape[:4], *(1,) * (axis - 4), count)


SCANS = {
    "coils": lambda kspace, mask: ((kspace, mask), {}),
    "double precision": lambda kspace, mask: ((kspace.astype(complex), mask), {}),
    "one coil": lambda kspace, mask: ((kspace[:1], mask), {}),
    "padded": lambda kspace, mask: (padded(kspace, mask), {}),
    "two sets": lambda kspace, mask: ((kspace, mask), {"maps": 2}),
    "two sets, padded": lambda kspace, mask: (padded(kspace, mask), {"maps": 2}),
    "series": lambda kspace, mask: ((in_barts_order(kspace, 5, 2), mask), {}),
    "simultaneous slices": lambda kspace, mask: ((in_barts_order(kspace, 13, 2), mask), {"sms": True}),
}


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("name", SCANS)
def test_the_image_lies_between_the_maximum_and_the_mean_of_the_draws(name, moved):
    """Also where the maximum is moved towards the mean of message passing, by some frequencies more than by others."""
    mask = masks.named("cartesian2", (40, 36), 0)
    kspace = mask * simulation.kspace(simulation.phantom(mask.shape), 4, 0.03, 0)
    scan, options = SCANS[name](kspace.astype(np.complex64), mask)
    rules = HeldOutRules(part=0.2, centre=2, chance=30, rings=RingRules(least_samples=8))
    maximum = Map(iterations=9, last_steps=2 if moved else 9, fine_steps=11, held_out=rules)
    method, weights = Gibbs(chains=2, burn_in=2, thin=2, maximum=maximum), []

    def note(state):
        if state.mean_weights is not None and state.info.chain is None:
            assert state.mean_weights.shape == state.image.shape
            weights.append(float(np.ptp(state.mean_weights)))

    images = [recon(*scan, method=replace(method, to_mean=part), samples=4, callback=note, **options).image
              for part in (0, 0.25, 1)]
    size = np.abs(images[0]).max()
    np.testing.assert_allclose(images[0] / size, recon(*scan, method=maximum, **options).image / size, atol=1e-5)
    np.testing.assert_allclose(images[1] / size, (0.75 * images[0] + 0.25 * images[2]) / size, atol=1e-5)
    assert np.abs(images[2] - images[0]).max() > 1e-3 * size
    assert len(weights) == 3 * moved and all(spread > 0.05 for spread in weights)


def test_samples_mean_and_std_belong_together(small):
    kspace, mask, reference = small
    result = recon(kspace, mask, method=Gibbs(chains=3, burn_in=2, thin=1), samples=12, keep_samples=True)
    assert result.samples.shape == (12, 40, 36) and result.std.dtype == np.float32
    np.testing.assert_allclose(result.samples.mean(0), result.image, atol=1e-4)
    inside = reference > 0.3 * reference.max()
    ratio = np.abs(result.samples).std(0, ddof=1)[inside].mean() / result.std[inside].mean()
    assert 0.9 < ratio < 1.1
    assert result.info["method"] == "gibbs" and 0.9 < result.info["rhat"] < 1.5 and 1 < result.info["ess"] <= 12
    assert 0.5 < result.info["residual_std"] / 0.01 < 2
    scaled = recon(1024 * kspace, mask, method=Gibbs(chains=3, burn_in=2, thin=1), samples=12)  # exact in binary
    assert np.linalg.norm(scaled.std / 1024 - result.std) < 1e-3 * np.linalg.norm(result.std)


def test_sampling_methods_reconstruct():
    kspace, mask, reference = simulate((48, 44), coils=6)
    best = psnr(recon(kspace, mask).image, reference)
    mean = recon(kspace, mask, samples=10)
    assert mean.info["method"] == "gibbs" and psnr(mean.image, reference) > best - 0.3
    for method in (Diffusion(num_levels=60, come_closer=0.5), Diffusion(num_levels=150, sens_update="sobolev")):
        assert psnr(recon(kspace, mask, method=method, samples=2).image, reference) > best - 6


def test_samples_may_stay_in_the_units_of_the_solver(small):
    kspace, mask, _ = small
    raw = recon(kspace, mask, samples=4, normalize=False, seed=1)
    normal = recon(kspace, mask, samples=4, seed=1)
    rss = np.sqrt((np.abs(raw.sens) ** 2).sum(0))
    np.testing.assert_allclose(raw.std * rss, normal.std, rtol=1e-4, atol=1e-7)


def test_known_sensitivities(small):
    kspace, mask, _ = small
    joint = recon(kspace, mask)
    known = recon(kspace, mask, sens=joint.sens, method=QUICK, samples=4)
    np.testing.assert_allclose(known.sens, joint.sens, rtol=1e-4, atol=1e-6)
    assert (known.std >= 0).all() and known.std.max() > 0


def test_callback_counts_all_iterations(small):
    for method, total in ((QUICK, 3 + 2 * (1 + 2 * 2)), (FEW, 4 * (len(FEW.sigmas) - 1))):
        states = []
        recon(small[0], small[1], method=method, samples=4, iterations=3, callback=states.append)
        assert [state.info.iteration for state in states] == list(range(1, total + 1))
        assert {state.info.iterations for state in states} == {total}


def test_no_numpy_array_meets_a_device_array(small, monkeypatch):
    expected = {name: recon(small[0], small[1], method=method, samples=2, iterations=3)
                for name, method in (("gibbs", QUICK), ("diffusion", FEW))}
    cupy = strict_cupy.install(monkeypatch)
    for name, method in (("gibbs", QUICK), ("diffusion", FEW)):
        result = recon(cupy.asarray(small[0]), cupy.asarray(small[1]), method=method, samples=2, iterations=3)
        assert type(result.image) is type(result.std) is cupy.ndarray
        image = expected[name].image
        assert np.linalg.norm(np.array(result.image) - image) < 0.05 * np.linalg.norm(image)


@pytest.mark.parametrize("arguments, message", [
    ({"samples": 0}, "samples: expected a positive integer, got 0"),
    ({"samples": 1.5}, "samples: expected a positive integer, got 1.5"),
    ({"method": "map", "samples": 3}, "samples: method map draws none"),
    ({"method": "best"}, "method: expected map, gibbs, diffusion"),
    ({"method": 3}, "method: expected map, gibbs, diffusion"),
    ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
    ({"samples": 10**9, "keep_samples": True}, r"samples: keeping 1000000000 needs .* TiB, .* GiB are available"),
])
def test_bad_arguments_are_named(small, arguments, message):
    with pytest.raises((ValueError, MemoryError), match=message):
        recon(small[0], small[1], **arguments)


@pytest.mark.parametrize("options, message", [
    ({"num_levels": 1}, "num_levels: expected an integer >= 2, got 1"),
    ({"num_corrector": -1}, "num_corrector: expected an integer >= 0, got -1"),
    ({"sigma_min": 10.0}, "sigma_min: expected less than sigma_max 10.0, got 10.0"),
    ({"snr": 0}, "snr: expected a number > 0, got 0"),
    ({"come_closer": 20}, "come_closer: expected a number between"),
    ({"sens_update": "tv"}, "sens_update: expected h1 or sobolev, got 'tv'"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Diffusion(**options)
    with pytest.raises(ValueError, match="chains: expected an integer >= 1, got 0"):
        Gibbs(chains=0)


def test_std_is_calibrated_on_real_data(shared):
    """brain8ch_espirit, 24 spokes; benchmarks/calibration.py has more cases."""
    with np.load(shared("data/dev/masks.npz")) as masks, np.load(shared("data/dev/brain8ch_espirit.npz")) as data:
        kspace, reference = data["kspace"], data["reference"]
        mask = masks["brain8ch_espirit__radial24__0"]
    result = recon(kspace * mask, mask, samples=10)
    assert metrics.psnr(result.image, reference) > 31.5
    assert 0.8 < metrics.coverage(result.image, result.std, reference) < 0.99
    assert metrics.rank_correlation(result.image, result.std, reference) > 0.4
