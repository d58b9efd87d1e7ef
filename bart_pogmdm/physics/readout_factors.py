"""Factors of readouts that see the same object at different amplitude and phase: z_js = a_s (F c_j x)(k_s).

On the way to the steady state the magnetisation falls, the field drifts, and eddy currents turn the phase with the
direction of the gradients.  Where every readout s passes the centre of k-space, the samples there tell a_s.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .coil_model import CoilModel
from .fourier import field_size, power_of_coils, resample
from .noncartesian import NonCartesianScan
from .nufft import Nufft
from .sensitivities import SensitivityModel
from .sensitivity_start import StartRules, joint_inversion
from .sobolev_maps import SobolevRules


@dataclass(frozen=True)
class ReadoutRules:
    """How the factors of readouts are found."""

    aligned: bool = True
    """Find the factors and divide by them; False takes the readouts as they are."""

    near: float = 1.0
    """Distance from zero frequency, in cycles per field of view (in a volume that of its planes along all axes), within
    which every readout must pass."""

    resolution: float = 48.0
    """Resolution of the image that readouts are compared with, in pixels per field of view: enough for factors."""

    rounds: int = 3
    """Rounds of image, sensitivities and factors in turn.  Factors that drift with the angle of the readouts look like
    a change of the object, and would need many more."""

    weakest: float = 0.25
    """Least magnitude of a factor: a readout divided by less would be mostly noise, so it is left out."""

    def __post_init__(self) -> None:
        check_fields(self)


def align(scan: NonCartesianScan, rules: ReadoutRules, sens: SobolevRules, start: StartRules) -> NonCartesianScan:
    """Return the scan with every readout divided by its factor and weighted by it, without the weakest readouts.

    A scan in which some readout misses the centre of k-space is returned as it is.
    """
    factors = readout_factors(scan, rules, sens, start) if rules.aligned else None
    return scan if factors is None else _divided(scan, factors, rules.weakest)


def _divided(scan: NonCartesianScan, factors: Array, weakest: float) -> NonCartesianScan:
    """Return the readouts that are strong enough, each divided by its factor, with its magnitude as a weight.

    So the samples times their weights have the noise that they had before.
    """
    scan = scan.part((abs(factors) > weakest)[scan.readouts])
    of_samples = factors[scan.readouts]
    magnitude = abs(of_samples)
    return replace(scan, samples=scan.samples / of_samples,
                   weights=magnitude if scan.weights is None else magnitude * scan.weights)


def readout_factors(scan: NonCartesianScan, rules: ReadoutRules, sens: SobolevRules,
                    start: StartRules) -> Array | None:
    """Return a_s of all readouts, or None if some readout misses the centre of k-space.

    Those that are strong enough have the mean square 1.  They are the least-squares fit to the prediction of a joint
    inversion at low resolution, which is repeated with the corrected readouts.
    """
    xp = array_module(scan.samples)
    field = field_size(scan.shape)
    # The partitions of a slab are far from each other in k-space.
    units = [field / n for n in scan.shape] if len(scan.shape) == 3 else [1.0, 1.0]
    near = reduce(xp.hypot, (points * unit for points, unit in zip(scan.points, units))) <= rules.near
    passes = xp.bincount(scan.readouts, near)
    measured = xp.bincount(scan.readouts) > 0
    if int(measured.sum()) < 2 or bool((passes[measured] == 0).any()):
        return None
    part = rules.resolution / field
    grid = tuple(min(n, 2 * int(np.ceil(part * n / 2))) for n in scan.shape)
    low = scan.low(grid, grid)
    power = xp.bincount(scan.readouts, near * power_of_coils(scan.samples)) / xp.where(measured, passes, 1)
    # Dead readouts would spoil the first image.
    factors = (power > rules.weakest**2 * xp.median(power[measured])).astype(scan.samples.dtype)
    sampling = Nufft(low.points, low.shape, low.samples.dtype.type)
    coefficients = None
    for _ in range(rules.rounds):
        model = SensitivityModel.of(_divided(low, factors, rules.weakest), sens)
        image, coefficients = joint_inversion(model, start, coefficients)
        coils = CoilModel(sampling, model.maps.forward(coefficients))
        predicted = coils.forward(resample(image, low.shape))
        product, energy = (predicted.conj() * low.samples).sum(0), power_of_coils(predicted)
        real, imaginary, energy = (xp.bincount(low.readouts, weights, len(measured))
                                   for weights in (product.real, product.imag, energy))
        factors = xp.where(measured, real + 1j * imaginary, 1) / xp.where(measured, energy, 1)
        energy = xp.abs(factors) ** 2
        strong = measured & (energy > rules.weakest**2 * energy[measured].mean())  # the others will be left out
        factors = (factors / xp.sqrt(energy[strong].mean())).astype(scan.samples.dtype)
    return factors
