"""Centred Fourier transforms of images, and images at another size."""

from functools import reduce

import numpy as np

from ..arrays.array_types import Array, Shape
from ..arrays.bart_dims import index_of
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, complex_dtype

PLANE = (-2, -1)


def axes_of(shape: Shape) -> tuple[int, ...]:
    """Return the axes of a grid, which are the last ones of an array: (-2, -1), or (-3, -2, -1) in three dimensions."""
    return tuple(range(-len(shape), 0))


def fft2c(image: Array, axes: tuple[int, ...] = PLANE) -> Array:
    """Return the centred unitary FFT, fftshift(fftn(ifftshift(x))), which is that of `bart fft -u`."""
    xp = array_module(image)
    return xp.fft.fftshift(fftn(xp.fft.ifftshift(image, axes), axes), axes)


def ifft2c(kspace: Array, axes: tuple[int, ...] = PLANE) -> Array:
    """Return the inverse of `fft2c`, which is also its adjoint."""
    xp = array_module(kspace)
    return xp.fft.fftshift(ifftn(xp.fft.ifftshift(kspace, axes), axes), axes)


def filtered(response: Array, images: Array, axes: tuple[int, ...] = PLANE) -> Array:
    """Return images filtered by a frequency response, zero frequency first, along their axes."""
    return ifftn(response * fftn(images, axes), axes)


def averaged(values: Array, width: float, axes: tuple[int, ...]) -> Array:
    """Return real values averaged over a Gaussian window with a standard deviation of `width` pixels."""
    xp = array_module(values)
    squares = distances(*(xp.asarray(np.fft.fftfreq(values.shape[axis])) for axis in axes)) ** 2
    window = xp.exp(-2 * (np.pi * width) ** 2 * squares).astype(values.dtype)
    return filtered(window, values.astype(complex_dtype(values.dtype)), axes).real


def resize(array: Array, shape: Shape) -> Array:
    """Crop or zero-pad the last axes to `shape`, keeping the centre n // 2 in place."""
    xp, leading, old = array_module(array), array.shape[:-len(shape)], array.shape[-len(shape):]
    out = xp.zeros((*leading, *shape), array.dtype)
    source, target = (tuple(slice(max(0, n // 2 - m // 2), n // 2 - m // 2 + m) for n, m in zip(*sizes))
                      for sizes in ((old, shape), (shape, old)))
    out[index_of(target)] = array[index_of(source)]
    return out


def resample(image: Array, shape: Shape) -> Array:
    """Return the image at another size, by cropping or zero-padding its k-space.

    The transforms are unitary, so resampling to the old size is the adjoint.
    """
    axes = axes_of(shape)
    return image if image.shape[-len(shape):] == tuple(shape) else ifft2c(resize(fft2c(image, axes), shape), axes)


def interpolate(maps: Array, shape: Shape) -> Array:
    """Return maps (…, *grid) at another size, linearly between their pixels: maps may end abruptly, as at an object.

    The pixels n // 2 coincide, as in `resample`; the values do not change with the size.
    """
    xp = array_module(maps)
    for axis, points in zip(axes_of(shape), shape):
        n = maps.shape[axis]
        position = ((xp.arange(points) - points // 2) * (n / points) + n // 2).clip(0, n - 1)
        lower = xp.minimum(position.astype(int), n - 2)
        part = (position - lower).astype(maps.real.dtype).reshape(-1, *(1,) * (-1 - axis))
        maps = maps.take(lower, axis) * (1 - part) + maps.take(lower + 1, axis) * part
    return maps


def power_of_coils(samples: Array) -> Array:
    """Return |z|^2 summed over the coils, the first axis."""
    return (samples.real**2 + samples.imag**2).sum(0)


def divide(array: Array | float, weight: Array) -> Array:
    """Return array / weight, and the array itself where the weight is 0."""
    return array / array_module(weight).where(weight != 0, weight, 1)


def plane_wave(rates: tuple[Array | float, ...], like: Array) -> Array:
    """Return exp(i (a y + b x)), (…, *grid), with pixels y and x from n // 2 on, of the size and type of images.

    rates: a, b, one for each axis of the grid: the phase from pixel to pixel in radians, numbers or arrays (…).
    """
    xp, last = array_module(like), len(rates) - 1
    waves = (xp.exp(1j * xp.asarray(rate)[..., None] * (xp.arange(n) - n // 2))
             for rate, n in zip(rates, like.shape[-len(rates):]))
    along = (wave.reshape(*wave.shape[:-1], *(1,) * axis, -1, *(1,) * (last - axis)) for axis, wave in enumerate(waves))
    return reduce(xp.multiply, along).astype(like.dtype)


def field_size(shape: Shape) -> float:
    """Return the samples per field of view: one number for all axes, because pixels are about square.

    It is the geometric mean of the two longer sides: a slab of few planes has the field of view of its planes.
    """
    return float(np.prod(sorted(shape)[-2:])) ** 0.5


def distances(*coordinates: Array) -> Array:
    """Return the distance from zero of each point of a grid, given its coordinates (n,) along each axis."""
    xp = array_module(coordinates[0])
    return reduce(xp.hypot, xp.meshgrid(*coordinates, indexing="ij", sparse=True))
