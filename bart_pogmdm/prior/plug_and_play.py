"""Any denoiser as a prior."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.array_types import Array, ArrayModule, Shape
from ..arrays.checks import check_fields
from ..arrays.modules import array_module
from .image_scale import ImageScale


@dataclass(frozen=True)
class PlugAndPlay:
    """A denoiser as a prior for the methods "map" and "diffusion": grad log p_sigma(x) = (D(x, sigma) - x) / sigma^2.

    denoiser: D(image, sigma) -> image, for one real image (ny, nx) float32 of maximum about 1 in white noise of
    standard deviation sigma, a float.  The image is a NumPy array, or a CuPy array where the solver is on a GPU.  It
    gets real and imaginary part of a complex image one after the other.
    image_scale: scale of the images that the denoiser knows.

    This is Tweedie's formula for the mean of the clean image, and regularisation by denoising for other denoisers:
    Y. Romano, M. Elad, P. Milanfar, SIAM J. Imaging Sci. 10, 2017, doi 10.1137/16M1102884.
    """

    denoiser: Callable[[Array, float], Any]
    image_scale: ImageScale = ImageScale()

    def __post_init__(self) -> None:
        if not callable(self.denoiser):
            raise TypeError(f"denoiser: expected a function of an image and sigma, got {type(self.denoiser).__name__}")
        check_fields(self)

    def denoise(self, image: Array, sigma: float) -> Array:
        """Return the denoised images (…, ny, nx), real or complex.

        Raises ValueError where the denoiser does not return a finite real image of the same shape.
        """
        clean = array_module(image).empty_like(image)
        for index in np.ndindex(image.shape[:-2]):
            clean[index].real = self._denoised(image[index].real, sigma)
            if image.dtype.kind == "c":
                clean[index].imag = self._denoised(image[index].imag, sigma)
        return clean

    def score(self, image: Array, sigma: float) -> Array:
        """Return grad log p_sigma(x) of images (…, ny, nx), real or complex."""
        return (self.denoise(image, sigma) - image) / sigma**2

    def curvature(self, shape: Shape, sigma: float, xp: ArrayModule = np) -> Array:
        """Return the spectrum 1 / sigma^2, (ny, nx) float32: it majorises where D has a Jacobian between 0 and 1."""
        return xp.full(shape, 1 / sigma**2, np.float32)

    def _denoised(self, image: Array, sigma: float) -> Array:
        xp = array_module(image)
        clean = xp.asarray(self.denoiser(image.astype(np.float32), float(sigma)))  # a copy, which it may overwrite
        if clean.shape != image.shape or clean.dtype.kind == "c":
            raise ValueError(f"prior: expected a real image {image.shape} from the denoiser,"
                             f" got {clean.dtype} {clean.shape}")
        if not bool(xp.isfinite(clean).all()):
            raise ValueError("prior: expected a finite image from the denoiser, got one that is not")
        return clean
