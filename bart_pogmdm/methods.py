"""The methods of `recon` and their options.

`prepare` yields a State after each iteration to the maximum of the posterior, `draws` then (State, Draw) after each of
the sampling, Draw None where the state does not count as one.
"""

import numbers
from dataclasses import dataclass

import numpy as np

from . import schedule
from .samplers import SENS_CG, SIGMA, ascend, diffusion, gibbs, joint_map
from .sens import h1_step


@dataclass(frozen=True)
class Draw:
    """Which chain a draw is from, and its place among the samples (None: it counts in mean and std only)."""

    chain: int
    place: int | None


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
        return joint_map(prior, data, start, sigma=SIGMA, iterations=iterations)

    def draws(self, prior, data, start, samples, seed):
        """None."""
        return iter(())


@dataclass(frozen=True)
class Gibbs(Map):
    """Posterior mean and standard deviation by Gibbs sampling around the joint maximum (`samplers.gibbs`).

    chains: started at the maximum, after each other; burn_in: sweeps of each that do not count; thin: sweeps from one
    sample to the next (mean and std use all); sigma: noise level of the prior.
    """

    chains: int = 4
    burn_in: int = 10
    thin: int = 8
    sigma: float = SIGMA

    name = "gibbs"
    samples = 10
    CALIBRATION = 1.7  # learned on other images than it is tested on: benchmarks/calibration.py

    def __post_init__(self):
        _check(self, {"chains": 1, "burn_in": 0, "thin": 1}, ["sigma"])

    def _shape(self, samples):
        """Number of chains, and of sweeps in each."""
        chains = min(self.chains, samples)
        return chains, self.burn_in + self.thin * -(-samples // chains)

    def steps(self, iterations, samples):
        """Number of iterations for one slice."""
        chains, sweeps = self._shape(samples)
        return iterations + chains * sweeps

    def spread(self, prior):
        """What the standard deviation of the draws is multiplied by.

        1 / alpha^(1/2) undoes their temperature, exactly where the posterior is Gaussian, CALIBRATION what is left.
        """
        return self.CALIBRATION / prior.exponent(self.sigma) ** 0.5

    def draws(self, prior, data, start, samples, seed):
        """(State, Draw) of every sweep."""
        chains, sweeps = self._shape(samples)
        for chain in range(chains):
            rng = np.random.default_rng((*seed, chain))
            for sweep, draw in enumerate(gibbs(prior, data, start, rng, sigma=self.sigma, sweeps=sweeps)):
                round_, rest = divmod(sweep - self.burn_in + 1, self.thin)
                place = chain + chains * (round_ - 1)
                kept = rest == 0 and place < samples
                yield draw, Draw(chain, place if kept else None) if sweep >= self.burn_in else None


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
        levels = schedule.exponential(self.sigma_min, self.sigma_max, self.num_levels)
        return levels if self.come_closer is None else [self.come_closer, *(s for s in levels if s < self.come_closer)]

    def steps(self, iterations, samples):
        """Number of iterations for one slice."""
        return samples * (len(self.sigmas) - 1 + self.refine)

    def spread(self, prior):
        """What the standard deviation of the samples is multiplied by."""
        return 1.0

    def prepare(self, prior, data, start, iterations):
        """None: the sampling starts from noise, or from the start itself."""
        return iter(())

    def draws(self, prior, data, start, samples, seed):
        """(State, Draw) of every level; only the last of each sample is a draw."""
        def update_sens(image, sens, coefficients, power):
            if self.sens_update == "h1":
                return h1_step(data.sampling, data.samples, image, sens, self.sens_step), None
            coefficients = data.fit.update(image, coefficients, sum(data.variances(power)),
                                           schedule.LAST_SENS_WEIGHT, SENS_CG)
            return data.fit.maps.forward(coefficients), coefficients

        for sample in range(samples):
            states = self._sample(prior, data, start, np.random.default_rng((*seed, sample)),
                                  update_sens if data.fit else None)
            state = next(states)
            for following in states:
                yield state, None
                state = following
            yield state, Draw(sample, sample)

    def _sample(self, prior, data, start, rng, update_sens):
        for state in diffusion(prior, data, start, rng, sigmas=self.sigmas, num_corrector=self.num_corrector,
                               likelihood_step=self.likelihood_step, snr=self.snr, update_sens=update_sens):
            yield state
        if self.refine:
            yield from ascend(prior, data, state, sigma=self.sigma_min, steps=self.refine)


METHODS = {method.name: method for method in (Map, Gibbs, Diffusion)}
