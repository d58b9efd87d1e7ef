"""How near an image is to its reference, and how true its standard deviation."""

import numpy as np
from scipy.interpolate import make_lsq_spline
from scipy.ndimage import binary_fill_holes
from scipy.stats import spearmanr

from ..physics.coil_model import rss

NORMAL_90 = 1.6449  # half width of the central 90 % of a normal distribution, in std
BLOCK = 8


def object_of(reference):
    """Where the reference is above a tenth of its maximum, holes filled."""
    return binary_fill_holes(reference > 0.1 * reference.max())


def fit_scale(image, reference):
    """The factor of |image| that brings it nearest to the reference inside the object."""
    inside = object_of(reference)
    magnitude, truth = np.abs(image)[inside], reference[inside]
    return float((magnitude @ truth) / (magnitude @ magnitude))


def _error(image, reference):
    """|image| - reference, after `fit_scale`."""
    return fit_scale(image, reference) * np.abs(image) - reference


def _psnr(error, reference):
    return float(10 * np.log10(reference.max() ** 2 / np.mean(error**2)))


def psnr(image, reference):
    """In dB inside the object, to the maximum of the reference, after `fit_scale`."""
    return _psnr(_error(image, reference)[object_of(reference)], reference)


def psnr_of_field(image, reference):
    """As `psnr`, over the whole field of view: air counts as much as the object."""
    return _psnr(_error(image, reference), reference)


def ssim(image, reference):
    """Structural similarity (Z. Wang et al., IEEE TIP 13, 2004), the mean over the object, after `fit_scale`."""
    from skimage.metrics import structural_similarity
    scaled = (fit_scale(image, reference) * np.abs(image)).astype(reference.dtype)
    similarity = structural_similarity(scaled, reference, data_range=float(reference.max()), full=True)[1]
    return float(similarity[object_of(reference)].mean())


def nmse(image, reference):
    """||image - reference||^2 / ||reference||^2 inside the object, after `fit_scale`."""
    inside = object_of(reference)
    error = _error(image, reference)[inside]
    return float((error @ error) / (reference[inside] @ reference[inside]))


def fit_intensity(image, reference, knots=5):
    """|image| with its intensities mapped by the cubic spline that fits the reference best in the object."""
    inside = object_of(reference)
    magnitude, truth = np.abs(image)[inside].astype(float), reference[inside]
    order = np.argsort(magnitude, kind="stable")
    inner = np.unique(np.quantile(magnitude, np.linspace(0, 1, knots + 2)[1:-1]))
    ends = magnitude[order[[0, -1]]]
    spline = make_lsq_spline(magnitude[order], truth[order], np.r_[[ends[0]] * 4, inner, [ends[1]] * 4])
    mapped = spline(np.clip(np.abs(image), *ends))
    return np.where(np.abs(image) < ends[0], mapped * np.abs(image) / max(ends[0], 1e-30), mapped)


def unexplained(sens, coil_images):
    """RSS of the part of fully sampled coil images that no image times `sens` explains, (ny, nx)."""
    power = np.maximum((np.abs(sens) ** 2).sum(0), 1e-30)
    left = coil_images - sens * ((sens.conj() * coil_images).sum(0) / power)
    return rss(left)


def null_space_residual(sens, coil_images, reference):
    """The part of the energy inside the object that is `unexplained`."""
    inside = object_of(reference)
    return float((unexplained(sens, coil_images)[inside] ** 2).sum() / (np.abs(coil_images[:, inside]) ** 2).sum())


def coverage(image, std, reference):
    """Part of the object where |image| +- 1.645 std holds the reference: 0.9 for a calibrated normal posterior."""
    return float(np.mean(standardised_error(image, std, reference) <= NORMAL_90))


def standardised_error(image, std, reference):
    """| |image| - reference | / std at the pixels of the object, after `fit_scale`."""
    scale, inside = fit_scale(image, reference), object_of(reference)
    return np.abs(scale * np.abs(image) - reference)[inside] / np.maximum(scale * std[inside], 1e-12)


def rank_correlation(image, std, reference):
    """Spearman's, of std and absolute error, averaged over the blocks of 8 x 8 that lie at least half in the object."""
    inside = object_of(reference)
    error = np.abs(_error(image, reference))
    counts, errors, stds = (_block_sums(values * inside) for values in (np.ones_like(reference), error, std))
    used = counts >= BLOCK**2 / 2
    return float(spearmanr(errors[used] / counts[used], stds[used] / counts[used])[0])


def _block_sums(values):
    ny, nx = (n // BLOCK for n in values.shape)
    return values[:ny * BLOCK, :nx * BLOCK].reshape(ny, BLOCK, nx, BLOCK).sum((1, 3))
