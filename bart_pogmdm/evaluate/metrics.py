"""Scores of an image against its reference, of its standard deviation against its error, and of sensitivities."""

import numpy as np
from scipy.interpolate import make_lsq_spline
from scipy.ndimage import binary_fill_holes
from scipy.stats import spearmanr

from ..arrays.array_types import Array
from ..physics.coil_model import rss
from ..prior.calibration import BAND

OBJECT_THRESHOLD = 0.1  # The object is where the reference exceeds this part of its maximum; the rest is air.
KNOTS = 5  # Inner ones of the spline of `fit_intensity`.
BLOCK = 8  # Side in pixels of the blocks over which `rank_correlation` averages, because single errors are random.


def object_of(reference: Array) -> Array:
    """Return the mask of the object: the pixels where the reference exceeds OBJECT_THRESHOLD, with holes filled."""
    return binary_fill_holes(reference > OBJECT_THRESHOLD * reference.max())


def fit_scale(image: Array, reference: Array) -> float:
    """Return the factor of |image| that fits it to the reference inside the object, by least squares."""
    inside = object_of(reference)
    magnitude, truth = np.abs(image)[inside], reference[inside]
    return float((magnitude @ truth) / (magnitude @ magnitude))


def _error(image: Array, reference: Array) -> Array:
    """Return |image| - reference, after `fit_scale`."""
    return fit_scale(image, reference) * np.abs(image) - reference


def _psnr(error: Array, reference: Array) -> float:
    return float(10 * np.log10(reference.max() ** 2 / np.mean(error**2)))


def psnr(image: Array, reference: Array) -> float:
    """Return the PSNR inside the object in dB, relative to the maximum of the reference, after `fit_scale`."""
    return _psnr(_error(image, reference)[object_of(reference)], reference)


def psnr_of_field(image: Array, reference: Array) -> float:
    """Return the PSNR over the whole field of view in dB, in which air counts as much as the object."""
    return _psnr(_error(image, reference), reference)


def ssim(image: Array, reference: Array) -> float:
    """Return the structural similarity, averaged over the object, after `fit_scale`.

    Z. Wang et al., IEEE Trans. Image Process. 13, 2004, doi 10.1109/TIP.2003.819861.
    """
    from skimage.metrics import structural_similarity
    scaled = (fit_scale(image, reference) * np.abs(image)).astype(reference.dtype)
    similarity = structural_similarity(scaled, reference, data_range=float(reference.max()), full=True)[1]
    return float(similarity[object_of(reference)].mean())


def nmse(image: Array, reference: Array) -> float:
    """Return ||image - reference||^2 / ||reference||^2 inside the object, after `fit_scale`."""
    inside = object_of(reference)
    error = _error(image, reference)[inside]
    return float((error @ error) / (reference[inside] @ reference[inside]))


def fit_intensity(image: Array, reference: Array) -> Array:
    """Map the intensities of |image| by the cubic spline that fits the reference best inside the object."""
    inside = object_of(reference)
    magnitude, truth = np.abs(image)[inside].astype(float), reference[inside]
    order = np.argsort(magnitude, kind="stable")
    inner = np.unique(np.quantile(magnitude, np.linspace(0, 1, KNOTS + 2)[1:-1]))
    ends = magnitude[order[[0, -1]]]
    spline = make_lsq_spline(magnitude[order], truth[order], np.r_[[ends[0]] * 4, inner, [ends[1]] * 4])
    mapped = spline(np.clip(np.abs(image), *ends))
    return np.where(np.abs(image) < ends[0], mapped * np.abs(image) / max(ends[0], 1e-30), mapped)


def unexplained(sens: Array, coil_images: Array) -> Array:
    """Return the RSS (ny, nx) of the part of full coil images (J, ny, nx) that no image times `sens` explains."""
    power = np.maximum((np.abs(sens) ** 2).sum(0), 1e-30)
    return rss(coil_images - sens * ((sens.conj() * coil_images).sum(0) / power))


def null_space_residual(sens: Array, coil_images: Array, reference: Array) -> float:
    """Return the part of the energy of the coil images inside the object that is `unexplained`."""
    inside = object_of(reference)
    return float((unexplained(sens, coil_images)[inside] ** 2).sum() / (np.abs(coil_images[:, inside]) ** 2).sum())


def coverage(image: Array, std: Array, reference: Array) -> float:
    """Return the part of the object where |image| +- 1.645 std contains the reference.

    It is 0.9 if the standard deviation is calibrated and the errors are normal.
    """
    return float(np.mean(standardised_error(image, std, reference) <= BAND))


def standardised_error(image: Array, std: Array, reference: Array) -> Array:
    """Return | |image| - reference | / std at the pixels of the object, after `fit_scale`."""
    scale, inside = fit_scale(image, reference), object_of(reference)
    return np.abs(scale * np.abs(image) - reference)[inside] / np.maximum(scale * std[inside], 1e-12)


def rank_correlation(image: Array, std: Array, reference: Array) -> float:
    """Return Spearman's correlation of std and absolute error, both averaged over blocks of the last two axes.

    A block is used if at least half of it is in the object.
    """
    inside = object_of(reference)
    error = np.abs(_error(image, reference))
    counts, errors, stds = (_block_sums(values * inside) for values in (np.ones_like(reference), error, std))
    used = counts >= BLOCK**2 / 2
    return float(spearmanr(errors[used] / counts[used], stds[used] / counts[used])[0])


def _block_sums(values: Array) -> Array:
    """Sum (…, ny, nx) over blocks of BLOCK x BLOCK pixels; incomplete blocks at the end are left out."""
    ny, nx = (n // BLOCK for n in values.shape[-2:])
    return values[..., :ny * BLOCK, :nx * BLOCK].reshape(*values.shape[:-2], ny, BLOCK, nx, BLOCK).sum((-3, -1))
