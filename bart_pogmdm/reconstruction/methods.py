"""The methods of `recon` and their options.

`prepare` yields a State after each iteration to the maximum of the posterior, `draws` then (State, Draw) after each of
the sampling, Draw None where the state does not count as one.
"""

import numbers
from dataclasses import dataclass

import numpy as np

from ..algorithms import schedules
from ..algorithms.diffusion import ascend, diffusion
from ..algorithms.gibbs import gibbs
from ..algorithms.joint_map import SENS_CG, joint_map
from ..arrays.devices import available_memory
from ..arrays.modules import array_module
from ..arrays.threads import CACHE_BYTES
from ..physics.h1_sensitivities import h1_step
from ..physics.sensitivities import OF_CHAIN
from ..prior.pogmdm import NUM_FILTERS, PoGMDM


@dataclass(frozen=True)
class Draw:
    """Which chain a draw is from, and its place among the samples (None: it counts in mean and std only)."""

    chain: int
    place: int | None


def memory(shape, dtype, chains):
    """About how many bytes the solver of one slice (J, ny, nx) works with, all filters, coils and chains together.

    Measured: spectra of the filters, in double precision when they are made; of each chain their responses, and
    sensitivities, noise and temporary stacks of the coils.
    """
    coils, ny, nx = shape
    return (5 * NUM_FILTERS + chains * (NUM_FILTERS + 6 * coils)) * ny * nx * np.dtype(dtype).itemsize


def side_by_side(chains, sens):
    """How many of the chains go together: as many images as a CPU's cache holds, or as a GPU's memory has room for."""
    xp, shape = array_module(sens), sens.shape[-3:]
    if xp is np:
        room = CACHE_BYTES // sens[0].nbytes
    else:
        alone, both = (memory(shape, sens.dtype, number) for number in (1, 2))
        room = 1 + (available_memory(xp) - alone) // (both - alone)
    return int(np.clip(room, 1, chains))


def _batches(chains, start):
    """Ranges of the chains that go together."""
    size = side_by_side(chains, start.sens)
    return (range(first, min(first + size, chains)) for first in range(0, chains, size))


def _reconstructing(prior, data):
    """What of a PoGMDM is for reconstruction from several coils; with one nothing would hold what it takes too much."""
    return prior.reconstructing if isinstance(prior, PoGMDM) and not data.one_coil else prior


def _check(method, integers, numbers_):
    for name, least in integers.items():
        value = getattr(method, name)
        if not (isinstance(value, (int, np.integer)) and value >= least):
            raise ValueError(f"{name}: expected an integer >= {least}, got {value!r}")
    for name in numbers_:
        value = getattr(method, name)
        if not (isinstance(value, numbers.Real) and 0 < value < np.inf):
            raise ValueError(f"{name}: expected a number > 0, got {value!r}")


@dataclass(frozen=True)
class Map:
    """Joint maximum of the posterior by majorise-minimise steps (`samplers.joint_map`)."""

    name = "map"
    samples = None

    def steps(self, iterations, samples):
        """Number of iterations for one slice."""
        return iterations

    def prepare(self, prior, data, start, iterations):
        """The States on the way to the maximum."""
        return joint_map(_reconstructing(prior, data), data, start, sigma=data.sigma, iterations=iterations)

    def draws(self, prior, data, start, samples, seed):
        """None."""
        return iter(())

    def shape(self, samples):
        """Number of chains, and of draws of each."""
        return 1, 0


