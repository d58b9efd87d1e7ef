"""The public call: k-space in, image and sensitivities out, in the caller's layout, scale and type."""

import numbers
import time
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from ..algorithms.problem import LEAST_VARIANCE, Problem
from ..algorithms.state import State
from ..algorithms.statistics import Moments, Welford
from ..arrays.bart_dims import BATCH, COIL, pad_dims
from ..arrays.conjugate_gradients import conjugate_gradients
from ..arrays.devices import available_memory, choose
from ..arrays.modules import array_module, complex_dtype, move
from ..physics.cartesian import CartesianScan
from ..physics.coil_model import CoilModel, coil_model, rss
from ..physics.noncartesian import NonCartesianScan, image_size
from ..physics.nufft import library
from ..physics.readout_factors import align
from ..physics.sensitivities import SensFit
from ..prior.image_scale import START_BRIGHTNESS, brightest
from ..prior.prior_file import load_prior
from . import layout
from .methods import METHODS, memory, side_by_side

START_CG = 5  # of the start value that is missing: the image, or the sensitivities for a known image
MAPS_MISFIT = "maps: 2 goes with method map, unknown sens and normalize only"


@dataclass(frozen=True, eq=False)
class Result:
    """What `recon` returns, in the order, array library, device and precision of its k-space.

    image: complex, in data units, the posterior mean where a method samples; sens: coil sensitivities with
    image * sens = coil images; std: pixel-wise standard deviation of |image|, None for methods without one;
    samples: with keep_samples (samples, y, x), or in BART's order along BATCH; info: what was done;
    coefficients: of the sensitivities of the last slice, for `neighbour`.
    """

    image: np.ndarray
    sens: np.ndarray
    std: np.ndarray | None
    info: dict
    samples: np.ndarray | None = None
    coefficients: np.ndarray | None = field(default=None, repr=False)

    def plot(self):
        """A matplotlib Figure of image, sensitivities and standard deviation (`evaluate.view`); notebooks show it."""
        from ..plot.reconstruction_picture import figure
        return figure(self.image, self.sens, self.std)


@dataclass(frozen=True)
class Step:
    """What a callback sees after each iteration; image and sens in the scale of the solver.

    With one coil that follows the image until the maximum is found; `scale` of the result's info is the last one.
    """

    iteration: int
    iterations: int
    sigma: float
    residual_std: float
    image: np.ndarray
    sens: np.ndarray


