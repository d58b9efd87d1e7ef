"""The prior PoGMDM: shearlet filters, each with a Gaussian-mixture expert.

L. Nagler, M. Zach, T. Pock, Product of Gaussian Mixture Diffusion Model for non-linear MRI Inversion;
M. Zach et al., J. Math. Imaging Vis. 66, 2024, doi 10.1007/s10851-024-01180-3.
"""

from __future__ import annotations

import hashlib
import json
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, reduce
from operator import iadd
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.devices import kept_on_device
from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module, complex_dtype, kernels_for, real_dtype
from ..arrays.threads import shares
from ..files.atomic import write_file
from . import shearlets
from .calibration import Calibration
from .experts import Experts, Latents, Table, of_spectra
from .image_scale import ImageScale
from .rules import PriorRules
from .shearlets import NUM_FILTERS

Activation = Callable[[Array, slice], Array]  # on spectra (K', S, ny, nx) of the responses of a slice of the filters
SCHEMA = 6  # of the prior's file
SHAPES: dict[str, tuple[int | None, ...]] = {  # of the parameters; None: the number of components
    "lowpass": (9,), "directional": (17, 17), "gains": (NUM_FILTERS,), "weights": (NUM_FILTERS, None),
    "means": (None,), "base_std": ()}


@dataclass(frozen=True, eq=False)
class PoGMDM:
    """p_sigma(x) ∝ prod_k prod_ij psi_k((gamma_k K_k x)_ij ; sigma)^alpha(sigma) on real images.

    lowpass h (9,), directional P (17, 17): the filters K_k, normalised such that no frequency counts more than
    once (`shearlets.frame_weight`); gains gamma_k (20,); weights w_kl (20, L) and means mu_l (L,) of the experts.
    Images have maximum about 1; a complex image counts with its real and its imaginary part.  Nothing changes
    after construction.  pixel: the sides of a pixel, at least 1; the prior acts as on the sinc interpolation to 1 x 1.
    """

    lowpass: Array
    directional: Array
    gains: Array
    weights: Array
    means: Array
    base_std: float
    name: str = field(default="unnamed", kw_only=True)
    provenance: dict[str, Any] = field(default_factory=dict, kw_only=True)
    rules: PriorRules = field(default=PriorRules(), kw_only=True)
    pixel: tuple[float, float] = field(default=(1.0, 1.0), kw_only=True)

    def __post_init__(self) -> None:
        for key in ("lowpass", "directional", "gains", "weights", "means"):
            array = np.array(getattr(self, key), float)
            array.setflags(write=False)
            object.__setattr__(self, key, array)
        object.__setattr__(self, "base_std", float(self.base_std))

    @cached_property
    def filters(self) -> Array:
        """The shearlets before normalisation and without gains, centred, (20, 65, 65)."""
        filters = shearlets.filter_bank(self.lowpass, self.directional)
        filters.setflags(write=False)
        return filters

    @cached_property
    def experts(self) -> Experts:
        """The experts of the filters."""
        return Experts(self.weights, self.means, self.base_std, self.rules.noise_gain)

    def spectra(self, shape: Shape, dtype: Any = complex) -> Array:
        """Return gamma_k S_k, the normalised frequency responses with gains at an image size, (20, ny, nx)."""
        square = tuple(round(n * side) for n, side in zip(shape, self.pixel))
        spectra = shearlets.spectra(self.filters, square, dtype)
        spectra *= shearlets.frame_weight(spectra, float(shearlets.overlap(self.filters)), self.rules.ridge)
        spectra *= self.gains.astype(spectra.real.dtype)[:, None, None]
        return shearlets.low(spectra, shape)

    @cached_property
    def _power(self) -> Array:
        """gamma_k^2 |S_k|^2, (20, 128, 128)."""
        return shearlets.power(self.spectra(shearlets.GRID))

    def exponent(self, sigma: float) -> float:
        """Return alpha(sigma): the exponent of the rules, or less where denoising would overshoot.

        Around a constant image denoising multiplies the noise at frequency w by 1 - q(w) with
        q = alpha sigma^2 sum_k gamma_k^2 |S_k(w)|^2 kappa_k(sigma), kappa_k = -phi_k'(0).  It must not amplify: q <= 2.
        """
        peak = np.max(np.tensordot(self.experts.peak_curvature(sigma), self._power, 1))
        return float(min(self.rules.exponent, 2 / max(sigma**2 * peak, 1e-6)))

    @cached_property
    def reconstructing(self) -> PoGMDM:
        """The prior for reconstructions from several coils: the gains of the fine filters times `rules.fine_gain`.

        Denoising and Algorithm 1, which meet high noise levels, take the gains as they were learned.
        """
        return replace(self, gains=np.where(shearlets.is_fine(), self.rules.fine_gain, 1) * self.gains)

    @property
    def image_scale(self) -> ImageScale:
        """Scale of the images that the prior knows."""
        return self.rules.scale

    @property
    def calibration(self) -> Calibration:
        """From the standard deviation of Gibbs sampling to one that covers the errors."""
        return self.rules.calibration

    @cached_property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the SHA-256 of all parameters and rules: all that a result depends on."""
        sha = hashlib.sha256()
        for key in SHAPES:
            sha.update(np.ascontiguousarray(getattr(self, key), "<f4").tobytes())
        sha.update(np.array(list(self.rules.numbers.values()), "<f8").tobytes())
        return sha.hexdigest()[:12]

    def score(self, image: Array, sigma: float, *, exact: bool = False) -> Array:
        """Return grad log p_sigma(x) = alpha sum_k gamma_k K_k^T phi_k(gamma_k K_k x).

        image (…, ny, nx), real or complex -> same shape, type and array module.  phi comes from a table (within
        1e-3), or with exact=True from the mixture itself, slowly.
        """
        images = _planes(image, sigma)
        activate = (self._exact_activation(sigma) if exact else
                    _table(self, float(sigma), array_module(image), real_dtype(image.dtype)).apply_to_spectra)
        return self._pull_back(images, activate, _exponent(self, float(sigma))).reshape(image.shape)

    def _exact_activation(self, sigma: float) -> Activation:
        def activate(responses: Array, experts: Experts) -> None:
            responses.real, responses.imag = (experts.activation(u, sigma) for u in (responses.real, responses.imag))

        return lambda spectra, part: of_spectra(lambda responses: activate(responses, self.experts.part(part)), spectra)

    def drawn_score(self, images: Array, sigma: float, rngs: Sequence[np.random.Generator]) -> Array:
        """Return the score with the component of every response drawn given the response, instead of averaged over.

        alpha sum_k gamma_k K_k^T (mu_k - u_k) / std^2 of images (S, ny, nx), each with a generator of its own.  Given
        the drawn mu_k, p_sigma^(1/alpha) is a Gaussian: this is alpha times the gradient of its logarithm, and
        `curvature` is alpha times its precision.
        """
        seeds = [rng.integers(2**64, dtype=np.uint64) for rng in rngs]
        latents = _latents(self, float(sigma), array_module(images), real_dtype(images.dtype))
        return self._pull_back(images, lambda spectra, part: of_spectra(
            lambda responses: latents.apply(responses, part, seeds), spectra), _exponent(self, float(sigma)))

    def _pull_back(self, images: Array, activate: Activation, factor: float) -> Array:
        """Return factor sum_k gamma_k K_k^T f(gamma_k K_k x) of images (S, ny, nx), where `activate` applies f."""
        xp, dtype = array_module(images), complex_dtype(images.dtype)
        loops, maps = kernels_for(images), _spectra(self, images.shape[-2:], dtype, xp)
        spectra = fftn(images.astype(dtype))

        def work(pieces: list[slice]) -> Array:
            total = xp.zeros_like(spectra)
            for k in pieces:
                responses = xp.empty((len(maps[k]), *spectra.shape), dtype)
                loops.expand(maps[k], spectra, responses)
                loops.combine(maps[k], activate(responses, k), total)
            return total

        scores = factor * ifftn(reduce(iadd, shares(work, NUM_FILTERS, spectra)), overwrite=True)
        return (scores if images.dtype.kind == "c" else scores.real).astype(images.dtype, copy=False)

    def denoise(self, image: Array, sigma: float) -> Array:
        """Return the posterior mean of an image in noise of std sigma (Tweedie): x + sigma^2 score(x, sigma)."""
        return self.score(image, sigma) * float(sigma)**2 + image

    def potential(self, image: Array, sigma: float) -> Any:
        """Return -log p_sigma(x) up to a constant: -alpha sum_k sum_ij log psi_k((gamma_k K_k x)_ij), exactly.

        image (…, ny, nx) -> (…) float64 (a float for one image).
        """
        energies = [self._potential(plane, sigma) for plane in _planes(image, sigma)]
        return np.reshape(energies, image.shape[:-2]) if image.ndim > 2 else energies[0]

    def _potential(self, image: Array, sigma: float) -> float:
        xp = array_module(image)
        parts = (image.real, image.imag) if xp.iscomplexobj(image) else (image,)
        maps = _spectra(self, image.shape, np.complex128, xp)
        return -_exponent(self, float(sigma)) * sum(
            float(self.experts.log_density(ifftn(maps * fftn(part.astype(complex))).real, sigma).sum())
            for part in parts)

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum of the Hessian that majorises -log p_sigma everywhere, (ny, nx) float32.

        H_sigma(w) = alpha sum_k gamma_k^2 |S_k(w)|^2 / std(sigma)^2.  It is exact given the components of the mixture.
        """
        return np.float32(_exponent(self, float(sigma)) / self.experts.std(sigma)**2) * _total_power(self, shape, xp)

    def save(self, path: str | Path) -> None:
        """Write the parameters and rules as npz (schema in `prior_file.load_prior`), whole or not at all."""
        parameters: dict[str, Any] = {key: np.asarray(getattr(self, key), "f4") for key in SHAPES}
        parameters |= {key: np.float64(number) for key, number in self.rules.numbers.items()}
        write_file(path, lambda file: np.savez_compressed(
            file, schema=SCHEMA, name=self.name, provenance=json.dumps(self.provenance, indent=1), **parameters))


