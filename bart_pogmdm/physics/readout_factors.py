"""Readouts that see the same object, each at its own amplitude and phase: z_js = a_s (F c_j x)(k_s) for readout s.

On the way to the steady state the magnetisation falls, the field drifts, and eddy currents turn the phase with the
direction of the gradients.  Where every readout passes the centre of k-space, the factors follow from there.
"""

from dataclasses import replace

import numpy as np

from ..arrays.modules import array_module
from .coil_model import coil_model, power_of_coils
from .fourier import resample
from .nufft import Nufft
from .sensitivities import SensFit

NEAR = 1.0       # cycles per field of view: within this distance of zero a readout sees the whole object
RESOLUTION = 48  # of the image that the readouts are compared with, in pixels per field of view
ROUNDS = 3       # of image, sensitivities and factors in turn
WEAKEST = 0.25   # of the factors: divided by less, a readout would be mostly noise


def align(scan):
    """The scan with every readout divided by its factor, without the weakest; as it is where one misses the centre."""
    gains = factors(scan)
    return scan if gains is None else _divided(scan, gains)


def _divided(scan, gains):
    """The readouts that are not too weak, each divided by its factor."""
    scan = scan.part((abs(gains) > WEAKEST)[scan.readouts])
    return replace(scan, samples=scan.samples / gains[scan.readouts])


def factors(scan):
    """a_s of all readouts of a scan that knows them, of mean square 1; None where some readout misses the centre.

    Least squares on what a joint inversion at low resolution predicts, in turn with that.
    """
    xp = array_module(scan.samples)
    near = xp.hypot(*scan.points) <= NEAR
    passes = xp.bincount(scan.readouts, near)
    measured = xp.bincount(scan.readouts) > 0
    if int(measured.sum()) < 2 or bool((passes[measured] == 0).any()):
        return None
    part = RESOLUTION / float(np.prod(scan.shape)) ** 0.5
    grid = tuple(min(n, 2 * int(np.ceil(part * n / 2))) for n in scan.shape)
    low = scan.low(grid, grid)
    power = xp.bincount(scan.readouts, near * power_of_coils(scan.samples)) / xp.where(measured, passes, 1)
    gains = (power > WEAKEST**2 * xp.median(power[measured])).astype(scan.samples.dtype)  # dead ones spoil the rest
    sampling = Nufft(low.points, low.shape, low.samples.dtype.type)
    for _ in range(ROUNDS):
        fit = SensFit.of(_divided(low, gains))
        image, coefficients = fit.start()
        predicted = coil_model(sampling, fit.maps.forward(coefficients)).forward(resample(image, low.shape))
        product, energy = (predicted.conj() * low.samples).sum(0), power_of_coils(predicted)
        real, imaginary, energy = (xp.bincount(low.readouts, weights, len(measured))
                                   for weights in (product.real, product.imag, energy))
        gains = xp.where(measured, real + 1j * imaginary, 1) / xp.where(measured, energy, 1)
        gains = (gains / xp.sqrt((xp.abs(gains[measured]) ** 2).mean())).astype(scan.samples.dtype)
    return gains