def recon(kspace, mask=None, *, traj=None, dims=None, method=None, samples=None, prior=None, iterations=40,
          noise_std=None, sens=None, start=None, neighbour=None, maps=1, normalize=True, keep_samples=False, seed=0,
          first=0, device=None, callback=None):
    """Reconstruct image and coil sensitivities jointly from undersampled multi-coil k-space.

    p(x, c | z) ∝ p(x) p(c) prod_j N(z_j; M F (c_j x), noise_std^2) with the prior PoGMDM on the image and
    smooth sensitivities: its maximum, or its mean and standard deviation.  No calibration scan is needed.
    With a trajectory M F is the Fourier transform at its points, by finufft (cufinufft on a GPU).

    kspace: complex, zero frequency at n // 2; (y, x) for one coil, (coil, y, x), or with four and more
        dimensions BART's (READ, PHS1, PHS2, COIL, …), looped over what follows COIL.
    mask: boolean or 0/1, (y, x) or a line that broadcasts to it, or in BART's dimensions; None: sampled where
        k-space is not zero.
    traj: trajectory in cycles per field of view, as `bart traj` writes it: (3, samples, spokes, …) for kspace
        (1, samples, spokes, COIL, …); kspace may also be (coil, spokes, samples), or (spokes, samples) for one coil,
        and traj then (spokes, samples, 2), y and x.  Samples that are zero in all coils are left out.
    dims: with traj, size (y, x) of the image, READ and PHS1 in BART's order; None: the smallest even one that holds the
        trajectory, as in BART.  The field of view is that of traj; samples beyond the size are left out.
    method: "map", the maximum; "gibbs", mean and std around it; "diffusion", Algorithm 1 of the paper; or one of
        `methods` with its options, as Gibbs(chains=8).  None: "gibbs" where samples are asked for, else "map".
    samples: draws from the posterior; 10 where the method samples.
    prior: a PoGMDM, the path of one, or None for the default; for the maximum, any object with its score and curvature,
        for "diffusion" with the score, of images (samples, y, x).
    iterations: majorise-minimise steps to the maximum ("map" and "gibbs").
    noise_std: of the data per real and imaginary part; None: estimated.
    sens: known sensitivities, of the shape of the result's; None: estimated.
    start: an image to start from, in the shape and scale of the result.
    neighbour: the `coefficients` of the Result of a similar slice: where the sensitivities start from, to save time.
    maps: 2 for an object larger than the field of view, so that it folds over: another image with its own
        sensitivities for what lies behind the first, and the result for both together; "map" only.
    normalize: report the image times the RSS of the sensitivities, and these with RSS 1.
    keep_samples: return the samples, too; they need their own memory.
    seed: each chain or sample of each slice draws from its own child of it.
    first: number of the first slice, where k-space is a part of a larger array: the draws are those of the whole.
    device: "cpu", "gpu", "auto" (a GPU if there is one); None: where k-space is.  The result is where k-space is.
    callback: called with a `Step` after each iteration; its arrays are the solver's own.

    Returns a Result, whose info holds method, iterations, samples, noise_std, scale and the final residual_std (one
    number for each slice), the median rhat and the effective sample size ess of chains, seconds, name and hash of the
    prior, seed, and the estimated memory of the solver in bytes.  Raises ValueError or TypeError that names the
    argument, MemoryError for too many samples to keep, ImportError where a trajectory lacks finufft.
    """
    began = time.perf_counter()
    layout.check_kspace(kspace, is_cartesian=traj is None)
    xp, dtype = array_module(kspace), complex_dtype(kspace.dtype)
    if (there := choose(device, kspace)) is not xp:
        kspace, mask, traj, sens, start, neighbour = (
            array if array is None else move(array, there) for array in (kspace, mask, traj, sens, start, neighbour))
        result = recon(kspace, mask, traj=traj, dims=dims, method=method, samples=samples, prior=prior,
                       iterations=iterations, noise_std=noise_std, sens=sens, start=start,
                       neighbour=neighbour, maps=maps, normalize=normalize, keep_samples=keep_samples, seed=seed,
                       first=first, callback=callback)
        names = ("image", "sens", "std", "samples", "coefficients")
        return replace(result, **{name: move(getattr(result, name), xp) for name in names})
    method, samples, prior = check_options(method, samples, prior, iterations, noise_std, maps, normalize, seed, first)
    if maps == 2 and sens is not None:
        raise ValueError(MAPS_MISFIT)
    if neighbour is not None and not (sens is None and start is None):
        raise ValueError("neighbour: goes with unknown sens and no start")
    scans, coil_shape = _scans(kspace, mask, traj, dims)
    known_sens = None if sens is None else layout.slices(_like(sens, coil_shape, dtype, xp, "sens"))
    if sens is not None and not bool((known_sens != 0).any()):
        raise ValueError("sens: all values are zero")
    shape = layout.image_shape(coil_shape)
    starts = None if start is None else layout.slices(_like(start, shape, dtype, xp, "start"))
    if start is not None and not bool((starts != 0).any((-1, -2)).all()):
        raise ValueError("start: all values are zero" + (" in some slice" if starts.ndim > 3 else ""))

    image_out, sens_out = xp.empty(shape, kspace.dtype), xp.empty(coil_shape, kspace.dtype)
    std_out = None if samples is None else xp.empty(shape, kspace.real.dtype)
    kept = _room_for_samples(samples, shape, kspace.dtype, xp) if keep_samples and samples else None
    images, all_sens = layout.slices(image_out), layout.slices(sens_out)
    loop, found = all_sens.shape[:-3], {}
    total, counter = method.steps(iterations, samples) * int(np.prod(loop)), count(1)

    coefficients = None

    def report(state):
        nonlocal coefficients
        coefficients = state.coefficients
        if callback:
            callback(Step(next(counter), total, state.sigma, float(state.residual_std), state.image, state.sens))

    for number, index in enumerate(np.ndindex(loop), int(first)):
        try:
            images[index][0], all_sens[index][...], std, facts = _recon_slice(
                scans(index), prior, method, iterations, samples, maps, (int(seed), number), noise_std,
                None if known_sens is None else known_sens[index],
                None if starts is None else starts[index][0], neighbour, normalize,
                None if kept is None else [layout.slices(sample)[index][0] for sample in kept], report)
        except ValueError as error:
            position = ", ".join(str(i) for i, n in zip(index, loop) if n > 1)
            raise ValueError(f"{error}{f' in slice {position}' if position else ''}") from None
        except MemoryError as error:
            if xp is np or not isinstance(error, xp.cuda.memory.OutOfMemoryError):  # it says already what to do
                raise
            needed = memory(all_sens.shape[-3:], dtype, 1) / 2**20
            raise MemoryError(f"kspace: the GPU's memory does not hold what a slice needs, about {needed:.3g} MiB:"
                              " use the CPU") from error
        if samples is not None:
            layout.slices(std_out)[index][0] = std
        for key, value in facts.items():
            found.setdefault(key, np.empty(loop))[index] = value
    info = {"method": method.name, "iterations": int(iterations), "samples": samples,
            **{key: np.squeeze(values)[()] for key, values in found.items()},
            "seconds": time.perf_counter() - began, "prior": prior.name, "prior_hash": prior.digest, "seed": int(seed),
            "memory": memory(all_sens.shape[-3:], dtype, side_by_side(method.shape(samples)[0], all_sens))}
    return Result(image_out, sens_out, std_out, info, _along_batch(kept), coefficients)


