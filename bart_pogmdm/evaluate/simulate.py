"""Multi-coil k-space of an image, with smooth coil sensitivities on a ring and noise."""

import numpy as np

from ..physics.fourier import fft2c


def sensitivities(shape, coils):
    """Coils (J, ny, nx) around the object, with RSS 1: each falls off with the distance and turns its phase."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    angles = 2 * np.pi * np.arange(coils)[:, None, None] / coils
    fall = np.exp(-((x - 1.3 * np.cos(angles)) ** 2 + (y - 1.3 * np.sin(angles)) ** 2) / 2)
    sens = fall * np.exp(1j * (angles + x * np.sin(angles) + y * np.cos(angles)))
    return sens / np.sqrt((np.abs(sens) ** 2).sum(0))


def kspace(image, coils, noise_std, seed):
    """k-space (J, ny, nx) complex64 of an image seen by `coils` coils, noise_std per real and imaginary part."""
    samples = fft2c(sensitivities(image.shape, coils) * image)
    noise = np.random.default_rng(seed).standard_normal((2, *samples.shape))
    return (samples + noise_std * (noise[0] + 1j * noise[1])).astype(np.complex64)
