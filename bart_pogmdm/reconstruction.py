"""The public call: k-space in, image and sensitivities out, in the caller's layout, scale and type."""

import numbers
import time
from dataclasses import dataclass

import numpy as np

from . import layout, noise
from .backend import array_module, complex_dtype, real_dtype
from .operators import CoilModel, Sampling, ifft2c, resample
from .prior import PoGMDM, load_prior
from .samplers import LEAST_VARIANCE, Data, graduated_map
from .sens import SensFit
from .solvers import conjugate_gradients

LOW_RADIUS = 0.06  # of the smaller side: the low-resolution image that fixes the scale
LEAST_RADIUS = 2.5  # ... in samples: in images below 42 samples less than that makes the scale too low
START_CG = 10      # of the start value that is missing: the image for known sensitivities, or these for a known image


@dataclass(frozen=True, eq=False)
class Result:
    """What `recon` returns, in the order, array library, device and precision of its k-space.

    image: complex, in data units; sens: coil sensitivities with image * sens = coil images;
    std: pixel-wise standard deviation of |image|, None for methods without one; info: what was done.
    """

    image: np.ndarray
    sens: np.ndarray
    std: np.ndarray | None
    info: dict


def recon(kspace, mask=None, *, prior=None, iterations=30, noise_std=None, sens=None, start=None,
          normalize=True, seed=0, callback=None):
    """Reconstruct image and coil sensitivities jointly from undersampled multi-coil k-space.

    Maximises p(x) p(c) prod_j N(z_j; M F (c_j x), noise_std^2) with the prior PoGMDM on the image and
    smooth sensitivities, by graduated majorise-minimise steps; no calibration scan is needed.

    kspace: complex, zero frequency at n // 2; (y, x) for one coil, (coil, y, x), or with four and more
        dimensions BART's (READ, PHS1, PHS2, COIL, …), looped over what follows COIL.
    mask: boolean or 0/1, (y, x) or a line that broadcasts to it, or in BART's dimensions; None: sampled where
        k-space is not zero.
    prior: a PoGMDM, the path of one, or None for the default.
    iterations: majorise-minimise steps.
    noise_std: of the data per real and imaginary part; None: estimated.
    sens: known sensitivities, of k-space's shape; None: estimated.
    start: an image to start from, in the shape and scale of the result.
    normalize: report the image times the RSS of the sensitivities, and these with RSS 1.
    seed: of methods that draw random numbers; this one draws none.
    callback: called with a `samplers.Step` after each iteration; its arrays are the solver's own.

    Returns a Result, whose info holds method, iterations, noise_std and scale (one number for each slice),
    seconds, name and hash of the prior, and seed.  Raises ValueError or TypeError that names the argument.
    """
    began = time.perf_counter()
    layout.check_kspace(kspace)
    xp, dtype = array_module(kspace), complex_dtype(kspace.dtype)
    prior = prior if isinstance(prior, PoGMDM) else load_prior(prior)
    if not (isinstance(iterations, (int, np.integer)) and iterations >= 1):
        raise ValueError(f"iterations: expected a positive integer, got {iterations!r}")
    if noise_std is not None and not (isinstance(noise_std, numbers.Real) and 0 <= noise_std < np.inf):
        raise ValueError(f"noise_std: expected a number >= 0, got {noise_std!r}")
    slices, masks = layout.slices(kspace), layout.mask_slices(mask, kspace)
    known_sens = None if sens is None else layout.slices(_like(sens, kspace.shape, dtype, xp, "sens"))
    if sens is not None and not bool((known_sens != 0).any()):
        raise ValueError("sens: all values are zero")
    shape = layout.image_shape(kspace.shape)
    starts = None if start is None else layout.slices(_like(start, shape, dtype, xp, "start"))

    image_out, sens_out = xp.empty(shape, kspace.dtype), xp.empty(kspace.shape, kspace.dtype)
    images, maps = layout.slices(image_out), layout.slices(sens_out)
    loop = slices.shape[:-3]
    stds, scales = np.empty(loop), np.empty(loop)
    for index in np.ndindex(loop):
        try:
            images[index][0], maps[index][...], stds[index], scales[index] = _recon_slice(
                slices[index], masks[index], prior, iterations, noise_std,
                None if known_sens is None else known_sens[index],
                None if starts is None else starts[index][0], normalize, callback)
        except ValueError as error:
            position = ", ".join(str(i) for i, n in zip(index, loop) if n > 1)
            raise ValueError(f"{error}{f' in slice {position}' if position else ''}") from None
    info = {"method": "map", "iterations": int(iterations), "noise_std": np.squeeze(stds)[()],
            "scale": np.squeeze(scales)[()], "seconds": time.perf_counter() - began,
            "prior": prior.name, "prior_hash": prior.digest, "seed": seed}
    return Result(image_out, sens_out, None, info)


