"""The compared methods of BART: `nlinv`, `homodyne`, and `pics` with sensitivities of `ecalib`, `nlinv` or `sake`.

Each is a function of k-space (J, ny, nx), a mask (ny, nx) and its parameter.  Stored results of these methods stay
valid as long as this module and BART are the same.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import to_bart
from ..physics.coil_model import rss
from ..physics.fourier import divide, fft2c, ifft2c, resize
from ..toolbox.bart_call import quiet_bart as bart
from .estimate import DoesNotApply, Estimate

CALIBRATION = 24     # Least side of the low frequencies that give the phase of an image, as of calibration lines.
NEWTON_STEPS = 11    # Steps of `nlinv` for sensitivities: with 9 wavelets lose 1.6 dB on brain16ch_mchiew_96.
SAKE_SIDE = 32       # Side of the centre that `sake` completes; its time grows with the square of the number of points.
SAKE_ITERATIONS = 60


def nlinv(kspace: Array, mask: Array, steps: int) -> Estimate:
    """Run `nlinv` with a number of Newton steps."""
    image, sens = bart(2, f"nlinv -S -i{steps}", to_bart(kspace * mask))
    return Estimate(image.reshape(mask.shape), sens=sets_first(sens, kspace.shape)[0])


def homodyne(kspace: Array, mask: Array, offset: float) -> Estimate:
    """Run `homodyne` with the offset of its ramp filter on each coil, for partial Fourier without undersampling.

    Raises DoesNotApply for other masks.
    """
    lines = mask.shape[1]
    count = int(np.count_nonzero(mask.any(0)))
    if not (mask[:, :count].all() and lines // 2 < count < lines):
        raise DoesNotApply("homodyne needs all lines up to a part of more than a half, as partial0.75 samples")
    images = bart(1, f"homodyne -C -r {offset} 1 {count / lines}", to_bart(kspace * mask))
    return Estimate(rss(np.moveaxis(images.reshape(*mask.shape, -1), -1, 0)))


Maps = Callable[[Array], Array]  # undersampled k-space (J, ny, nx) -> sensitivities (sets, J, ny, nx)


def pics_with(maps: Maps, iterations: int, options: tuple[str, ...], kspace: Array, mask: Array,
              weight: float) -> Estimate:
    """Run `pics` with sensitivities that `maps` finds and with options in which {} stands for the weight."""
    return pics(iterations, options, kspace * mask, maps(kspace * mask), weight)


def real_pics(iterations: int, options: tuple[str, ...], kspace: Array, mask: Array, weight: float) -> Estimate:
    """Run `pics` with sensitivities of `ecalib` under the constraint that the image has the phase of low frequencies.

    For partial Fourier: the conjugate symmetry of the rest of the image then replaces samples that are missing.
    """
    sens = ecalib(kspace * mask)
    return pics(iterations, ("-c", *options), kspace * mask, sens * low_phase(kspace * mask, sens[0]), weight)


def pics(iterations: int, options: tuple[str, ...], kspace: Array, maps: Array, weight: float) -> Estimate:
    """Run `pics` on undersampled k-space with sensitivities (sets, J, ny, nx); the image is the RSS of its coils.

    Raises DoesNotApply if it is not finite.
    """
    command = ["pics", "-S", f"-i{iterations}", *(word.format(weight) for word in options)]
    stacked = np.stack([to_bart(sens) for sens in maps], -1)
    images = np.moveaxis(bart(1, command, to_bart(kspace), stacked).reshape(*maps.shape[2:], len(maps)), -1, 0)
    if not np.isfinite(images).all():
        raise DoesNotApply("the image of pics is not finite")
    images = np.roll(images, [-_shift_of_odd_sizes() * (n % 2) for n in kspace.shape[1:]], (1, 2))
    if len(maps) == 1:
        return Estimate(images[0], sens=maps[0])
    return Estimate(rss((maps * images[:, None]).sum(0)))


@lru_cache(maxsize=1)
def _shift_of_odd_sizes() -> int:
    """Return by how many pixels `pics` moves an image along an axis of odd size: one in BART 0.8."""
    point = np.zeros((5, 5))
    point[2, 2] = 1
    found = bart(1, "pics -S -i10", to_bart(fft2c(point).astype(np.complex64)), np.ones((5, 5, 1, 1), np.complex64))
    return int(np.abs(found).argmax()) // 5 - 2


def low_phase(kspace: Array, sens: Array) -> Array:
    """Return exp(i phase) of the image of the low frequencies, for undersampled k-space and its sensitivities.

    They are those of the largest window about zero frequency in which all samples are measured.
    """
    sides = _complete_centre((kspace != 0).any(0))
    window = resize(np.outer(*(np.hanning(side + 1)[:-1] for side in sides)), kspace.shape[1:])
    image = (sens.conj() * ifft2c(kspace * window)).sum(0)
    return np.exp(1j * np.angle(image)).astype(np.complex64)


def _complete_centre(measured: Array) -> Shape:
    """Return the sides of the largest complete window about zero frequency, at least that of the calibration."""
    sides = [min(CALIBRATION, n) for n in measured.shape]
    for axis, n in enumerate(measured.shape):
        while sides[axis] + 2 <= n:
            larger = [side + 2 * (axis == other) for other, side in enumerate(sides)]
            if not resize(measured, tuple(larger)).all():
                break
            sides = larger
    return tuple(sides)


def ecalib(kspace: Array, options: str = "-m1 -c0") -> Array:
    """Return the sensitivities (sets, J, ny, nx) of `ecalib`; 1 for one coil."""
    if len(kspace) == 1:
        return np.ones((1, *kspace.shape), np.complex64)
    return sets_first(bart(1, f"ecalib {options}", to_bart(kspace)), kspace.shape)


def ecalib_auto(kspace: Array) -> Array:
    """Return the sensitivities of `ecalib` with thresholds that it finds itself.  Raises DoesNotApply for one coil."""
    if len(kspace) == 1:
        raise DoesNotApply("ecalib -a finds the sensitivities of several coils")
    return ecalib(kspace, "-m1 -c0 -a")


def ecalib_two_sets(kspace: Array) -> Array:
    """Return two sets of `ecalib`, for objects that are larger than the field of view.

    They keep the usual crop, because a second set exists only where something folds over.
    """
    return ecalib(kspace, "-m2")


def nlinv_maps(kspace: Array, sets: int = 1) -> Array:
    """Return the sensitivities (sets, J, ny, nx) of `nlinv`, which needs no calibration region, with RSS 1."""
    sens = sets_first(bart(2, f"nlinv -i{NEWTON_STEPS} -m{sets} -U", to_bart(kspace))[1], kspace.shape)
    return divide(sens, rss(sens.reshape(-1, *sens.shape[2:])))


def enlive_maps(kspace: Array) -> Array:
    """Return two sets of `nlinv`.  H. C. M. Holme et al., Sci. Rep. 9, 2019, doi 10.1038/s41598-019-39888-7."""
    return nlinv_maps(kspace, 2)


def sake_maps(kspace: Array) -> Array:
    """Return the sensitivities (1, J, ny, nx) of `ecalib` from the centre of k-space, completed by `sake`.

    P. J. Shin et al., Magn. Reson. Med. 72, 2014, doi 10.1002/mrm.24997.
    """
    side = [min(SAKE_SIDE, n) for n in kspace.shape[1:]]
    centre = bart(1, f"sake -i{SAKE_ITERATIONS}", to_bart(resize(kspace, tuple(side))))
    return ecalib(resize(np.moveaxis(centre.reshape(*side, -1), -1, 0), kspace.shape[1:]))


def sets_first(sens: Array, shape: Shape) -> Array:
    """Return sensitivities in BART's order as (sets, J, ny, nx), for k-space of a shape (J, ny, nx)."""
    return np.moveaxis(sens.reshape(shape[1], shape[2], shape[0], -1), (-1, -2), (0, 1))
