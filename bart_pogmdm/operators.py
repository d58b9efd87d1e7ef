"""The forward model z_j = M F (c_j x): centred unitary FFT, sampling, and the coil model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .backend import array_module, fftn, ifftn, inner, kernels, share

PLANE = (-2, -1)


def fft2c(image, axes=PLANE):
    """Centred unitary FFT over the last two axes, as `bart fft -u`: fftshift(fft2(ifftshift(x)))."""
    xp = array_module(image)
    return xp.fft.fftshift(fftn(xp.fft.ifftshift(image, axes), axes), axes)


def ifft2c(kspace, axes=PLANE):
    """Inverse and adjoint of `fft2c`."""
    xp = array_module(kspace)
    return xp.fft.fftshift(ifftn(xp.fft.ifftshift(kspace, axes), axes), axes)


def resize(array, shape):
    """Crop or zero-pad the last two axes about the centre n // 2."""
    xp = array_module(array)
    out = xp.zeros((*array.shape[:-2], *shape), array.dtype)
    cut = [(slice(max(0, n // 2 - m // 2), n // 2 - m // 2 + m), slice(max(0, m // 2 - n // 2), m // 2 - n // 2 + n))
           for n, m in zip(array.shape[-2:], shape)]
    out[..., cut[0][1], cut[1][1]] = array[..., cut[0][0], cut[1][0]]
    return out


def resample(image, shape):
    """The image at another size: its k-space cropped or zero-padded (unitary, so the adjoint is the way back)."""
    return image if image.shape[-2:] == tuple(shape) else ifft2c(resize(fft2c(image), shape))


@dataclass(frozen=True, eq=False)
class Sampling:
    """M F: unitary FFT of (J, ny, nx) images, zero frequency first, then the mask (ny, nx) of zeros and ones.

    An axis along which the mask does not vary is left untransformed: there F^H M F = M, so neither
    norms nor the normal operator notice, and half of the work is saved for sampled lines.
    """

    mask: np.ndarray

    @classmethod
    def centred(cls, mask, dtype):
        """From a mask with the zero frequency at n // 2."""
        xp = array_module(mask)
        return cls(xp.ascontiguousarray(xp.fft.ifftshift(mask), dtype))

    @cached_property
    def count(self):
        """Number of samples of one coil."""
        return float(self.mask.sum())

    @cached_property
    def axes(self):
        """The axes that are transformed: those along which the mask varies."""
        mask = self.mask
        varies = (bool((mask != mask[:1]).any()), bool((mask != mask[:, :1]).any()))
        return tuple(axis for axis, needed in zip(PLANE, varies) if needed)

    def forward(self, images):
        """M F x; may overwrite x."""
        samples = fftn(images, self.axes, overwrite=True)
        kernels(samples).scale(samples, self.mask)
        return samples

    def adjoint(self, samples):
        """F^H z for samples that are zero where the mask is; may overwrite z."""
        return ifftn(samples, self.axes, overwrite=True)


@dataclass(frozen=True, eq=False)
class CoilModel:
    """A x = M F (c_j x), linear in the image x (ny, nx) for fixed sensitivities c (J, ny, nx)."""

    sampling: Sampling
    sens: np.ndarray

    @cached_property
    def is_trivial(self):
        """Whether there is one coil that sees everything as it is."""
        return len(self.sens) == 1 and bool((self.sens == 1).all())

    def _forward(self, image, coils):
        sens = self.sens[coils]
        images = array_module(image).empty_like(sens)
        kernels(image).expand(sens, image, images)
        return self.sampling.forward(images)

    def _adjoint(self, samples_of, image):
        """sum_j conj(c_j) F^H z_j over pieces z, number = samples_of(coils), and the sum of the numbers."""
        def work(pieces):
            out, total = array_module(image).zeros_like(image), 0
            for coils in pieces:
                samples, number = samples_of(coils)
                total = total + number
                kernels(out).combine(self.sens[coils], self.sampling.adjoint(samples), out)
            return out, total

        return map(sum, zip(*share(work, len(self.sens), image)))

    def forward(self, image):
        """A x, (J, ny, nx)."""
        return self._forward(image, slice(None))

    def adjoint(self, samples):
        """A^H z, (ny, nx), for samples that are zero where the mask is."""
        return next(self._adjoint(lambda coils: (samples[coils].copy(), 0), samples[0]))

    def normal(self, image):
        """A^H A x."""
        return next(self._adjoint(lambda coils: (self._forward(image, coils), 0), image))

    def gradient(self, image, samples):
        """Gradient of ||A x - z||^2 / 2 and the residual power: A^H (A x - z), ||A x - z||^2."""
        def residual(coils):
            difference = self._forward(image, coils) - samples[coils]
            return difference, inner(difference, difference)

        return tuple(self._adjoint(residual, image))
