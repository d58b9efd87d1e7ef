"""Conditions under which methods are compared: fewer coils, noise, and k-space that is padded with zeros."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..arrays.array_types import Array, Shape
from ..files.references import ReferenceImage, ReferenceScan, is_full
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c, resize
from . import metrics, simulate

MOST_PADDING = 4.0  # More than any scanner interpolates, and a guard against images that do not fit into memory.


class Scan(NamedTuple):
    """k-space (J, y, x) of a data set, its reference image (y, x) of maximum 1, and the size that was measured.

    The rest of k-space is zero-padding.  source: the name of the data set without the condition.
    """

    name: str
    source: str
    kspace: Array
    reference: Array
    measured: Shape


@dataclass(frozen=True)
class Condition:
    """What is done to a data set before it is undersampled; None and 1 leave it as it is.

    coils: the number of coils: the first ones of a scan, or those that are simulated for an image.
    noise_std: white noise per real and imaginary part, in units in which the reference has maximum 1: added to a scan,
    or that of the simulation.  zero_pad: factor by which both sides of k-space are padded with zeros after the
    acquisition, to even sizes, as scanners do to interpolate; the reference is that of the full data, padded alike.
    Raises ValueError for values outside their ranges.
    """

    coils: int | None = None
    noise_std: float | None = None
    zero_pad: float = 1.0

    def __post_init__(self) -> None:
        if self.coils is not None and self.coils < 1:
            raise ValueError(f"coils: expected at least 1, got {self.coils}")
        if self.noise_std is not None and not 0 <= self.noise_std < np.inf:
            raise ValueError(f"noise_std: expected a number >= 0, got {self.noise_std}")
        if not 1 <= self.zero_pad <= MOST_PADDING:
            raise ValueError(f"zero_pad: expected a factor from 1 to {MOST_PADDING}, got {self.zero_pad}")

    def apply(self, found: ReferenceScan | ReferenceImage) -> Scan:
        """Return the scan under this condition.  Raises ValueError for a scan of fewer coils."""
        if isinstance(found, ReferenceScan):
            kspace, reference, seed, noise_std = *self._coils_of(found), 0, self.noise_std or 0
        else:
            coils = simulate.COILS if self.coils is None else self.coils
            kspace, reference, seed = simulate.kspace(found.image, coils, 0), np.abs(found.image), found.number
            noise_std = simulate.NOISE_STD if self.noise_std is None else self.noise_std
        noisy, shape = kspace, kspace.shape[1:]
        if noise_std:
            unit = 1 / metrics.fit_scale(rss(ifft2c(kspace)), reference)
            noisy = kspace + unit * noise_std * simulate.noise(kspace.shape, seed)
        if self.zero_pad > 1:
            _check_full(found.name, kspace)
            padded = tuple(2 * round(self.zero_pad * n / 2) for n in shape)  # even, as on scanners
            reference, noisy = reference_of(resize(kspace, padded)), resize(noisy, padded)
        return Scan(found.name + self.suffix, found.name, noisy.astype(np.complex64), reference, shape)

    def _coils_of(self, found: ReferenceScan) -> tuple[Array, Array]:
        """Return k-space and reference of the coils that are used."""
        if self.coils is None or self.coils == len(found.kspace):
            return found.kspace, found.reference
        if self.coils > len(found.kspace):
            raise ValueError(f"coils: {found.name} has {len(found.kspace)}, fewer than {self.coils}")
        kspace = found.kspace[:self.coils]
        _check_full(found.name, kspace)
        return kspace, reference_of(kspace)

    @property
    def suffix(self) -> str:
        """What the condition adds to the name of a data set: nothing for the noise of a simulation, which is usual."""
        return ("" if self.coils is None else f"-coils{self.coils}") + (
            "" if self.noise_std is None else f"-noise{self.noise_std:g}") + (
            "" if self.zero_pad == 1 else f"-pad{self.zero_pad:g}")


AS_IT_IS = Condition()


def reference_of(kspace: Array) -> Array:
    """Return the root sum of squares of full k-space as a reference: float32, of maximum 1."""
    image = rss(ifft2c(kspace))
    return (image / image.max()).astype(np.float32)


def _check_full(name: str, kspace: Array) -> None:
    """Raise ValueError if k-space is not fully sampled, so that a condition cannot make its reference."""
    if not is_full(kspace):
        raise ValueError(f"{name}: fewer coils and zero-padding need fully sampled k-space, to make their reference")
