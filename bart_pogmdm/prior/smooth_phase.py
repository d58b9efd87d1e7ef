"""The smooth phase of an image.  The prior does not see it, because it was learned on real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.checks import check_fields
from ..arrays.devices import kept_on_device
from ..arrays.modules import array_module, real_dtype
from ..physics.fourier import PLANE, distances, field_size, filtered, plane_wave

Axes: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Phase:
    """The prior of images x with a phase e and coherence c: log p = c log p(e* x) + (1 - c) log p(x).

    turn e and coherence c: (…, *grid); a coherence of None means 1.
    """

    turn: Array
    coherence: Array | None = None

    def ascent(self, score: Callable[[Array], Array], image: Array, *, at_once: bool = False) -> Array:
        """c e g(e* x) + (1 - c) g(x) for the gradient g of log p; at_once: g(e* x) and g(x) in one call, as a stack."""
        if self.coherence is None:
            return self.turn * score(self.turn.conj() * image)
        both = self.turn.conj() * image, image
        turned, plain = score(array_module(image).stack(both)) if at_once else map(score, both)
        turned = self.turn * turned
        return turned + (1 - self.coherence) * (plain - turned)

    def noise(self, draw: Callable[[], Array]) -> Array:
        """c^(1/2) e n + (1 - c)^(1/2) n' for draws n of Gaussian noise: about the covariance that `ascent` needs."""
        turned = self.turn * draw()
        return turned if self.coherence is None else self.coherence**0.5 * turned + (1 - self.coherence)**0.5 * draw()


@dataclass(frozen=True)
class SmoothPhase:
    """How the smooth phase of an image is found, and how far it is trusted."""

    cycles: float = 3.0
    """Least bandwidth of the phase, in cycles per field of view, where the low frequencies are not all sampled: a wider
    filter would follow aliasing."""

    most_cycles: float = 10.0
    """Largest bandwidth of the phase: a wider filter follows noise, and detail that belongs to the image."""

    coherence_cycles: float = 24.0
    """Bandwidth of the coherence, in cycles per field of view: it resolves the points about which a phase winds."""

    incoherent: float = 0.1
    """Part of the mean cubed magnitude below which the image says nothing about its phase, so the phase is trusted."""

    def __post_init__(self) -> None:
        check_fields(self)

    def within(self, radius: float) -> SmoothPhase:
        """Return how the phase is found where frequencies up to a radius, in cycles per field of view, are known."""
        return replace(self, cycles=max(self.cycles, min(radius, self.most_cycles)))

    def of(self, image: Array, axes: Axes = PLANE, *, trusted: bool) -> Phase:
        """Return the smooth phase of images along their axes, trusted everywhere or as far as the image has it."""
        turn = self.turn(image, axes)
        return Phase(turn, None if trusted else self.coherence(image, turn, axes))

    def turn(self, image: Array, axes: Axes = PLANE) -> Array:
        """exp(i phi) = y / |y| of the smoothed y = l F^-1 exp(-|k| / cycles) F (l* |x|^2 x); 1 where y = 0.

        l is the linear phase, so that the window lies about the centre of k-space, wherever that is.  k is in cycles
        per field of view.  In space the kernel falls off so slowly that dark parts take the phase of bright ones, and
        |x|^2 gives bright parts more weight.
        """
        xp, image = array_module(image), _of_maximum_1(image, axes)
        weighted = xp.abs(image) ** 2 * image
        linear = linear_phase(weighted, axes)
        smoothed = linear * _smooth(linear.conj() * weighted, axes, self.cycles)
        magnitude = xp.abs(smoothed)
        return xp.where(magnitude > 0, smoothed, 1) / xp.where(magnitude > 0, magnitude, 1)

    def coherence(self, image: Array, turn: Array, axes: Axes = PLANE) -> Array:
        """How far an image (…, *grid) has a phase e, from 0 to 1: Re(S |x|^2 e* x + m) / (S |x|^3 + m).

        S = F^-1 exp(-|k| / coherence_cycles) F.  Dark parts agree with any phase, by m, a part of the mean of |x|^3.
        """
        xp, image = array_module(image), _of_maximum_1(image, axes)
        magnitude = xp.abs(image)
        power = magnitude**3
        least = self.incoherent * power.mean(axes, keepdims=True) + 1e-30
        agreeing, total = (_smooth(part.astype(image.dtype), axes, self.coherence_cycles).real + least
                           for part in ((magnitude**2 * turn.conj() * image).real, power))
        return (agreeing / total.clip(least)).clip(0, 1)


def linear_phase(image: Array, axes: Axes = PLANE) -> Array:
    """exp(i (a y + b x)) for images (…, *grid), with the mean change a, b, … of the phase from pixel to pixel.

    It is the centre of their k-space, to a fraction of a sample.  Brighter pixels have more weight.
    """
    xp, rates = array_module(image), []
    for axis in axes:
        beside = image.swapaxes(axis, -1)
        rates.append(xp.angle((beside[..., :-1].conj() * beside[..., 1:]).sum(axes)))
    return plane_wave(tuple(rates), image)


def _of_maximum_1(image: Array, axes: Axes) -> Array:
    """Return each image with maximum 1, so that its third power has numbers in single precision."""
    return image / array_module(image).abs(image).max(axes, keepdims=True).clip(1e-30)


def _smooth(image: Array, axes: Axes, cycles: float) -> Array:
    """F^-1 exp(-|k| / cycles) F of an image, k in cycles per field of view."""
    grid = tuple(image.shape[axis] for axis in axes)
    return filtered(_window(grid, cycles, real_dtype(image.dtype), array_module(image)), image, axes)


@kept_on_device(4)
def _window(shape: Shape, cycles: float, dtype: np.dtype, xp: ArrayModule) -> Array:
    """exp(-|k| / cycles), zero frequency first; pixels are about square."""
    radius = distances(*(np.fft.fftfreq(n) * field_size(shape) for n in shape))
    return xp.asarray(np.exp(-radius / cycles), dtype)
