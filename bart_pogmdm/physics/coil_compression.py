"""Linear combinations of coils: noise prewhitening and coil compression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays.array_types import Array
from ..arrays.bart_dims import COIL
from ..arrays.checks import check_fields
from ..arrays.modules import array_module, kernels_for
from ..arrays.threads import pieces


@dataclass(frozen=True)
class CoilRules:
    """How many virtual coils are reconstructed."""

    lost: float = 0.1
    """Mean power of the signal in the coils that are left out together, in that of the noise of one coil: what is far
    below the noise changes no image, but takes as long as what is above it."""

    least: int = 3
    """Virtual coils at least."""

    def __post_init__(self) -> None:
        check_fields(self)


def above_noise(scans: Sequence[tuple[Array, float]], rules: CoilRules) -> Array | None:
    """Return V (count, J) with orthonormal rows: the virtual coils without those whose signal is lost in their noise.

    scans: samples (J, M) of images that share their coils, and their noise_std.  None where all coils are needed.
    Where the power is less than that of the noise could be by chance, as in empty coils, it makes up for no signal: the
    least by chance is (1 - (J / M)^(1/2))^2 (V. A. Marchenko and L. A. Pastur, Math. USSR Sb. 1, 1967).
    """
    power = sum(covariance(samples) / max(2 * samples.shape[1] * noise_std**2, 1e-30) for samples, noise_std in scans)
    energies, coils = np.linalg.eigh(power / len(scans))  # the mean power of a sample, in units of the noise
    least = max(1 - (len(energies) / sum(samples.shape[1] for samples, _ in scans)) ** 0.5, 0.0) ** 2
    lost = int((np.cumsum(energies.clip(least) - 1) <= rules.lost).sum())
    count = max(len(energies) - lost, rules.least)
    return None if count >= len(energies) else coils[:, ::-1][:, :count].conj().T


def covariance(samples: Array) -> Array:
    """Return sum_m z_im conj(z_jm) of samples (J, M), on the CPU."""
    xp = array_module(samples)
    total = xp.zeros((len(samples), len(samples)), complex)
    for part in pieces(samples.shape[1], samples[:, 0]):  # in double precision all would need much memory
        of_part = samples[:, part].astype(complex)
        total += xp.einsum("im,jm->ij", of_part, of_part.conj())  # BLAS: rounding depends on its threads
    return total if xp is np else total.get()


def combined(matrix: Array, samples: Array) -> Array:
    """Return combinations of coils, (I, …), of arrays (J, …): out_i = sum_j matrix_ij array_j."""
    xp, flat = array_module(samples), samples.reshape(1, len(samples), -1)
    out = xp.empty((1, len(matrix), flat.shape[2]), samples.dtype)
    matrix = xp.ascontiguousarray(xp.asarray(matrix, samples.dtype))
    kernels_for(samples).multiply(matrix, xp.ascontiguousarray(flat), out)
    return out.reshape(len(matrix), *samples.shape[1:])


def whitening(noise_scan: Array) -> Array:
    """Return W (J, J) that makes noise (J, n) uncorrelated, with equal std in all coils and units kept: det W = 1.

    W = s L^-1 with the covariance L L^H, as in K. P. Pruessmann et al., Magn. Reson. Med. 46, 2001,
    doi 10.1002/mrm.1241.  Raises ValueError where the samples do not determine it.
    """
    noise = np.asarray(noise_scan, complex)
    if noise.shape[1] < 2 * len(noise):
        raise ValueError(f"noise_scan: expected at least {2 * len(noise)} samples of {len(noise)} coils,"
                         f" got {noise.shape[1]}")
    if not np.isfinite(noise).all():
        raise ValueError("noise_scan: expected finite samples, got NaN or infinite ones")
    of_noise = covariance(noise) / noise.shape[1]
    try:
        root = np.linalg.cholesky(of_noise)
    except np.linalg.LinAlgError:
        raise ValueError("noise_scan: its covariance is singular (an empty coil, or two equal ones?)") from None
    return np.exp(np.log(np.diag(root).real).mean()) * np.linalg.inv(root)


def compression(samples: Array, count: int) -> Array:
    """Return V (count, J) with orthonormal rows: the virtual coils of most energy in the samples (J, n) of k-space.

    M. Buehrer et al., Magn. Reson. Med. 57, 2007, doi 10.1002/mrm.21237.  Raises ValueError for a bad count.
    """
    samples = np.asarray(samples, complex)
    if not 1 <= count <= len(samples):
        raise ValueError(f"virtual_coils: expected 1 to {len(samples)}, got {count}")
    return np.linalg.eigh(covariance(samples))[1][:, ::-1][:, :count].conj().T


def lost_part(samples: Array, count: int) -> float:
    """Return the part of the energy of samples (J, n) that `compression` loses, both beyond that of the weakest coil.

    The weakest virtual coil holds noise, of which each coil has as much.
    """
    energies = np.linalg.eigvalsh(covariance(np.asarray(samples, complex)))
    energies = energies - energies[0]
    return float(energies[:len(energies) - count].sum() / max(energies.sum(), 1e-300))


def by_coil(array: Array) -> Array:
    """Return the samples of each coil, (J, n), of an array in BART's order."""
    return np.moveaxis(array, COIL, 0).reshape(array.shape[COIL], -1)


def mix(matrix: Array, array: Array) -> Array:
    """Combine the coils of an array in BART's order: out_i = sum_j matrix_ij array_j."""
    mixed = np.tensordot(matrix.astype(np.result_type(array, np.complex64)), array, (1, COIL))
    return np.asfortranarray(np.moveaxis(mixed, 0, COIL))