def check_options(method, samples, prior, iterations, noise_std, maps, normalize, seed, first=0):
    """The method object, its number of samples (None: it draws none), and the prior, of arguments of `recon`.

    ValueError or TypeError that names the one that is wrong.
    """
    method, samples = _method(method, samples)
    prior = prior if hasattr(prior, "score") else load_prior(prior)
    if not (isinstance(iterations, (int, np.integer)) and iterations >= 1):
        raise ValueError(f"iterations: expected a positive integer, got {iterations!r}")
    if noise_std is not None and not (isinstance(noise_std, numbers.Real) and 0 <= noise_std < np.inf):
        raise ValueError(f"noise_std: expected a number >= 0, got {noise_std!r}")
    for name, number in (("seed", seed), ("first", first)):
        if not (isinstance(number, (int, np.integer)) and number >= 0):
            raise ValueError(f"{name}: expected an integer >= 0, got {number!r}")
    if maps not in (1, 2):
        raise ValueError(f"maps: expected 1 or 2, got {maps!r}")
    if maps == 2 and (method.name != "map" or not normalize):
        raise ValueError(MAPS_MISFIT)
    return method, samples, prior


def _scans(kspace, mask, traj, dims):
    """A function of the loop's index that gives the slice as measured, and the shape of the sensitivities."""
    if traj is None:
        if dims is not None:
            raise ValueError("dims: goes with traj; without a trajectory k-space says the size")
        slices, masks = layout.slices(kspace), layout.mask_slices(mask, kspace)
        return lambda index: _cartesian(slices[index], masks[index]), kspace.shape
    if mask is not None:
        raise ValueError("mask: does not go with traj; leave out the samples, or set them to zero in all coils")
    library(array_module(kspace))
    samples, points, readouts = layout.sample_slices(kspace), layout.points(traj, kspace), layout.readouts(kspace)
    size = image_size((points[..., 0, :], points[..., 1, :])) if dims is None else _size(dims)
    shape = (*kspace.shape[:-2], *size) if kspace.ndim <= 3 else (*size, 1, *kspace.shape[COIL:])

    def scan(index):
        return align(NonCartesianScan.of(_checked(samples[index]), points[index], size, readouts))

    return scan, shape


def _size(dims):
    """Two sizes of an image."""
    sizes = tuple(dims) if isinstance(dims, (tuple, list, np.ndarray)) else ()
    if len(sizes) != 2 or not all(isinstance(n, (int, np.integer)) and n >= 2 for n in sizes):
        raise ValueError(f"dims: expected two integers >= 2, (y, x), got {dims!r}")
    return tuple(map(int, sizes))


