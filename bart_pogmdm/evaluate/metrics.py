"""How near an image is to its reference, and how true its standard deviation."""

import numpy as np
from scipy.ndimage import binary_fill_holes
from scipy.stats import spearmanr

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


def psnr(image, reference):
    """In dB inside the object, to the maximum of the reference, after `fit_scale`."""
    inside = object_of(reference)
    error = (fit_scale(image, reference) * np.abs(image) - reference)[inside]
    return float(10 * np.log10(reference.max() ** 2 / np.mean(error**2)))


def ssim(image, reference):
    """Structural similarity (Z. Wang et al., IEEE TIP 13, 2004), the mean over the object, after `fit_scale`."""
    from skimage.metrics import structural_similarity
    scaled = (fit_scale(image, reference) * np.abs(image)).astype(reference.dtype)
    similarity = structural_similarity(scaled, reference, data_range=float(reference.max()), full=True)[1]
    return float(similarity[object_of(reference)].mean())


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
    error = np.abs(fit_scale(image, reference) * np.abs(image) - reference)
    counts, errors, stds = (_block_sums(values * inside) for values in (np.ones_like(reference), error, std))
    used = counts >= BLOCK**2 / 2
    return float(spearmanr(errors[used] / counts[used], stds[used] / counts[used])[0])


def _block_sums(values):
    ny, nx = (n // BLOCK for n in values.shape)
    return values[:ny * BLOCK, :nx * BLOCK].reshape(ny, BLOCK, nx, BLOCK).sum((1, 3))
