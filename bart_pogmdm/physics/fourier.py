"""The forward model z_j = M F (c_j x): centred unitary FFT, sampling, and the coil model."""

from ..arrays.fft import fftn, ifftn
from ..arrays.modules import array_module

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
