"""The loops of reconstruction: joint MAP, Gibbs posterior, and Algorithm 1 of the paper.

Each is a generator of States: it starts from one and yields one after every iteration.  Those that draw run a chain for
each of the random generators, side by side; what a chain draws does not depend on the others.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from . import schedule
from .backend import array_module, at_least, complex_normal, fftn, for_each, ifftn, inner
from .brightness import following
from .operators import PLANE, CoilModel, Sampling, coil_model, power_of_coils
from .phase import Phase
from .rings import Rings
from .sens import SensFit
from .solvers import conjugate_gradients

SIGMA = 0.015  # noise level of the prior in MAP and Gibbs, where the image has maximum 1,
ONE_COIL_SIGMA = 0.0075  # ... and with one coil
CONTINUATION = 0.5  # the variance of the likelihood is this part of the current residual's,
NOISY = 0.03        # ... still less in noise: half of that where the residual's standard deviation is this
TEMPERATURE = 0.25  # ... at least (TEMPERATURE noise_std)^2,
LEAST_VARIANCE = 1e-9  # ... and this, for data without noise
EXCESS = 3         # times what the residual of a ring exceeds that of all by, is its variance,
LARGEST_ERROR = 0.03  # ... of the residual as far as it is this part of the signal
IMAGE_CG = 3
SENS_CG = 4
DRAW_CG = 6        # of a drawn image: more, because what is missing to the solution is missing in the variance


@dataclass(frozen=True, eq=False)
class Data:
    """One slice, ready for a solver: scaled to an image of maximum about 1.

    samples z of J coils in the form of `sampling`; noise_std per real and imaginary part.
    """

    sampling: Sampling
    samples: np.ndarray
    noise_std: float
    fit: SensFit | None  # None: the sensitivities are known

    def in_units(self, unit):
        """The same with images divided by `unit`."""
        fit = self.fit and replace(self.fit, samples=self.fit.samples / unit)
        return replace(self, samples=self.samples / unit, noise_std=self.noise_std / unit, fit=fit)

    @property
    def one_coil(self):
        """Whether there is nothing that takes what the image cannot: sensitivities, or what other coils say."""
        return len(self.samples) == 1

    @property
    def sigma(self):
        """Noise level of the prior that goes with the data, for images in their units."""
        return ONE_COIL_SIGMA if self.one_coil else SIGMA

    def variances(self, power):
        """Variance v of the likelihood, and of the residual, of |A x - z|^2 of each sample, summed over the coils.

        What exceeds the noise in the residual is an error of the model, and counts in full.  Of chains (S, 1, 1).
        """
        residual_var = self._mean(power) / (2 * len(self.samples))
        least = max((TEMPERATURE * self.noise_std) ** 2, LEAST_VARIANCE)
        variance = at_least(residual_var - self.noise_std**2, CONTINUATION * residual_var)
        return at_least(variance / _confidence(residual_var), least), residual_var

    def _mean(self, power):
        """The sum over the samples by their number."""
        chains = power.shape[:power.ndim + 1 - self.samples.ndim]
        total = power.reshape(*chains, -1).sum(-1).reshape(*chains, 1, 1) if chains else power.sum()
        return (float(total) if array_module(power) is np and not chains else total) / self.sampling.count

    @cached_property
    def rings(self):
        """Rings of the samples."""
        return Rings.of(self._radii[0], self.sampling.count)

    @cached_property
    def _signal(self):
        """|z|^2 summed over the coils, mean in each ring."""
        return self.rings.means(power_of_coils(self.samples))

    @cached_property
    def _radii(self):
        """Distances of the samples, and of those of `fit`, from zero frequency."""
        return [part.sampling.radius(self.sampling.shape) for part in (self, self.fit)]

    def weighted(self, power):
        """The same with weights v / max(v, excess) of the samples, from |A x - z|^2 of each, summed over the coils.

        excess: what the residual's variance in a ring of k-space is above its mean and the noise, EXCESS times: maps
        that are not quite right leave most where there is most signal.  No more than LARGEST_ERROR of the signal
        counts: what is trusted less is fitted less, leaves more, and would be trusted less and less.
        """
        xp, (variance, residual_var) = array_module(power), self.variances(power)
        ring_power = xp.minimum(self.rings.means(power), LARGEST_ERROR**2 * self._signal)
        ring_var = ring_power / (2 * len(self.samples))
        excess = EXCESS * (ring_var - residual_var - self.noise_std**2) / _confidence(residual_var)
        ratio = xp.log(xp.maximum(excess / variance, 1))
        weights, of_fit = (xp.exp(-self.rings.interpolate(ratio, radius)).astype(power.dtype)
                           for radius in self._radii)
        return replace(self, sampling=self.sampling.weighted(weights), fit=self.fit.weighted(of_fit))


def _confidence(residual_var):
    """By how much less than the residual's the variance of the likelihood should be: the more, the more noise."""
    return 1 + residual_var**0.5 / NOISY