def _like(array, shape, dtype, xp, name):
    """The argument as an array of a shape and type; ValueError otherwise."""
    array = xp.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype.kind not in "fc" or not bool(xp.isfinite(array).all()):
        raise ValueError(f"{name}: expected finite floating-point numbers, got {array.dtype}"
                         + (" with NaN or infinite ones" if array.dtype.kind in "fc" else ""))
    return array.astype(dtype)


def _recon_slice(kspace, mask, prior, iterations, noise_std, sens, start, normalize, callback):
    """Image (ny, nx), sens (J, ny, nx), noise_std and scale of one slice."""
    kspace = _checked(kspace, mask)
    noise_std = noise.estimate(kspace, mask) if noise_std is None else float(noise_std)
    scale = _scale(kspace)
    given_rss = None if sens is None else _rss(sens)
    unit_sens = None if sens is None else _divide(sens, given_rss)  # the prior knows images of maximum 1
    data = _data(kspace / scale, mask, noise_std / scale, sens)
    image, maps, coefficients = _starting_point(data, unit_sens, None if start is None else start / scale)
    image, maps = graduated_map(prior, data, image, maps, coefficients, iterations=iterations, callback=callback)
    image = image * scale
    if normalize:
        rss = _rss(maps)
        image, maps = image * rss, _divide(maps, rss)
    elif sens is not None:
        image, maps = _divide(image, given_rss), sens
    return image, maps, noise_std, scale


def _checked(kspace, mask):
    """kspace in native byte order and zero outside the mask; ValueError where there is nothing to reconstruct."""
    xp = array_module(kspace)
    if not bool((kspace != 0).any()):
        raise ValueError("kspace: all samples are zero")
    if not bool(mask.any()):
        raise ValueError("mask: expected at least one sample, got none")
    kspace = xp.where(mask, kspace, 0).astype(complex_dtype(kspace.dtype))
    if not bool(xp.isfinite(kspace).all()):
        raise ValueError("kspace: expected finite samples, got NaN or infinite ones")
    if not bool((kspace != 0).any()):
        raise ValueError("kspace: all samples are zero inside the mask")
    if not bool((kspace.imag != 0).any()):
        raise ValueError("kspace: expected complex samples, got real ones (all imaginary parts are zero)")
    return kspace


def _data(kspace, mask, noise_std, sens):
    """What the solver needs of a slice; with several coils and no sensitivities, also what finds these."""
    sampling = Sampling.centred(mask, real_dtype(kspace.dtype))
    fit = SensFit.of(kspace, mask) if sens is None and len(kspace) > 1 else None
    return Data(sampling, sampling.forward(ifft2c(kspace)), noise_std, fit)


def _starting_point(data, sens, image):
    """Image, sensitivities and their coefficients (None where sens is known) to start from."""
    xp = array_module(data.samples)
    if data.fit is None:
        sens = xp.ones_like(data.samples) if sens is None else sens
        if image is None:
            model = CoilModel(data.sampling, sens)
            image = conjugate_gradients(model.normal, model.adjoint(data.samples), iterations=START_CG)
        return image, sens, None
    if image is None:
        low, coefficients = data.fit.start()
        image = resample(low, data.sampling.mask.shape)
    else:
        nothing = xp.zeros((len(data.samples), *data.fit.low.weight.shape), data.samples.dtype)
        coefficients = data.fit.update(image, nothing, max(data.noise_std**2, LEAST_VARIANCE), 1, START_CG)
    return image, data.fit.maps.forward(coefficients), coefficients


def _scale(kspace):
    """What becomes 1: the 99.9 % quantile of the low-resolution RSS; from all samples where the centre is missing."""
    xp = array_module(kspace)
    low, full = (float(xp.quantile(_rss(images), 0.999)) for images in (_low_resolution(kspace), ifft2c(kspace)))
    return max(low, full / 4)  # with the centre, low is above a third of full


def _low_resolution(kspace):
    """Coil images from the centre of k-space under a Hann window."""
    xp, shape = array_module(kspace), kspace.shape[-2:]
    rows, columns = (xp.arange(n) - n // 2 for n in shape)
    radius = xp.hypot(rows[:, None], columns) / max(LOW_RADIUS * min(shape), LEAST_RADIUS)
    window = xp.where(radius < 1, 0.5 + 0.5 * xp.cos(np.pi * radius), 0)
    return ifft2c(kspace * window.astype(real_dtype(kspace.dtype)))


def _divide(array, rss):
    """array / rss, left alone where that is 0."""
    return array / array_module(rss).where(rss > 0, rss, 1)


def _rss(images):
    """Root sum of squares over the coils."""
    xp = array_module(images)
    return xp.sqrt((xp.abs(images) ** 2).sum(0))
