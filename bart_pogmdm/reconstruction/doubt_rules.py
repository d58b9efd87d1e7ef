"""The rules of the doubts about an image."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays.checks import check_fields


@dataclass(frozen=True)
class DoubtRules:
    """When the image of a slice is doubtful."""

    residual: float = 2.0
    """Residual in noise levels above which the samples are not explained: imperfect maps of real coils stay below."""

    noise: float = 1.2
    """Noise level, as a part of the root mean square of the samples, above which it is larger than these can be: their
    own noise is a part of them."""

    smooth: float = 0.25
    """Residual of several coils in noise levels below which a level that was given smooths too much."""

    audible: float = 0.2
    """Noise level, as a part of the root mean square of the samples, below which it hardly smooths."""

    unexplained: float = 0.03
    """Residual beyond the noise, as a part of the root mean square of the samples, below which it does not matter."""

    shots_residual: float = 1.1
    """Residual of simultaneous slices in noise levels above which their shots are not explained, if it is above `shots`
    as well: together these slices explain nearly everything, so that wrong shots hardly raise it."""

    shots: float = 0.08
    """Residual of simultaneous slices beyond the noise, as a part of the root mean square of the samples, below which
    it does not matter: imperfect maps of real coils have up to 0.064."""

    shots_second: float = 1.0
    """Energy in a second set of the simultaneous slices, in that of their shots, above which these are ordinary slices,
    if it is above `second` as well."""

    fit: float = 0.4
    """Fit of k-space to its shape about the centre, below which it has no centre: noise alone has 0.2."""

    distance: float = 1.5
    """Distance of the nearest sample to the centre of k-space, in samples, above which the centre is not sampled."""

    spike: float = 4.0
    """Amplitude of a sample far from the centre of k-space, as a multiple of that of the sample of rank `rank`."""

    rank: int = 16
    """Rank of that sample: the strongest ones lie about the centre."""

    far: float = 8.0
    """Distance from the centre of k-space, in samples, that is far."""

    folding: float = 0.8
    """Height of a copy of the image, by the pattern alone, above which the copy is not told from the image."""

    weight: float = 0.07
    """Weight of a sample, as a part of the largest, below which it does not prevent a fold."""

    calibration: int = 24
    """Size of the centre of k-space, in samples, whose pattern must not be a lattice: the maps are found there."""

    unseen: float = 0.65
    """Part of the usual amplitude of k-space that the samples do not see, above which the prior makes up too much."""

    second: float = 0.002
    """Part of the energy of the coil images in a second set that nobody asked for, above which it may explain faults
    of the samples: the edges of a phantom have 0.0004, an object that folds over 0.0035."""

    unshared: float = 0.002
    """Energy near the centre of k-space that shared sensitivities leave unexplained, beyond the noise and beyond what
    those of the image alone leave, as a part of all energy there, above which they are not shared."""

    peaked: float = 0.65
    """The n planes across an axis of a volume are slices if the strongest has less than `peaked` / n^(1/2) of their
    energy about the centre of k-space.  An object in a part w of a slab leaves about w of it in the strongest."""

    zeros: float = 0.25
    """Part of the samples of a mask that may be zero, as those beyond an elliptic acquisition (0.22)."""

    unmapped: float = 3.0
    """Mean power of the samples of a coil whose known sensitivities are zero, as a multiple of its median, above which
    it holds signal: noise alone has 1.4, and as much signal at the centre of k-space 2.9."""

    valley: float = 10.0
    """Mean power on both sides of a line of k-space, as a multiple of its own, above which the line may be a gap."""

    edge: float = 5.0
    """Step of the mean power at both ends of a run of weak lines, as a factor, above which they may be gaps."""

    flat: float = 2.0
    """Mean power of a weak line, as a multiple of its median, below which it may be a gap: noise of one coil has
    1.4."""

    valleys: float = 0.04
    """Part of the lines along an axis that may look like gaps."""

    ties: int = 4
    """Different samples that may have the largest real or imaginary part: more come from a saturated receiver."""

    at_zero: float = 0.25
    """Distance from zero frequency, in cycles per field of view, of points that pass for it."""

    pixels: int = 100
    """Pixels for each sample of a coil, above which a point or the unit of a trajectory must be wrong."""

    lost: float = 0.1
    """Part of the points of a trajectory that may lie outside the grid."""

    spacing: float = 1.2
    """Distance of samples along readouts of even steps, in cycles per field of view, that resolves the field."""

    def __post_init__(self) -> None:
        check_fields(self, calibration=2)