@dataclass(frozen=True, eq=False)
class State:
    """Image (ny, nx), sensitivities (J, ny, nx) and their coefficients (None where they are known).

    With several sets or chains: image (S, ny, nx), sensitivities and coefficients (J, S, …).

    After an iteration, also the noise level of the prior, the standard deviation of the residual before it, and the
    unit of all this in the data's.
    """

    image: np.ndarray
    sens: np.ndarray
    coefficients: np.ndarray | None
    sigma: float | None = None
    residual_std: float | None = None
    unit: float = 1.0

    def repeated(self, count):
        """The same in each of `count` chains."""
        xp = array_module(self.image)
        image = xp.stack([self.image] * count)
        sens, coefficients = (None if array is None else xp.stack([array] * count, 1)
                              for array in (self.sens, self.coefficients))
        return State(image, sens, coefficients)

    def chain(self, number):
        """One of the chains."""
        coefficients = None if self.coefficients is None else self.coefficients[:, number]
        return State(self.image[number], self.sens[:, number], coefficients, self.sigma,
                     self.residual_std.reshape(-1)[number])


def joint_map(prior, data, start, *, sigma, iterations):
    """Joint maximum of the posterior by majorise-minimise steps; yields the State of each.

    Each step takes the smooth phase e of the image, and minimises the quadratic majoriser of -log p_sigma(e* x) +
    ||A x - z||^2 / (2 v), which is diagonal in Fourier space but for e; then the sensitivities follow.  With one
    coil nothing takes what phase is not smooth, nor the brightness that the start lacks: there the phase is trusted as
    far as the image has it (the majoriser stays as it is), and the unit follows the image.
    """
    image, coefficients, unit = start.image, start.coefficients, 1.0
    previous, model = image, coil_model(data.sampling, start.sens)
    hessian = prior.curvature(image.shape[-2:], sigma, array_module(image))
    for momentum, weight in zip(schedule.momentum(iterations), schedule.sens_weights(iterations)):
        extrapolated = image + momentum * (image - previous)
        gradient, power = model.gradient(extrapolated, data.samples)
        variance, residual_var = data.variances(power)
        phase = Phase.of(extrapolated, trusted=not data.one_coil)
        descent = phase.ascent(lambda image: prior.score(image, sigma), extrapolated) - gradient / variance
        previous = image
        image = extrapolated + newton_step(model, hessian, phase.turn, descent, variance, IMAGE_CG)
        if data.fit:
            weighted = data.weighted(power)
            coefficients = weighted.fit.update(image, coefficients, variance + residual_var, weight, SENS_CG)
            model = coil_model(weighted.sampling, data.fit.maps.forward(coefficients))
        elif data.one_coil:
            step = following(model.sens[0] * image, unit)
            image, previous, data, unit = image / step, previous / step, data.in_units(step), unit * step
            residual_var = residual_var / step**2
        yield State(image, model.sens, coefficients, sigma, residual_var**0.5, unit)


def gibbs(prior, data, start, rngs, *, sigma, sweeps):
    """Draws of image and sensitivities from the posterior at temperature alpha; yields the State of all chains.

    (p_sigma(e* x) N(z; A x, v))^(1/alpha) with the phase e of the start and alpha = prior.exponent(sigma):
    p_sigma^(1/alpha) is a product of mixtures.  Drawing the component of every filter response makes the rest
    Gaussian, and a draw from that is a majorise-minimise step for perturbed data, by CG; with one coil about so, where
    the phase is trusted in part.
    Kuric et al., The Gaussian latent machine, arXiv 2505.12836.
    """
    hessian, temperature = prior.curvature(start.image.shape, sigma, array_module(start.image)), prior.exponent(sigma)
    root, phase = hessian**0.5, Phase.of(start.image, trusted=not data.one_coil)
    start_power = CoilModel(data.sampling, start.sens).gradient(start.image, data.samples)[1]
    variance, residual_var = data.variances(start_power)
    weighted = data.weighted(start_power) if data.fit else data
    start, samples = start.repeated(len(rngs)), data.samples[:, None]

    def white():
        return _filter(root, _white(rngs, start.image))

    image, coefficients, model = start.image, start.coefficients, CoilModel(weighted.sampling, start.sens)
    for _ in range(sweeps):
        gradient, power = model.gradient(image, samples)
        noise = for_each(rngs, lambda rng: weighted.sampling.noise(rng, data.samples), 1)
        perturbation = model.adjoint(noise) / variance**0.5 + phase.noise(white)
        drawn = phase.ascent(lambda image: prior.drawn_score(image, sigma, rngs), image)
        descent = drawn - gradient / variance + temperature**0.5 * perturbation
        image = image + newton_step(model, hessian, phase.turn, descent, variance, DRAW_CG)
        if data.fit:
            coefficients = weighted.fit.draw(image, coefficients, variance + residual_var, schedule.LAST_SENS_WEIGHT,
                                             SENS_CG, temperature, rngs)
            model = CoilModel(weighted.sampling, data.fit.maps.forward(coefficients))
        yield State(image, model.sens, coefficients, sigma, data.variances(power)[1] ** 0.5)


