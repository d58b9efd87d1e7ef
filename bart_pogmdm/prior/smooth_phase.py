"""The smooth phase of an image, which the prior does not see: it was learned on real images."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, real_dtype

PHASE_CYCLES = 3       # per field of view: how fast the phase may turn,
COHERENCE_CYCLES = 24  # ... and how fast the trust in it,
INCOHERENT = 0.1       # which only parts brighter than this part of the mean can lose


@dataclass(frozen=True, eq=False)
class Phase:
    """The prior of images x with a phase e, in so far as they have it, c: c log p(e* x) + (1 - c) log p(x).

    turn e and coherence c (…, ny, nx); c = None is 1.
    """

    turn: np.ndarray
    coherence: np.ndarray | None = None

    @classmethod
    def of(cls, image, *, trusted):
        """The smooth phase of an image, trusted where it has one, or everywhere."""
        turn = smooth_phase(image)
        return cls(turn, None if trusted else coherence(image, turn))

    def ascent(self, score, image):
        """c e g(e* x) + (1 - c) g(x) for the gradient g of log p."""
        turned = self.turn * score(self.turn.conj() * image)
        return turned if self.coherence is None else turned + (1 - self.coherence) * (score(image) - turned)

    def noise(self, draw):
        """c^(1/2) e n + (1 - c)^(1/2) n' for draws n of Gaussian noise, about as `ascent` needs them."""
        turned = self.turn * draw()
        return turned if self.coherence is None else self.coherence**0.5 * turned + (1 - self.coherence)**0.5 * draw()


def smooth_phase(image):
    """exp(i phi) = y / |y| of the smoothed y = F^-1 exp(-|k| / 3) F (|x|^2 x) of an image (…, ny, nx); 1 where y = 0.

    k in cycles per field of view: in space the kernel falls off so slowly that dark parts take the phase of bright
    ones, and |x|^2 lets these count more.
    """
    xp, image = array_module(image), _of_maximum_1(image)
    smoothed = _smooth(xp.abs(image) ** 2 * image, PHASE_CYCLES)
    magnitude = xp.abs(smoothed)
    return xp.where(magnitude > 0, smoothed, 1) / xp.where(magnitude > 0, magnitude, 1)


def coherence(image, phase):
    """How far an image (…, ny, nx) has a phase e, from 0 to 1: Re(S |x|^2 e* x + m) / (S |x|^3 + m).

    S = F^-1 exp(-|k| / 24) F, and m a tenth of the mean of |x|^3: what is dark agrees with any phase.
    """
    xp, image = array_module(image), _of_maximum_1(image)
    magnitude = xp.abs(image)
    power = magnitude**3
    least = INCOHERENT * power.mean((-2, -1), keepdims=True) + 1e-30
    agreeing, all_ = (_smooth(part.astype(image.dtype), COHERENCE_CYCLES).real + least
                      for part in ((magnitude**2 * phase.conj() * image).real, power))
    return (agreeing / all_.clip(least)).clip(0, 1)


def _of_maximum_1(image):
    return image / array_module(image).abs(image).max().clip(1e-30)


def _smooth(image, cycles):
    """F^-1 exp(-|k| / cycles) F of an image, k in cycles per field of view."""
    window = _window(image.shape[-2:], cycles, real_dtype(image.dtype), array_module(image))
    return ifftn(window * fftn(image))


@lru_cache(maxsize=4)
def _window(shape, cycles, dtype, xp):
    """exp(-|k| / cycles), zero frequency first; pixels are about square."""
    rows, columns = (np.fft.fftfreq(n) * np.prod(shape) ** 0.5 for n in shape)
    return xp.asarray(np.exp(-np.hypot(rows[:, None], columns) / cycles), dtype)
