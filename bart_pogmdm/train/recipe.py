"""The settings of a training run: `Config` holds the choices of the user, `Recipe` the rules found by experiments."""

from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array


@dataclass(frozen=True)
class Config:
    """The choices of the user: with the same images, the same Config gives the same prior on the same device."""

    steps: int = 100_000
    """Number of steps of the optimiser."""

    batch: int = 8
    """Patches a step, an even number: two of them are the real and the imaginary part of one complex image."""

    patch: int = 128
    """Side of a patch in pixels; at least 65, so that it holds a filter."""

    seed: int = 0
    """Seed of all random numbers."""

    sigma_min: float = 0.005
    """Least noise level, in images of maximum about 1.  A reconstruction uses a level as low as 0.015."""

    sigma_max: float = 0.5
    """Largest noise level; the levels are log-uniform."""

    phase: float = 0.0
    """Fraction of the patches that is multiplied by the cosine of a smooth random phase."""


@dataclass(frozen=True)
class InitialPriorRules:
    """The parameters of the prior before training, other than its filters."""

    gain: float = 0.6
    """Gain of every filter.  With 1 instead of 0.6 the trained prior reconstructs worse (MODEL_CARD.md)."""

    width: float = 0.1
    """Width of the Student-t shape of the initial weights, in units of the filter responses.  Like the responses of
    images, the shape has a peak at 0 and heavy tails."""

    components: int = 125
    """Number of components of an expert, as in the paper."""

    largest_mean: float = 0.5
    """Largest mean of the components, in units of the filter responses.  Beyond it the force grows, so that a smaller
    one costs up to 2.9 dB in a reconstruction (MODEL_CARD.md)."""

    base_std: float = 0.75
    """Standard deviation of the components, in distances between means.  Components of width 1 cannot form the sharp
    peak of a potential at 0 without ripples beside it (MODEL_CARD.md)."""

    @property
    def means(self) -> Array:
        """Equispaced means of the components, (components,)."""
        return np.linspace(-self.largest_mean, self.largest_mean, self.components)


@dataclass(frozen=True)
class PatchRules:
    """The choice of random patches."""

    least_mean: float = 0.02
    """A patch is kept if its mean exceeds a random number from 0 to least_mean, in images of maximum about 1:
    patches of air teach nothing."""

    phase_cycles: float = 1.0
    """Standard deviation of a linear term of the random phase, in cycles over twice the width of a patch: as smooth
    as the phase of coils and fields."""


@dataclass(frozen=True)
class StepSize:
    """The step size of a parameter."""

    rate: float
    """The size of a step in units of the parameter, for a gradient that does not change."""

    shared_axes: int = 0
    """Number of trailing axes over which AdaBelief averages the second moment.  A projection is orthogonal only if all
    entries that it couples have the same step size."""


@dataclass(frozen=True)
class AdaBeliefRules:
    """The constants of AdaBelief."""

    mean_decay: float = 0.95
    """Decay of the mean of the gradients in a step.  A longer mean than the published one of 0.9 has less noise."""

    variance_decay: float = 0.999
    """Decay of the second moment in a step, as published."""

    epsilon: float = 1e-12
    """This number is added to the root of the second moment to avoid a division by zero."""


@dataclass(frozen=True)
class OptimiserRules:
    """The steps of the optimiser, and the moving average of the parameters that becomes the prior."""

    lowpass: StepSize = StepSize(1e-3, shared_axes=1)
    """For h, whose entries are coupled by their sum."""

    directional: StepSize = StepSize(1e-3, shared_axes=2)
    """For P, whose entries are coupled by their absolute sum."""

    gains: StepSize = StepSize(3e-3)
    """For the gains.  Training changes them by about 70 %, the filters by less, so that their steps are larger."""

    weights: StepSize = StepSize(3e-3, shared_axes=1)
    """For the weights; those of each filter are coupled by their sum.  Training changes them by about 80 %."""

    adabelief: AdaBeliefRules = AdaBeliefRules()

    annealed: float = 0.5
    """Fraction of the steps, at the end, in which the step sizes fall to zero along a cosine: the parameters settle."""

    average_decay: float = 0.999
    """Decay of the moving average in a step, as in the paper: the average has less noise than the last step."""

    average_delay: int = 10
    """The decay at step n is at most n / (average_delay + n), so that the initial prior is soon forgotten."""