@dataclass(frozen=True)
class Gibbs(Map):
    """Posterior mean and standard deviation by Gibbs sampling around the joint maximum (`samplers.gibbs`).

    chains: started at the maximum; burn_in: sweeps of each that do not count; thin: sweeps from one
    sample to the next (mean and std use all); sigma: noise level of the prior, None: that of the maximum.
    """

    chains: int = 4
    burn_in: int = 10
    thin: int = 8
    sigma: float | None = None

    name = "gibbs"
    samples = 10
    CALIBRATION = 2.05  # learned on other images than it is tested on: benchmarks/calibration.py

    def __post_init__(self):
        _check(self, {"chains": 1, "burn_in": 0, "thin": 1}, [] if self.sigma is None else ["sigma"])

    def shape(self, samples):
        """Number of chains, and of draws of each."""
        chains = min(self.chains, samples)
        return chains, self.thin * -(-samples // chains)

    def steps(self, iterations, samples):
        """Number of iterations for one slice."""
        chains, draws = self.shape(samples)
        return iterations + chains * (self.burn_in + draws)

    def _level(self, data):
        """Noise level of the prior."""
        return self.sigma or data.sigma

    def spread(self, prior, data):
        """What the standard deviation of the draws is multiplied by.

        1 / alpha^(1/2) undoes their temperature, exactly where the posterior is Gaussian, CALIBRATION what is left.
        """
        return self.CALIBRATION / _reconstructing(prior, data).exponent(self._level(data)) ** 0.5

    def draws(self, prior, data, start, samples, seed):
        """(State, Draw) of every sweep of every chain."""
        prior, (chains, draws) = _reconstructing(prior, data), self.shape(samples)
        for batch in _batches(chains, start):
            rngs = [np.random.default_rng((*seed, chain)) for chain in batch]
            states = gibbs(prior, data, start, rngs, sigma=self._level(data), sweeps=self.burn_in + draws)
            for sweep, state in enumerate(states):
                round_, rest = divmod(sweep - self.burn_in + 1, self.thin)
                for number, chain in enumerate(batch):
                    place = chain + chains * (round_ - 1)
                    kept = rest == 0 and place < samples
                    yield state.chain(number), Draw(chain, place if kept else None) if sweep >= self.burn_in else None


@dataclass(frozen=True)
class Diffusion(Map):
    """Samples by Algorithm 1 of the paper, with its values (`samplers.diffusion`).

    num_levels N, num_corrector M, sigma_min, sigma_max, likelihood_step lambda, sens_step mu, snr r.
    come_closer: start at this noise level, from the noised start image (zero-filled, if none is given).
    sens_update: "h1", a gradient step of 1 / mu and the paper's smoothing, or "sobolev", that of the other methods.
    refine: accelerated gradient steps at the end, at sigma_min and fixed sensitivities: then samples become maxima.
    """

    num_levels: int = 1000
    num_corrector: int = 1
    sigma_min: float = 0.01
    sigma_max: float = 10.0
    likelihood_step: float = 1.0
    sens_step: float = 10.0
    snr: float = 0.16
    come_closer: float | None = None
    sens_update: str = "h1"
    refine: int = 0

    name = "diffusion"
    samples = 10

    def __post_init__(self):
        _check(self, {"num_levels": 2, "num_corrector": 0, "refine": 0},
               ["sigma_min", "sigma_max", "likelihood_step", "sens_step", "snr"])
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min: expected less than sigma_max {self.sigma_max}, got {self.sigma_min}")
        if self.come_closer is not None and not (isinstance(self.come_closer, numbers.Real)
                                                 and self.sigma_min < self.come_closer <= self.sigma_max):
            raise ValueError(f"come_closer: expected a number between sigma_min {self.sigma_min}"
                             f" and sigma_max {self.sigma_max}, got {self.come_closer!r}")
        if self.sens_update not in ("h1", "sobolev"):
            raise ValueError(f"sens_update: expected h1 or sobolev, got {self.sens_update!r}")

    @property
    def sigmas(self):
        """The noise levels, falling."""
        levels = schedules.exponential(self.sigma_min, self.sigma_max, self.num_levels)
        return levels if self.come_closer is None else [self.come_closer, *(s for s in levels if s < self.come_closer)]

    def steps(self, iterations, samples):
        """Number of iterations for one slice."""
        return samples * (len(self.sigmas) - 1 + self.refine)

    def spread(self, prior, data):
        """What the standard deviation of the samples is multiplied by."""
        return 1.0

    def prepare(self, prior, data, start, iterations):
        """None: the sampling starts from noise, or from the start itself."""
        return iter(())

    def shape(self, samples):
        """Number of chains, and of draws of each."""
        return samples, 1

    def draws(self, prior, data, start, samples, seed):
        """(State, Draw) of every level of every sample; only the last is a draw."""
        def update_sens(image, sens, coefficients, power):
            if self.sens_update == "h1":
                return h1_step(data.sampling, data.samples[:, None], image, sens, self.sens_step), None
            coefficients = data.fit.update(image, coefficients, sum(data.variances(power)),
                                           schedules.LAST_SENS_WEIGHT, SENS_CG, axes=OF_CHAIN)
            return data.fit.maps.forward(coefficients), coefficients

        last = self.steps(0, 1) - 1
        for batch in _batches(samples, start):
            rngs = [np.random.default_rng((*seed, sample)) for sample in batch]
            for step, state in enumerate(self._sample(prior, data, start, rngs, update_sens if data.fit else None)):
                for number, sample in enumerate(batch):
                    yield state.chain(number), Draw(sample, sample) if step == last else None

    def _sample(self, prior, data, start, rngs, update_sens):
        for state in diffusion(prior, data, start, rngs, sigmas=self.sigmas, num_corrector=self.num_corrector,
                               likelihood_step=self.likelihood_step, snr=self.snr, update_sens=update_sens):
            yield state
        if self.refine:
            yield from ascend(prior, data, state, sigma=self.sigma_min, steps=self.refine)


METHODS = {method.name: method for method in (Map, Gibbs, Diffusion)}
