"""Simulated data: a phantom, smooth coil sensitivities, and noisy multi-coil k-space."""

import numpy as np

from ..arrays.array_types import Array, Shape
from ..physics.fourier import fft2c

COILS = 8          # Coils of simulated data.
NOISE_STD = 0.005  # Noise of simulated data per real and imaginary part, for images of maximum 1.
# Value, centre (x, y) and half axes (x, y) of the ellipses of the phantom; values add up where ellipses overlap.
ELLIPSES = ((0.6, 0, 0, 0.8, 0.9), (0.4, 0.3, -0.2, 0.2, 0.3), (-0.3, -0.3, 0.1, 0.25, 0.2), (0.3, 0, 0.6, 0.5, 0.1))


def coordinates(shape: Shape) -> tuple[Array, Array]:
    """Return y and x of the pixels, each (ny, nx) from -1 to 1."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return y, x


def phantom(shape: Shape) -> Array:
    """Return a piecewise constant head (ny, nx) of maximum 1 with a smooth phase, complex128."""
    y, x = coordinates(shape)
    image = sum(value * ((((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) < 1) for value, cx, cy, rx, ry in ELLIPSES)
    return image * np.exp(0.5j * x + 0.3j * y**2)


def sensitivities(shape: Shape, coils: int) -> Array:
    """Return the sensitivities (J, ny, nx) of coils on a ring around the object, with RSS 1.

    The magnitude of each falls off with the distance from its coil, and its phase is linear.
    """
    y, x = coordinates(shape)
    angles = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    magnitude = np.exp(-((x - 1.3 * np.cos(angles)) ** 2 + (y - 1.3 * np.sin(angles)) ** 2) / 2)
    sens = magnitude * np.exp(1j * (angles + x * np.sin(angles) + y * np.cos(angles)))
    return sens / np.sqrt((np.abs(sens) ** 2).sum(0))


def kspace(image: Array, coils: int = COILS, noise_std: float = NOISE_STD, seed: int = 0) -> Array:
    """Simulate k-space (J, ny, nx), complex64, of an image, with noise of noise_std per real and imaginary part."""
    samples = fft2c(sensitivities(image.shape, coils) * image)
    return (samples + noise_std * noise(samples.shape, seed)).astype(np.complex64)


def noise(shape: Shape, seed: int) -> Array:
    """Return white noise of standard deviation 1 in real and imaginary part."""
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    return parts[0] + 1j * parts[1]


def folded(images: Array, shape: Shape) -> Array:
    """Return coil images (J, ny, nx) on a smaller field of view about the same centre: the rest folds over."""
    for axis, size in enumerate(shape, -2):
        moved = np.moveaxis(images, axis, 0)
        place = np.arange(len(moved)) - len(moved) // 2 + size // 2
        out = np.zeros((size, *moved.shape[1:]), images.dtype)
        np.add.at(out, place % size, moved)
        images = np.moveaxis(out, 0, axis)
    return images
