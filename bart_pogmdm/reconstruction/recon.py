"""The public call `recon`: k-space in, image and sensitivities out, in the caller's layout, scale and type."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from ..algorithms.state import State
from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import COIL
from ..arrays.devices import choose
from ..arrays.doubts import doubt
from ..arrays.memory import size_text
from ..arrays.modules import array_module, move
from . import layout
from .doubts import gathered, of_solution
from .inputs import Inputs, Slices
from .one_slice import Collector, solve
from .options import OptionKeywords, Options, Unpack, options_of, with_sets
from .outputs import Outputs, check_room
from .priors import planes_of, prior_of, scale_of
from .result import Result, along_batch
from .series import Explained, Part, Place, prepared, problems_of
from .start import Measured

Callback = Callable[[State], Any]
Finished = Callable[[Outputs, list[Shape]], Any]


def recon(kspace: Array, mask: Any = None, *, traj: Any = None, dims: Any = None, sens: Any = None, start: Any = None,
          prior: Any = None, device: str | None = None, callback: Callback | None = None,
          **options: Unpack[OptionKeywords]) -> Result:
    """Reconstruct image and coil sensitivities jointly from undersampled multi-coil k-space.

    p(x, c | z) ∝ p(x) p(c) prod_j N(z_j; M F (c_j x), noise_std^2) with the prior PoGMDM on the image and smooth
    sensitivities.  The result is the maximum of this posterior, or its mean and standard deviation.  No calibration
    scan is needed.  With a trajectory M F is the Fourier transform at its points, by finufft (cufinufft on a GPU).

    kspace: complex, zero frequency at n // 2, though the signal may have its centre elsewhere; (y, x) for one coil,
        (coil, y, x), or with four and more dimensions BART's (READ, PHS1, PHS2, COIL, …), where the dimensions after
        COIL are looped over.  If all of READ, PHS1 and PHS2 are longer than 1, the image is a volume.
    mask: boolean or 0/1, (y, x) or a line that broadcasts to it, also with an axis of coils, or in BART's dimensions;
        with traj, of the shape of the samples.  Lines of zeros inside it count as lost.  None: sampled where k-space is
        not zero, up to the rounding of single precision.  Other numbers are weights w >= 0, as in BART: the noise of a
        sample is noise_std / w.
    traj: trajectory in cycles per field of view, as `bart traj` writes it: (3, samples, spokes, …) for kspace
        (1, samples, spokes, COIL, …), with a third component for a volume; kspace may also be (coil, spokes, samples),
        or (spokes, samples) for one coil, and traj then (spokes, samples, 2), y and x.  Samples that are zero in all
        coils are left out.  They must not have been multiplied by a density compensation.
    dims: with traj, size of the image, (y, x), or READ, PHS1 (and PHS2) in BART's order; None: the smallest even size
        that holds the trajectory, as in BART.  The field of view is that of traj; samples beyond it are left out.
        Without traj it can only be the size of k-space.
    sens: known sensitivities, of the shape of the result's, or 1 in dimensions that are looped over; None: estimated.
        Two sets, along MAPS or a first axis, mean maps 2.
    start: an image to start from, in the shape of the result, of any scale.
    prior: a PoGMDM, the path of one, or None for the default; a denoiser as PlugAndPlay(denoiser); for the maximum,
        any object with its score and curvature; for "diffusion", any with its score, of images (samples, y, x).  Such
        an object may have an `image_scale`, the ImageScale of its images.
    device: "cpu", "gpu", "auto" (a GPU if there is one); None: where k-space is.  The result is where k-space is.
    callback: called with the `State` after each iteration, whose arrays are the solver's own, in its units; again from
        the first one on for slices that are solved twice, without lines that do not fit the others.

    method: "map", the maximum; "gibbs", mean (half-way from the maximum to that of draws around it) and standard
        deviation; "diffusion", Algorithm 1 of the paper; or one of Map, Gibbs, Diffusion with its options, as
        Gibbs(chains=8).  None: "gibbs" where samples are asked for, else "map".
    samples: number of draws that keep_samples returns; 10 where the method samples.  For "gibbs" mean and standard
        deviation are those of all sweeps, at least six times as many, in two to four chains.
    iterations: usual number of steps to the maximum, 45; planes may end earlier or take more, and
        "diffusion" takes none.
    noise_std: of the data (samples of weight 1) per real and imaginary part, in all coils; None: estimated, and the
        coils are weighted by the levels of their noise beside each other.
    maps: 2 for an object larger than the field of view, so that it folds over: another image with its own
        sensitivities for the folded part, and the result for both together; not for "diffusion".  "auto", the
        default: 2 in the slices whose samples show it (of those that share sensitivities: where all show it), else 1.
        It is 1 with start, too.
    shared_sens: BART's bits of the dimensions along which unknown sensitivities are the same, so that all slices there
        are solved together: TE, COEFF and AVG; 1 << 10 for TIME, 0 for none.  Not for "diffusion".
    temporal: size of the changes from frame to frame along TIME, as a part of the maximum, such as 0.05.  The frames
        are solved together and share their sensitivities.  Smaller changes are smoothed.  Method "map" only.
    sms: SLICE holds the shots of slices that were excited together: k-space is also a Fourier transform along SLICE,
        unitary and with zero frequency at 0, as in `bart nlinv`, and along trajectories `pics -M`; False.
    voxel: sides of a voxel of a volume along its axes, (z, y, x) or READ, PHS1, PHS2, in any unit, so that the prior
        sees its planes in their true proportions; None: cubes.
    normalize: report the image times the RSS of the sensitivities, and these with RSS 1; True.
    keep_samples: return the samples, too; they need their own memory.
    seed: of all random numbers; every chain of every slice has its own stream; 0.
    rules: constants of the estimation around the method (`rules.Rules`), which are rarely needed.

    Returns a Result.  Its info holds method, iterations and samples as asked for; the steps taken to the maximum,
    noise_std, scale, the final residual_std and maps, the number of sets (one number for each slice); the median rhat
    and the effective sample size ess of chains, seconds, name and hash of the prior, seed, the estimated memory of the
    solver in bytes, and warnings: sentences about an image that may be wrong, each of which is also raised as a
    ReconstructionWarning.  Raises ValueError or TypeError that names the argument, FileNotFoundError for a prior that
    is not there, MemoryError where a volume or the samples to keep have no room, ImportError where a trajectory lacks
    finufft.
    """
    chosen = options_of(**options)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback: expected a function of a State, or None, got {type(callback).__name__}")
    inputs = Inputs(kspace, mask, traj, dims, sens, start)
    result, _ = reconstruct(inputs, prior_of(prior, chosen.method), chosen, device, callback)
    for sentence in result.info["warnings"]:
        doubt(sentence)
    return result


@np.errstate(all="ignore")  # A result that is not finite is an error, so NumPy need not warn on the way.
def reconstruct(inputs: Inputs, prior: Any, options: Options, device: str | None = None,
                callback: Callback | None = None, finished: Finished | None = None) -> tuple[Result, Array | None]:
    """Reconstruct all slices of the inputs, otherwise as `recon`.

    finished: called with the outputs and the indices of slices, in the loop over slices, once these are done.
    Returns the Result and the coefficients of the sensitivities of the last slice, from which a similar one may start.
    """
    began = time.perf_counter()
    inputs.check_kinds()
    layout.check_kspace(inputs.kspace, is_cartesian=inputs.traj is None)
    here, there = array_module(inputs.kspace), choose(device, inputs.kspace)
    if inputs.traj is None:
        check_room(inputs.kspace.shape, inputs.kspace.dtype, there, options)
    if there is not here:
        result, coefficients = reconstruct(inputs.on(there), prior, options, None, callback, finished)
        return result.on(here), move(coefficients, here)
    slices = inputs.slices(options.rules)
    if inputs.traj is not None:
        check_room(slices.sens_shape, inputs.kspace.dtype, here, options, int(np.prod(inputs.kspace.shape[:COIL])))
    if slices.known_sets:
        options = with_sets(options, slices.known_sets)
    if options.voxel and len(slices.grid) == 2:
        raise ValueError("voxel: goes with volumes, and k-space is 2-D")
    solving = prior if len(slices.grid) == 2 else planes_of(prior, options)
    outputs, coefficients = Outputs(slices, options, inputs.kspace.dtype, here), None
    doubts: dict[Shape, list[str]] = {}
    report = _Report(callback, options.method.num_iterations(options.num_samples), int(np.prod(outputs.loop)))
    explained = partial(_explained, outputs, report=report)
    shares_sens = inputs.neighbour is None and not slices.known_sets and slices.coils > 1
    if options.temporal is not None and not shares_sens:
        raise ValueError("temporal: goes with several coils and unknown sensitivities")
    for group in layout.groups(slices.sens_shape, options.together if shares_sens or options.sms else 0):
        numbered = [(int(inputs.first) + number, index) for number, index in group]
        misfits: dict[Shape, Array] = {}
        for attempt in (1, 2):  # the second one without samples that do not fit the others, if there are any
            places, measured = _measured(numbered, slices, prior, options, explained, misfits)
            for solved, problem in problems_of(places, measured, inputs.neighbour, prior, options, explained):
                each = problem.each() if problem.images.is_series else [problem] * len(solved)
                with explained(solved[0].index):
                    collectors = [Collector(one, part.frame, part.sens, options, outputs.sens_of(part.index),
                                            outputs.kept(part.index)) for one, part in zip(each, solved)]
                    results = solve(problem, collectors, solving, options, (options.seed, solved[0].number), report)
                    report.finish(len(solved))
                for part, one, found in zip(solved, each, results):
                    outputs.put(part.index, part.noise_std, part.frame.weight * found.residual_std, found)
                    doubts[part.index] = [*part.doubts, *of_solution(one, found, options)]
                    coefficients = found.coefficients
                    # A temporal prior smears what does not fit into other frames.
                    if attempt == 1 and found.misfits is not None and options.temporal is None:
                        misfits[part.index] = found.misfits
            if not misfits or attempt == 2:
                break
            report.finish(-len(group))
        if finished:
            finished(outputs, [index for _, index in group])
    info = {"method": options.method.name, "iterations": getattr(options.method, "iterations", None),
            "samples": options.samples, **outputs.facts(), "seconds": time.perf_counter() - began,
            "prior": getattr(prior, "name", type(prior).__name__), "prior_hash": getattr(prior, "digest", None),
            "seed": options.seed, "memory": outputs.memory(),
            "warnings": [*slices.doubts, *gathered(doubts, outputs.loop)]}
    return (Result(outputs.image, outputs.sens, outputs.std, info, along_batch(outputs.samples), outputs.sens_std),
            coefficients)


def _measured(group: list[tuple[int, Shape]], slices: Slices, prior: Any, options: Options,
              explained: Explained, misfits: Mapping[Shape, Array]) -> tuple[list[Place], list[Measured]]:
    """Return the slices of a group, each a number and an index, without their samples, and as the solver sees them.

    misfits: samples of slices that are left out.
    """
    parts, places, measured, together = [], [], [], tuple(index for _, index in group)
    for number, index in group:
        with explained(index):
            parts.append(Part.of(slices, index, together, number, options, misfits.get(index)))
    with explained(group[0][1]):
        parts = prepared(parts, options)
    while parts:  # one after the other, so that the samples of all are not held twice
        part = parts.pop(0)
        with explained(part.index):
            place, as_measured = part.measured(scale_of(prior), options, alone=len(group) == 1)
        places.append(place)
        measured.append(as_measured)
    return places, measured


class _Report:
    """Calls the callback with each State, numbered out of a total; `error` is what the callback raised, if anything.

    most: iterations of a slice at most.  The first one of a slice has a number as if those before had taken so many.
    """

    def __init__(self, callback: Callback | None, most: int, slices: int) -> None:
        self._callback, self._most, self._total = callback, most, most * slices
        self._finished = self._iteration = 0
        self.error: BaseException | None = None

    def finish(self, slices: int) -> None:
        """Note that slices are finished; fewer than none are solved again."""
        self._finished += slices
        self._iteration = self._finished * self._most

    def __call__(self, state: State, slices: int) -> None:
        self._iteration += slices
        if self._callback:
            residual_std = state.info.residual_std
            residual_std = float((residual_std**2).mean() ** 0.5 if np.ndim(residual_std) else residual_std)
            noted = state.noted(iteration=self._iteration, iterations=self._total, residual_std=residual_std)
            try:
                self._callback(noted)
            except BaseException as error:
                self.error = error
                raise


@contextlib.contextmanager
def _explained(outputs: Outputs, index: Shape, report: _Report) -> Iterator[None]:
    """Errors of a slice name its position, and a GPU without memory leads to the CPU; the callback keeps its own."""
    try:
        yield
    except ValueError as error:
        if error is report.error:
            raise
        place = layout.place_of(index, outputs.loop)
        raise ValueError(f"{error}{f' in {place}' if place else ''}") from None
    except MemoryError as error:
        xp = array_module(outputs.image)
        # Our own MemoryErrors already say what to do.
        if error is report.error or xp is np or not isinstance(error, xp.cuda.memory.OutOfMemoryError):
            raise
        raise MemoryError(f"kspace: the GPU's memory does not hold what a slice needs, about"
                          f" {size_text(outputs.memory(chains=1))}: use the CPU") from error