def _planes(image: Array, sigma: float) -> Array:
    """Return the (ny, nx) planes of an image; ValueError or TypeError for a bad image or noise level."""
    if not hasattr(image, "dtype"):
        raise TypeError(f"image: expected an array, got {type(image).__name__}")
    if image.ndim < 2 or image.dtype.kind not in "fc" or image.size == 0:
        raise ValueError(f"image: expected real or complex floating point of shape (…, ny, nx),"
                         f" got {image.dtype} {image.shape}")
    if not (isinstance(sigma, numbers.Real) and 0 <= sigma < np.inf):
        raise ValueError(f"sigma: expected a number >= 0, got {sigma!r}")
    return image.reshape(-1, *image.shape[-2:])


# The following depend on a prior and an image size or a noise level only, so a few of each are kept.

@kept_on_device(4)
def _spectra(prior: PoGMDM, shape: Shape, dtype: Any, xp: ArrayModule) -> Array:
    """Return gamma_k S_k, (20, ny, nx)."""
    return xp.asarray(prior.spectra(shape, dtype))


@kept_on_device(4)
def _total_power(prior: PoGMDM, shape: Shape, xp: ArrayModule) -> Array:
    """Return sum_k gamma_k^2 |S_k|^2, (ny, nx) float32."""
    return shearlets.total_power(_spectra(prior, shape, np.complex64, xp))


@lru_cache(maxsize=64)
def _exponent(prior: PoGMDM, sigma: float) -> float:
    return prior.exponent(sigma)


@kept_on_device(64)
def _table(prior: PoGMDM, sigma: float, xp: ArrayModule, dtype: Any) -> Table:
    return prior.experts.table(sigma, xp, dtype)


@kept_on_device(4)
def _latents(prior: PoGMDM, sigma: float, xp: ArrayModule, dtype: Any) -> Latents:
    return prior.experts.latents(sigma, xp, dtype)