def _method(method, samples):
    """The method object and its number of samples (None: it draws none)."""
    if method is None:
        method = "map" if samples is None else "gibbs"
    if isinstance(method, str) and method in METHODS:
        method = METHODS[method]()
    if not isinstance(method, tuple(METHODS.values())):
        raise ValueError(f"method: expected {', '.join(METHODS)} or an object of bart_pogmdm.methods, got {method!r}")
    if samples is not None and not (isinstance(samples, (int, np.integer)) and samples >= 1):
        raise ValueError(f"samples: expected a positive integer, got {samples!r}")
    if samples is not None and method.samples is None:
        raise ValueError(f"samples: method {method.name} draws none")
    return method, method.samples if samples is None else int(samples)


def _room_for_samples(samples, shape, dtype, xp):
    """An array (samples, *shape); MemoryError where it would not fit."""
    if len(shape) > BATCH and shape[BATCH] > 1:
        raise ValueError(f"keep_samples: the samples lie along BATCH, where k-space has {shape[BATCH]} already")
    needed, available = samples * int(np.prod(shape)) * np.dtype(dtype).itemsize, available_memory(xp)
    if needed > available:
        raise MemoryError(f"samples: keeping {samples} needs {needed / 2**30:.3g} GiB,"
                          f" {available / 2**30:.3g} GiB are available")
    return xp.empty((samples, *shape), dtype)


def _along_batch(kept):
    """Samples (samples, *image) in the caller's order: first for up to three dimensions, else along BATCH."""
    if kept is None or kept.ndim <= 3:
        return kept
    shape = pad_dims(kept.shape[1:])[:BATCH]
    return array_module(kept).moveaxis(kept.reshape(len(kept), *shape), 0, -1)


def _like(array, shape, dtype, xp, name):
    """The argument as an array of a shape and type; ValueError otherwise."""
    array = xp.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if array.dtype.kind not in "fc" or not bool(xp.isfinite(array).all()):
        raise ValueError(f"{name}: expected finite floating-point numbers, got {array.dtype}"
                         + (" with NaN or infinite ones" if array.dtype.kind in "fc" else ""))
    return array.astype(dtype)


def _recon_slice(scan, prior, method, iterations, samples, maps, seed, noise_std, sens, start, neighbour, normalize,
                 kept, report):
    """Image (ny, nx), sens (J, ny, nx), std (None without samples) and facts of one slice; the samples go to `kept`."""
    noise_std = float(scan.noise_std() if noise_std is None else noise_std)
    given_rss = None if sens is None else rss(sens)
    unit_sens = None if sens is None else _divide(sens, given_rss)  # the prior knows the scale of the image only
    data = _data(scan, noise_std, sens)
    scale = brightest(rss(data.sampling.adjoint(data.samples.copy())))
    data = data.in_units(scale)
    start = _starting_point(data, unit_sens, None if start is None else start / scale, neighbour)
    unit = brightest(start.image * rss(start.sens)) / START_BRIGHTNESS
    data, start, scale = data.in_units(unit), replace(start, image=start.image / unit), scale * unit
    if maps == 2:
        if not data.fit:
            raise ValueError("maps: 2 needs several coils, got one")
        start = _with_second_set(data, start)
    result, moments, residual_var = None, Moments(method.shape(samples)[1]), Welford()
    for result in method.prepare(prior, data, start, iterations):
        report(result)
    if result and result.unit != 1:
        data, scale = data.in_units(result.unit), scale * result.unit
    for state, draw in method.draws(prior, data, result or start, samples, seed):
        report(state)
        if draw:
            result = result or state
            image = _combined(state, result.sens)
            moments.add(image, draw.chain)
            residual_var.add(state.residual_std**2)
            if kept and draw.place is not None:
                kept[draw.place][...] = image
    if result.sens.ndim > 3:
        result = _sets_together(result)
    weight, std = rss(result.sens), None
    facts = {"noise_std": noise_std, "scale": scale, "residual_std": result.residual_std * scale}
    if samples is None:
        image = result.image * weight
    else:
        image, spread = moments.mean, method.spread(prior, data)
        std = spread * moments.std
        facts |= {**dict(zip(("rhat", "ess"), moments.convergence())), "residual_std": residual_var.mean**0.5 * scale}
    units, unit_sens = scale, _divide(result.sens, weight)
    if not normalize:
        units, unit_sens = (_divide(scale, weight), result.sens) if sens is None else (_divide(scale, given_rss), sens)
    for sample in kept or ():
        sample[...] = (image + spread * (sample - image)) * units
    return image * units, unit_sens, None if std is None else std * units, facts


