"""The first sensitivities: a joint inversion of the low frequencies, which is nlinv itself.

M. Uecker et al., Magn. Reson. Med. 60, 2008, doi 10.1002/mrm.21691.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from ..arrays.array_types import Array
from ..arrays.checks import check_fields
from ..arrays.conjugate_gradients import conjugate_gradients, inner
from ..arrays.modules import array_module
from ..arrays.threads import share
from .coil_model import CoilModel, SetsModel, coil_model
from .fourier import resize
from .phase_poles import without_poles
from .sensitivities import SensitivityModel, gathered


@dataclass(frozen=True)
class StartRules:
    """How the first image and the first sensitivities are found."""

    newton_steps: int = 12
    """Gauss-Newton steps: with each the regularisation falls, so more steps fit finer detail of the maps."""

    newton_decay: float = 0.5
    """Factor on the regularisation after each Gauss-Newton step, from 1 at the first, as in nlinv."""

    data_norm: float = 100.0
    """Norm to which the samples are scaled for the Gauss-Newton steps, as in nlinv: the regularisation refers to it."""

    newton_cg: int = 15
    """Conjugate gradient steps in each Gauss-Newton step at most: fewer leave lines with a poor centre unsolved.  Maps
    that are unwound are fitted by as many."""

    newton_tolerance: float = 0.1
    """Part of its residual to which each Gauss-Newton step is solved, as in nlinv: the next one is linear elsewhere."""

    neighbour_steps: int = 3
    """The last Gauss-Newton steps, which are all that is needed from the sensitivities of a similar slice, or from maps
    that were unwound."""

    series_steps: int = 6
    """The last Gauss-Newton steps, which see all images of a series: those before see the one of least noise alone."""

    neighbour_cg: int = 10
    """Conjugate gradient steps for the image that goes with the sensitivities of a similar slice."""

    neighbour_damping: float = 1e-3
    """Part of the largest eigenvalue added to that least-squares problem, so that noise is not amplified."""

    sens_penalty: float = 1.0
    """Penalty on the coefficients of sensitivities that are fitted to a given image, the one of the first iteration."""

    image_cg: int = 5
    """Conjugate gradient steps of least squares for the first image, or for the sensitivities that fit a given one;
    more would fit the noise."""

    def __post_init__(self) -> None:
        check_fields(self, ["newton_decay", "newton_tolerance"])


def joint_inversion(model: SensitivityModel, rules: StartRules, neighbour: Array | None = None,
                    steps: int | None = None) -> tuple[Array, Array]:
    """Return image (*low grid) and coefficients by iteratively regularised Gauss-Newton steps on z = M F (x E W chat).

    They start from x = 1 and chat = 0, or from a neighbour's chat and the image that goes with it.  From there only the
    last `steps` are taken, by default `rules.neighbour_steps`.  Steps before these last ones are for smoother maps.
    Where the phase of the maps of a plane winds about points, it is unwound (`without_poles`), and the last
    `rules.neighbour_steps` are taken again.  The maps are scaled to a mean RSS of 1 where the image is bright.
    """
    xp = array_module(model.samples)
    norm = float(inner(model.samples, model.samples)) ** 0.5 / rules.data_norm
    model, dtype = model.in_units(norm), model.samples.dtype
    origin = _pack(xp.ones(model.images.shape, dtype), xp.zeros(model.shape, dtype))
    estimate, first, last = origin, 0, max(0, rules.newton_steps - rules.neighbour_steps)
    if neighbour is not None:
        # On a grid of another size, as of samples in another box, the same frequencies count from the same centre.
        neighbour = resize(neighbour, model.low.weight.shape)
        estimate = _pack(_image_of(model, _coils_of(model, neighbour), rules), neighbour)
        first = last if steps is None else max(0, rules.newton_steps - steps)

    def stepped(model: SensitivityModel, pair: Array, steps: range) -> Array:
        for i in steps:
            pair = pair + _newton_step(model, pair, origin, rules.newton_decay**i, rules)
        return pair

    if first < last:
        factor = model.low.factor(model.rules.steeper)
        smoother = replace(model, low=replace(model.low, weight=model.low.weight * factor))
        image, coefficients = _unpack(model, estimate)
        image, coefficients = _unpack(model, stepped(smoother, _pack(image, coefficients / factor), range(first, last)))
        estimate = _pack(image, coefficients * factor)
    estimate = stepped(model, estimate, range(last, rules.newton_steps))
    unwound = without_poles(*_unpack(model, estimate), model.low, model.images, rules.newton_decay**last,
                            rules.newton_cg)
    if unwound is not None:
        estimate = stepped(model, _pack(*unwound), range(last, rules.newton_steps))
    image, coefficients = _unpack(model, estimate)
    energy = xp.abs(image) ** 2
    balance = float(((xp.abs(model.low.forward(coefficients)) ** 2).sum(0) * energy).sum() / energy.sum()) ** 0.5
    return image * (balance * norm), coefficients / balance


def residual_energy(model: SensitivityModel, coefficients: Array, rules: StartRules) -> float:
    """Return the energy of the samples that sensitivities leave unexplained, with the image that goes with them."""
    coils = _coils_of(model, coefficients)
    residual = coils.forward(_image_of(model, coils, rules)) - model.samples
    return float(inner(residual, residual))


def _coils_of(model: SensitivityModel, coefficients: Array) -> CoilModel | SetsModel:
    """Return the forward model of images of low resolution, with the sensitivities of some coefficients."""
    return coil_model(model.sampling, model.low.forward(coefficients), model.images)


def _image_of(model: SensitivityModel, coils: CoilModel | SetsModel, rules: StartRules) -> Array:
    """Return the image of low resolution that goes with known sensitivities."""
    return conjugate_gradients(lambda image: coils.normal(image) + rules.neighbour_damping * image,
                               coils.adjoint(model.samples), iterations=rules.neighbour_cg, axes=coils.axes)


def _newton_step(model: SensitivityModel, estimate: Array, origin: Array, alpha: float, rules: StartRules) -> Array:
    """argmin_d ||F(u) + F'(u) d - z||^2 + alpha ||u + d - u_0||^2 for the pair u = (x, chat)."""
    image, coefficients = _unpack(model, estimate)
    sens, zero_filled = model.low.forward(coefficients), model.zero_filled

    def adjoint(images_of: Callable[[slice], Array]) -> Array:
        """Return F'(u)^H for the coil images of all coils, which come from some coils at a time."""
        def work(pieces: list[slice]) -> tuple[Array, list[Array]]:
            total, of_coils = array_module(image).zeros_like(image), []
            for coils in pieces:
                images = images_of(coils)
                total += (sens[coils].conj() * images).sum(0)
                of_coils.append(model.low.adjoint(gathered(image.conj() * images, model.images)))
            return total, of_coils

        totals, of_coils = zip(*share(work, len(sens), image))
        return _pack(sum(totals), array_module(image).concatenate(list(chain.from_iterable(of_coils))))

    def normal(update: Array) -> Array:
        change, coefficients = _unpack(model, update)
        return alpha * update + adjoint(lambda coils: model.sampling.of_coils(coils).normal(
            sens[coils] * change + image * model.low.forward(coefficients[coils])))

    rhs = alpha * (origin - estimate) + adjoint(
        lambda coils: zero_filled(coils) - model.sampling.of_coils(coils).normal(sens[coils] * image))
    return conjugate_gradients(normal, rhs, iterations=rules.newton_cg, tolerance=rules.newton_tolerance)


def _pack(image: Array, coefficients: Array) -> Array:
    """Return image and coefficients as one vector."""
    return array_module(image).concatenate([image.ravel(), coefficients.ravel()])


def _unpack(model: SensitivityModel, vector: Array) -> tuple[Array, Array]:
    pixels = int(np.prod(model.images.shape))
    return vector[:pixels].reshape(model.images.shape), vector[pixels:].reshape(model.shape)
