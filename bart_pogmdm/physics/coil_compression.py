"""Linear combinations of coils: noise prewhitening and coil compression."""

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL


def whitening(noise: Array) -> Array:
    """Return W (J, J) that makes noise (J, n) uncorrelated, with equal std in all coils and units kept: det W = 1.

    W = s L^-1 with the covariance L L^H, as in K. P. Pruessmann et al., Magn. Reson. Med. 46, 2001,
    doi 10.1002/mrm.1241.  Raises ValueError where the samples do not determine it.
    """
    noise = np.asarray(noise, complex)
    if noise.ndim != 2 or noise.shape[1] < 2 * len(noise) or not np.isfinite(noise).all():
        raise ValueError(f"noise: expected at least {2 * len(noise)} finite samples of {len(noise)} coils,"
                         f" got an array {noise.shape}")
    covariance = noise @ noise.conj().T / noise.shape[1]
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise ValueError("noise: its covariance is singular (an empty coil, or two equal ones?)") from None
    return np.exp(np.log(np.diag(root).real).mean()) * np.linalg.inv(root)


def compression(samples: Array, count: int) -> Array:
    """Return V (count, J) with orthonormal rows: the virtual coils of most energy in the samples (J, n) of k-space.

    M. Buehrer et al., Magn. Reson. Med. 57, 2007, doi 10.1002/mrm.21237.  Raises ValueError for a bad count.
    """
    samples = np.asarray(samples, complex)
    if not 1 <= count <= len(samples):
        raise ValueError(f"virtual coils: expected 1 to {len(samples)}, got {count}")
    return np.linalg.eigh(samples @ samples.conj().T)[1][:, ::-1][:, :count].conj().T


def by_coil(array: Array) -> Array:
    """Return the samples of each coil, (J, n), of an array in BART's order."""
    return np.moveaxis(array, COIL, 0).reshape(array.shape[COIL], -1)


def mix(matrix: Array, array: Array) -> Array:
    """Combine the coils of an array in BART's order: out_i = sum_j matrix_ij array_j."""
    mixed = np.tensordot(matrix.astype(np.complex64), array, (1, COIL))
    return np.asfortranarray(np.moveaxis(mixed, 0, COIL))


def separate(matrix: Array, sens: Array) -> Array:
    """Return the sensitivities of all coils from those of combined coils, by the pseudo-inverse of the matrix.

    image * sens are again the images of the coils, except for what the combination has left out.
    """
    return mix(np.linalg.pinv(matrix), sens)