def _with_second_set(data, start):
    """The State with another set, whose sensitivities fit what the first leaves of the data, and the images of both."""
    xp, variance = array_module(start.image), max(data.noise_std**2, LEAST_VARIANCE)
    second = data.fit.second_set(start.image, start.coefficients, variance, START_CG)
    coefficients = xp.stack([start.coefficients, second], 1)
    sens = data.fit.maps.forward(coefficients)
    return State(_first_image(coil_model(data.sampling, sens), data), sens, coefficients)


def _sets_together(state):
    """One image and one set of sensitivities of RSS 1 for the sum of all sets; the phase is that of the first image."""
    xp = array_module(state.image)
    coil_images = (state.sens * state.image).sum(1)
    first = state.image[0]
    image = rss(coil_images) * _divide(first, xp.abs(first))
    return replace(state, image=image, sens=_divide(coil_images, image))


def _combined(state, reference):
    """The image times the RSS of its sensitivities, with the phase that it has where these are `reference`."""
    image = state.image * rss(state.sens)
    if state.sens is reference:
        return image
    turn = (reference.conj() * state.sens).sum(0)
    return image * _divide(turn, array_module(image).abs(turn))


def _cartesian(kspace, mask):
    """The slice as measured, zero outside the mask; ValueError where there is nothing to reconstruct."""
    has_signal = bool((kspace != 0).any())
    if has_signal and not bool(mask.any()):
        raise ValueError("mask: expected at least one sample, got none")
    kspace = array_module(kspace).where(mask, kspace, 0)
    return CartesianScan(_checked(kspace, " inside the mask" if has_signal else ""), mask)


def _checked(samples, where=""):
    """The samples of one slice in native byte order; ValueError where there is nothing to reconstruct."""
    if not bool(array_module(samples).isfinite(samples).all()):
        raise ValueError("kspace: expected finite samples, got NaN or infinite ones")
    if not bool((samples != 0).any()):
        raise ValueError(f"kspace: all samples are zero{where}")
    if not bool((samples.imag != 0).any()):
        raise ValueError("kspace: expected complex samples, got real ones (all imaginary parts are zero)")
    return samples.astype(complex_dtype(samples.dtype), order="C")  # so that sums have one order


def _data(scan, noise_std, sens):
    """What the solver needs of a slice; with several coils and no sensitivities, also what finds these."""
    sampling, samples = scan.sampled()
    return Problem(sampling, samples, noise_std, SensFit.of(scan) if sens is None and len(samples) > 1 else None)


def _starting_point(data, sens, image, neighbour):
    """The State to start from, with the given image, sensitivities, or a neighbour's coefficients if there are any."""
    if data.fit:
        coefficients = _first_coefficients(data, image, neighbour)
        model = CoilModel(data.sampling, data.fit.maps.forward(coefficients))
        return State(_first_image(model, data) if image is None else image, model.sens, coefficients)
    xp = array_module(data.samples)
    sens = xp.ones((len(data.samples), *data.sampling.shape), data.samples.dtype) if sens is None else sens
    model = CoilModel(data.sampling, sens)
    if image is None:
        image = _first_image(model, data)
    else:  # its scale may be that of another program
        seen = model.forward(image)
        image = image * complex((seen.conj() * data.samples).sum() / (xp.abs(seen) ** 2).sum().clip(1e-30))
    return State(image, sens, None)


def _first_coefficients(data, image, neighbour):
    """Of the sensitivities: those that fit the image, if there is one, else from nonlinear inversion."""
    if image is None:
        return data.fit.start(neighbour)[1]
    nothing = array_module(image).zeros((len(data.samples), *data.fit.low.weight.shape), data.samples.dtype)
    return data.fit.update(image, nothing, max(data.noise_std**2, LEAST_VARIANCE), 1, START_CG)


def _first_image(model, data):
    """What a few CG steps on ||A x - z||^2 give."""
    return conjugate_gradients(lambda image: model.normal(image) + data.sampling.inexact * image,
                               model.adjoint(data.samples), iterations=START_CG)


def _divide(array, weight):
    """array / weight, left alone where that is 0."""
    return array / array_module(weight).where(weight != 0, weight, 1)
