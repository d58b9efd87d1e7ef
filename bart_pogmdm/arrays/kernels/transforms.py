"""The loops with Fourier transforms on the CPU: without Python between one step and the next, threads need not wait."""

from typing import Any

import numpy as np
from rocket_fft import c2c

from ..array_types import Array
from .compiled import jit
from .cpu import interpolate, multiply, scale, scatter

NO_LINES = 2  # in the place of the axis of lines, 0 or 1: the factor is that of the whole grid


@jit
def fft(stack: Array, out: Array, axes: Array, forward: bool, factor: float, threads: int) -> None:
    """The FFT of an array over some of its axes, times a factor; `out` may be the array itself."""
    c2c(stack, out, axes, forward, factor, threads)


@jit
def convolve(images: Array, factor: Array, axes: Array, on_lines: Array, numbers: Array, along: int,
             threads: int) -> None:
    """F^H R F of images (N, a, b, c) in place, with F along some of the axes 0, 1, 2 of an image (`Convolution`).

    factor: R, (a, b, c).  For L lines along axis 0 or 1 it is (1, n, L) or (1, L, n), `numbers` are those of the lines,
    and on_lines the images as (N, 1, n, m) or (N, 1, m, n).
    """
    back = 1.0
    for axis in axes:
        back /= images.shape[1 + axis]
    for j in range(len(images)):  # one after the other, so that a core's cache holds it all the time
        fft(images[j], images[j], axes, True, 1.0, threads)
        if along == NO_LINES:
            scale(images[j], factor)
        else:
            convolve_lines(on_lines[j], factor, numbers, along, threads)
        fft(images[j], images[j], axes, False, back, threads)


@jit
def convolve_lines(image: Array, factor: Array, numbers: Array, along: int, threads: int) -> None:
    """The same along lines of an image (1, n, m) or (1, m, n) whose axes across are transformed; others become 0."""
    lines, axes = np.empty(factor.shape, image.dtype), np.array([1 + along])
    height, width = factor.shape[1:]
    for row in range(height):
        for i in range(width):
            lines[0, row, i] = image[0, row, numbers[i]] if along == 0 else image[0, numbers[row], i]
    fft(lines, lines, axes, True, 1.0, threads)
    scale(lines, factor)
    fft(lines, lines, axes, False, 1 / lines.shape[1 + along], threads)
    if along == 0:
        scatter(lines, numbers, image)
    else:
        fill(image[0], 0)
        for row in range(height):
            for i in range(width):
                image[0, numbers[row], i] = lines[0, row, i]


@jit
def convolve_padded(images: Array, factor: Array, threads: int) -> None:
    """F^H R F of images (N, a, b, c), filled up with zeros to the grid (A, B, C) of the factor R, in place."""
    wide = np.empty(factor.shape, images.dtype)
    for j in range(len(images)):
        _convolve_padded(images[j], factor, wide, threads)


@jit
def _convolve_padded(image: Array, factor: Array, wide: Array, threads: int) -> None:
    depth, height, width = image.shape
    lines, planes = wide[:depth, :height], wide[:depth]  # the others are zero at first, and not needed at last
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                lines[z, y, x] = image[z, y, x]
        fill(lines[z, :, width:], 0)
        fill(planes[z, height:], 0)
    fft(lines, lines, np.array([2]), True, 1.0, threads)
    fft(planes, planes, np.array([1]), True, 1.0, threads)
    if len(wide) > 1:
        for z in range(depth, len(wide)):
            fill(wide[z], 0)
        fft(wide, wide, np.array([0]), True, 1.0, threads)
    scale(wide, factor)
    if len(wide) > 1:
        fft(wide, wide, np.array([0]), False, 1.0, threads)
    fft(planes, planes, np.array([1]), False, 1.0, threads)
    fft(lines, lines, np.array([2]), False, 1 / wide.size, threads)
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                image[z, y, x] = lines[z, y, x]


@jit
def fill(matrix: Array, value: Any) -> None:
    """Set all numbers of a matrix.  Loops are compiled in less time than assignments to slices."""
    for row in range(len(matrix)):
        for i in range(matrix.shape[1]):
            matrix[row, i] = value


@jit
def transpose(matrix: Array, out: Array) -> None:
    """out = matrix^T."""
    for row in range(len(out)):
        for i in range(out.shape[1]):
            out[row, i] = matrix[i, row]


@jit
def activate(spectra: Array, table: Array, radius: float, inverse_variance: float) -> None:
    """F phi_k(F^-1 s) of spectra (K, S, ny, nx) in place, phi_k of the real and the imaginary part (`interpolate`)."""
    axes, pixels = np.array([0, 1]), spectra.shape[2] * spectra.shape[3]
    for k in range(len(spectra)):
        for s in range(spectra.shape[1]):
            image = spectra[k, s]
            fft(image, image, axes, False, 1 / pixels**0.5, 1)
            interpolate(image.reshape(1, -1).view(table.dtype), table[k:k + 1], radius, inverse_variance)
            fft(image, image, axes, True, 1 / pixels**0.5, 1)


@jit
def coil_images(coefficients: Array, rows: Array, columns: Array, image: Array, borders: Any, out: Array) -> None:
    """Products of images (S, *wide grid) and maps of coefficients (J, S or 1, *modes), folded (`WideGrid.coil_images`).

    rows, columns: the waves along either axis.
    """
    (height, width), real, dtype = image.shape[1:], rows.dtype, image.dtype
    down, across = rows.shape[1], columns.shape[1]
    turned, wide = np.empty((1, across, down), dtype), np.empty((1, width, down), dtype)
    narrow, maps = np.empty((1, down, width), dtype), np.empty((1, height, width), dtype)
    for j in range(len(coefficients)):
        for s in range(len(image)):
            if s < coefficients.shape[1]:  # otherwise the maps are those of the image before
                transpose(coefficients[j, s], turned[0])
                multiply(columns, turned.view(real), wide.view(real))
                transpose(wide[0], narrow[0])
                multiply(rows, narrow.view(real), maps.view(real))
            fold(image[s], maps[0], borders, out[j, s])


@jit
def of_coil_images(seen: Array, rows: Array, columns: Array, image: Array, borders: Any, out: Array) -> None:
    """The adjoint (J, S, *modes) of coil images (J, S or 1, *grid), with the transposed waves (`WideGrid.adjoint`)."""
    (height, width), real, dtype = image.shape[1:], rows.dtype, image.dtype
    down, across = len(rows), len(columns)
    turned, wide = np.empty((1, across, down), dtype), np.empty((1, width, down), dtype)
    narrow, maps = np.empty((1, down, width), dtype), np.empty((1, height, width), dtype)
    for j in range(len(seen)):
        for s in range(len(image)):
            unfold(image[s], seen[j, s % seen.shape[1]], borders, maps[0])
            multiply(rows, maps.view(real), narrow.view(real))
            transpose(narrow[0], wide[0])
            multiply(columns, wide.view(real), turned.view(real))
            transpose(turned[0], out[j, s])


@jit
def fold(image: Array, maps: Array, borders: Any, out: Array) -> None:
    """The product of image and maps, with the borders folded back (`WideGrid.folded`)."""
    fill(out, 0)
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
