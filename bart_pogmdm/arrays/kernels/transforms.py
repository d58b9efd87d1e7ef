"""The loops with Fourier transforms on the CPU: without Python between one step and the next, threads need not wait."""

from typing import Any

import numpy as np
from rocket_fft import c2c

from ..array_types import Array
from .compiled import jit
from .cpu import interpolate, multiply, scale

ACROSS = 2  # where no axis of lines is meant, 0 or 1


@jit
def fft(stack: Array, out: Array, axes: Array, forward: bool, factor: float, threads: int) -> None:
    """The FFT of (N, a, b, c) over some of the axes, times a factor."""
    c2c(stack, out, axes, forward, factor, threads)


@jit
def convolve(images: Array, factor: Array, axes: Array, numbers: Array, along: int) -> None:
    """F^H R F of images (N, a, b, c) in place, with F along some of the axes 0, 1, 2 of an image (`Convolution`).

    factor: R, (a, b, c), or larger for images filled up with zeros; for lines along the first or the last axis, of
    these numbers, (1, n, L) or (1, L, n).
    """
    padded = along == ACROSS and images.shape[1:] != factor.shape
    wide = np.empty(factor.shape if padded else (0, 0, 0), images.dtype)
    back = 1.0
    for axis in axes:
        back /= factor.shape[axis] if padded else images.shape[1 + axis]
    for j in range(len(images)):  # one after the other, so that a core's cache holds it all the time
        image = images[j]
        if padded:
            convolve_padded(image, factor, back, wide)
            continue
        c2c(image, image, axes, True, 1.0, 1)
        if along == ACROSS:
            scale(image, factor)
        else:
            sides = (factor.shape[1], -1) if along == 0 else (-1, factor.shape[2])
            convolve_lines(image.reshape(sides), factor[0], numbers, along)
        c2c(image, image, axes, False, back, 1)


@jit
def convolve_lines(image: Array, factor: Array, numbers: Array, along: int) -> None:
    """The same along lines of an image (n, m) or (m, n), once the axes across are transformed; others become 0."""
    lines, axes = np.empty(factor.shape, image.dtype), np.array([along])
    if along == 0:
        for row in range(len(image)):
            for i in range(len(numbers)):
                lines[row, i] = image[row, numbers[i]]
    else:
        for i in range(len(numbers)):
            lines[i] = image[numbers[i]]
    c2c(lines, lines, axes, True, 1.0, 1)
    scale(lines, factor)
    c2c(lines, lines, axes, False, 1 / lines.shape[along], 1)
    image[:] = 0
    if along == 0:
        for row in range(len(image)):
            for i in range(len(numbers)):
                image[row, numbers[i]] = lines[row, i]
    else:
        for i in range(len(numbers)):
            image[numbers[i]] = lines[i]


@jit
def convolve_padded(image: Array, factor: Array, back: float, wide: Array) -> None:
    """The same on the larger grid of the factor; wide: memory for an image there."""
    depth, height, width = image.shape
    lines, planes = wide[:depth, :height], wide[:depth]  # the others are zero at first, and not needed at last
    lines[:, :, :width] = image
    lines[:, :, width:] = 0
    c2c(lines, lines, np.array([2]), True, 1.0, 1)
    planes[:, height:] = 0
    c2c(planes, planes, np.array([1]), True, 1.0, 1)
    if len(wide) > 1:
        wide[depth:] = 0
        c2c(wide, wide, np.array([0]), True, 1.0, 1)
    scale(wide, factor)
    if len(wide) > 1:
        c2c(wide, wide, np.array([0]), False, 1.0, 1)
    c2c(planes, planes, np.array([1]), False, 1.0, 1)
    c2c(lines, lines, np.array([2]), False, back, 1)
    image[:] = lines[:, :, :width]


@jit
def activate(spectra: Array, table: Array, radius: float, inverse_variance: float) -> None:
    """F phi_k(F^-1 s) of spectra (K, S, ny, nx) in place, phi_k of the real and the imaginary part (`interpolate`)."""
    axes, pixels = np.array([0, 1]), spectra.shape[2] * spectra.shape[3]
    for k in range(len(spectra)):
        for s in range(spectra.shape[1]):
            image = spectra[k, s]
            c2c(image, image, axes, False, 1 / pixels**0.5, 1)
            interpolate(image.reshape(1, -1).view(table.dtype), table[k:k + 1], radius, inverse_variance)
            c2c(image, image, axes, True, 1 / pixels**0.5, 1)


@jit
def normal_of_maps(coefficients: Array, weight: Array, rows: Array, columns: Array, image: Array, borders: Any,
                   factor: Array, axes: Array, numbers: Array, along: int, out: Array) -> None:
    """W E^H (x* U C U^H (x E W chat)), (J, S, *modes), of images x (S, *wide grid) (`WideGrid`), C as in `convolve`.

    weight: W, (*modes); rows, columns: the waves E along either axis.
    """
    coils, frequencies, points = len(coefficients), weight.shape, image.shape[1:]
    grid, real, dtype = (points[0] - 2 * borders[0], points[1] - 2 * borders[1]), weight.dtype, image.dtype
    rows_back, columns_back = np.ascontiguousarray(rows.T), np.ascontiguousarray(columns.T)
    turned, wide = np.empty((1, *frequencies[::-1]), dtype), np.empty((1, points[1], frequencies[0]), dtype)
    narrow, maps = np.empty((1, frequencies[0], points[1]), dtype), np.empty((1, *points), dtype)
    folded = np.empty((1, 1, *grid), dtype)  # as `convolve` takes it
    for j in range(coils):
        for s in range(len(image)):
            turned[0] = (weight * coefficients[j, s]).T
            multiply(columns, turned.view(real), wide.view(real))
            narrow[0] = wide[0].T
            multiply(rows, narrow.view(real), maps.view(real))
            folded[:] = 0
            fold(image[s], maps[0], borders, folded[0, 0])
            convolve(folded, factor, axes, numbers, along)
            unfold(image[s], folded[0, 0], borders, maps[0])
            multiply(rows_back, maps.view(real), narrow.view(real))
            wide[0] = narrow[0].T
            multiply(columns_back, wide.view(real), turned.view(real))
            out[j, s] = weight * turned[0].T


@jit
def fold(image: Array, maps: Array, borders: Any, out: Array) -> None:
    """Add the product of image and maps, with the borders folded back (`WideGrid.folded`)."""
    (top, left), (height, width) = borders, out.shape
    for row in range(len(image)):
        place = (row - top) % height
        for start, count, first in ((0, left, width - left), (left, width, 0), (left + width, left, 0)):
            for i in range(count):
                out[place, first + i] += image[row, start + i] * maps[row, start + i]


@jit
def unfold(image: Array, folded: Array, borders: Any, out: Array) -> None:
    """conj(image) times what is folded, which goes on periodically (`WideGrid.unfolded`)."""
    (top, left), (height, width) = borders, folded.shape
    for row in range(len(image)):
        place = (row - top) % height
        for start, count, first in ((0, left, width - left), (left, width, 0), (left + width, left, 0)):
            for i in range(count):
                out[row, start + i] = image[row, start + i].conjugate() * folded[place, first + i]