def diffusion(prior, data, start, rngs, *, sigmas, num_corrector, likelihood_step, snr, update_sens):
    """Algorithm 1 of the paper: predictor-corrector steps down the noise levels; yields the State of all chains.

    `sigmas` fall; the start is noised to the first.  update_sens(image, sens, coefficients, power) returns the
    sensitivities and their coefficients; None where they are known.
    """
    start, samples = start.repeated(len(rngs)), data.samples[:, None]
    image, sens, coefficients = start.image, start.sens, start.coefficients
    image = image + sigmas[0] * _white(rngs, image)                                           # line 1
    for sigma, sigma_next in pairwise(sigmas):                                                # 2
        model = CoilModel(data.sampling, sens)
        image = _predict(prior, image, sigma, sigma_next, rngs)                               # 3-5
        gradient, power = model.gradient(image, samples)
        image = image - likelihood_step * data.sampling.equalize(gradient)                    # 6
        for _ in range(num_corrector):                                                        # 7
            image = _correct(prior, image, sigma_next, snr, rngs)                             # 8-10
            gradient, power = model.gradient(image, samples)
            image = image - likelihood_step * data.sampling.equalize(gradient)                # 11
        if update_sens:
            sens, coefficients = update_sens(image, sens, coefficients, power)                # 12
        yield State(image, sens, coefficients, sigma_next, data.variances(power)[1] ** 0.5)


def _white(rngs, images):
    """Noise of standard deviation 1 like the images (S, ny, nx) of chains."""
    return for_each(rngs, lambda rng: complex_normal(rng, images[0]))


def _predict(prior, image, sigma, sigma_next, rngs):
    """One step of the reverse diffusion: x + (sigma^2 - sigma_next^2) score(x, sigma) + noise of that variance."""
    variance = sigma**2 - sigma_next**2
    return image + variance * prior.score(image, sigma) + variance**0.5 * _white(rngs, image)


def _correct(prior, image, sigma, snr, rngs):
    """One Langevin step at a noise level, of size 2 (snr ||n|| / ||score||)^2.

    Y. Song et al., Score-based generative modeling through stochastic differential equations, arXiv 2011.13456.
    """
    score, noise = prior.score(image, sigma), _white(rngs, image)
    step = 2 * snr**2 * inner(noise, noise, PLANE) / at_least(inner(score, score, PLANE), 1e-30)
    return image + step * score + (2 * step) ** 0.5 * noise


def ascend(prior, data, start, *, sigma, steps):
    """Maximum of the posterior at fixed sensitivities by accelerated gradient steps; yields the State of all chains.

    Of size 1 / L, L a Lipschitz constant of the gradient of -log p_sigma(x) + ||A x - z||^2 / (2 v).
    """
    image, sens, samples = start.image, start.sens, data.samples[:, None]
    previous, model, xp = image, CoilModel(data.sampling, sens), array_module(image)
    variance, _ = data.variances(model.gradient(image, samples)[1])
    brightest = data.sampling.norm * (xp.abs(sens) ** 2).sum(0).max(PLANE, keepdims=True)
    steepest = prior.curvature(image.shape[-2:], sigma, xp).max() + brightest / variance
    for momentum in schedule.momentum(steps):
        extrapolated = image + momentum * (image - previous)
        gradient, power = model.gradient(extrapolated, samples)
        descent = prior.score(extrapolated, sigma) - gradient / variance
        previous, image = image, extrapolated + descent / steepest
        yield State(image, sens, start.coefficients, sigma, data.variances(power)[1] ** 0.5)


def newton_step(model, hessian, phase, descent, variance, iterations):
    """d with (A^H A / v + e H e*) d = descent by CG, H diagonal in Fourier space, e a phase in image space.

    H and the diagonal of A^H A there precondition it: for one coil and e = 1 that is exact.
    """
    def normal(image):
        return model.normal(image) / variance + phase * _filter(hessian, phase.conj() * image)

    inverse = 1 / (hessian + model.density / variance)
    return conjugate_gradients(normal, descent, iterations=iterations, axes=model.axes,
                               precondition=lambda image: _filter(inverse, image))


def _filter(factor, image):
    """The image with its spectrum multiplied by a factor."""
    return ifftn(factor * fftn(image))