@dataclass(frozen=True)
class ValidationRules:
    """The validation: the images that are denoised, their noise levels, and the time of a validation."""

    levels: tuple[float, ...] = (0.025, 0.05, 0.1, 0.2)
    """Noise levels, in images of maximum about 1: from detail to rough shape."""

    interval: int = 500
    """Steps between validations.  Each also writes a checkpoint and a row of the log."""

    first: int = 2
    """Number of the first image that is taken from each series."""

    stride: int = 6
    """Distance of the images that are taken from each series: neighbouring slices are much alike."""

    images: int = 6
    """Largest number of images: a validation should take less time than the steps before it."""

    held_out: int = 20
    """Without other images for validation, one in this number of the training images is held out: enough to see
    whether training goes well."""


@dataclass(frozen=True)
class Recipe:
    """The rules of training, which determine the prior together with Config and the images."""

    initial: InitialPriorRules = InitialPriorRules()
    patches: PatchRules = PatchRules()
    optimiser: OptimiserRules = OptimiserRules()
    validation: ValidationRules = ValidationRules()

    sigma_doubled: float = 0.3
    """The loss at noise level sigma has the weight 1 + sigma / sigma_doubled.  Strong noise counts more, but so little
    that fine detail is not lost (MODEL_CARD.md)."""


DEFAULT_RECIPE = Recipe()


@dataclass(frozen=True)
class RuleSearch:
    """The search for the numbers of a trained prior that reconstructions choose, on simulated scans."""

    names: tuple[str, ...] = ("start", "fine_gain")
    """The numbers that are searched for, by their names in `PriorRules` and `ImageScale`."""

    step: float = 2**0.5
    """Factor between the values that are tried: within a step the PSNR hardly changes."""

    least_gain: float = 0.1
    """Least gain in mean PSNR, in dB, for which a number is changed: smaller ones depend on the images and masks."""

    images: int = 2
    """Largest number of validation images."""

    side: int = 256
    """Largest side of an image in pixels; larger ones are cut, to save time."""

    coils: int = 8
    """Number of simulated coils."""

    noise_stds: tuple[float, ...] = (0.005, 0.02)
    """Noise per real and imaginary part, in images of maximum about 1, of one image after the other."""

    masks: tuple[str, ...] = ("cartesian4", "radial40", "gaussian8")
    """Sampling masks of each image, by their names in `evaluate.masks`."""

    samples: int = 10
    """Draws from the posterior of each scan for the calibration: as many as a reconstruction has by default."""


DEFAULT_SEARCH = RuleSearch()


@dataclass(frozen=True)
class CalibrationScans:
    """The simulated scans that the calibration of a standard deviation is learned on."""

    scans: tuple[tuple[str, int], ...] = (
        ("cartesian3", 8), ("cartesian4", 8), ("cartesian6", 8), ("uniform3acs16", 8), ("radial32", 8),
        ("gaussian6", 8), ("cartesian3", 2), ("cartesian4", 2), ("radial32", 2), ("gaussian6", 2),
        ("cartesian3", 1), ("radial32", 1), ("gaussian6", 1))
    """Masks, by their names in `evaluate.masks`, and numbers of coils."""

    noise_stds: tuple[float, ...] = (0.005, 0.02, 0.05)
    """Noise per real and imaginary part, in images of maximum 1; each mask is simulated with each of them."""

    rounds: int = 4
    """How often each mask and noise is simulated, with other images."""

    side: int = 112
    """Longer side of an image in pixels: larger ones lose their high frequencies, to save time."""

    samples: int = 10
    """Draws from the posterior of each scan: as many as a reconstruction has by default."""


DEFAULT_SCANS = CalibrationScans()
