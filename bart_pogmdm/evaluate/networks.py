"""The paper's learned baselines, with weights that the user supplies; torch and fastmri are imported on demand."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..arrays.array_types import Array
from ..physics.coil_model import rss
from ..physics.fourier import ifft2c
from ..prior.image_scale import ImageScale

CLAMP = 6  # fastMRI's U-Net is trained on images of mean 0 and standard deviation 1, clamped to +- this value.
Weights: TypeAlias = dict[str, Any]  # {name of a parameter: tensor}


def unet(kspace: Array, mask: Array, path: str | Path) -> Array:
    """Reconstruct a magnitude image (ny, nx) by fastMRI's U-Net from the zero-filled RSS."""
    import torch
    network = load_unet(path)
    image = rss(ifft2c(kspace * mask))
    mean, std = image.mean(), image.std() + 1e-11
    normalised = np.clip((image - mean) / std, -CLAMP, CLAMP).astype(np.float32)
    with torch.no_grad():
        return network(torch.from_numpy(normalised)[None, None])[0, 0].numpy() * std + mean


def varnet(kspace: Array, mask: Array, path: str | Path) -> Array:
    """Reconstruct a magnitude image (ny, nx) by the VarNet, which estimates sensitivities from the central columns.

    Data with sampled rows are transposed.
    """
    import torch
    if central_columns(mask) < central_columns(mask.T):
        return varnet(kspace.swapaxes(1, 2), mask.T, path).T
    network = load_varnet(path)
    samples = np.ascontiguousarray(kspace * mask, np.complex64)
    sampled = torch.from_numpy(np.ascontiguousarray(mask, bool))[None, None, ..., None]
    with torch.no_grad():
        return network(torch.view_as_real(torch.from_numpy(samples))[None], sampled, central_columns(mask))[0].numpy()


def central_columns(mask: Array) -> int:
    """Return the number of fully sampled columns that are symmetric around the centre, at least 1."""
    whole, centre = np.asarray(mask.all(0)), mask.shape[1] // 2
    left, right = (int(np.argmin(np.append(part, False))) for part in (whole[:centre][::-1], whole[centre:]))
    return max(2 * min(left, right), 1)


def load_unet(path: str | Path) -> Any:
    """Load fastMRI's U-Net from a checkpoint, with any number of channels and layers.

    J. Zbontar et al., arXiv 1811.08839.  Raises ValueError for other files, ImportError without fastmri.
    """
    from fastmri.models import Unet

    def build(weights: Weights) -> Any:
        channels, layers = _unet_size(weights)
        return Unet(1, 1, channels, layers)

    return _load(build, path, "unet.", "U-Net")


def load_varnet(path: str | Path) -> Any:
    """Load the end-to-end variational network (VarNet) of fastMRI from a checkpoint, of any size.

    A. Sriram et al., MICCAI 2020, doi 10.1007/978-3-030-59713-9_7.  Raises ValueError for other files, ImportError
    without fastmri.
    """
    from fastmri.models import VarNet

    def build(weights: Weights) -> Any:
        cascades = {key.split(".")[1] for key in weights if key.startswith("cascades.")}
        sens_channels, sens_layers = _unet_size(weights, "sens_net.norm_unet.unet.")
        channels, layers = _unet_size(weights, "cascades.0.model.unet.")
        return VarNet(len(cascades), sens_channels, sens_layers, channels, layers)

    return _load(build, path, "varnet.", "VarNet")


def _load(build: Callable[[Weights], Any], path: str | Path, prefix: str, name: str) -> Any:
    """Load a network, which `build` makes with the sizes in a checkpoint, in evaluation mode."""
    weights = _read_weights(path, prefix)
    try:
        network = build(weights)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"weights {path}: not those of a {name} of fastmri ({reason})") from None
    return network.eval()


def _read_weights(path: str | Path, prefix: str) -> Weights:
    """Read the state dict of a checkpoint.

    The names in a checkpoint of a Lightning module begin with `prefix`, which is removed.
    """
    import torch
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch has no common type for the errors of a broken file.
        raise ValueError(f"weights {path}: not a checkpoint of torch ({str(error).splitlines()[0]})") from None
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise ValueError(f"weights {path}: expected a state dict, got {type(content).__name__}")
    if any(key.startswith(prefix) for key in content):
        content = {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}
    return content


def _unet_size(weights: Weights, prefix: str = "") -> tuple[int, int]:
    """Return the numbers of channels and pooling layers of the U-Net with names that begin with `prefix`."""
    first = f"{prefix}down_sample_layers."
    layers = {key.removeprefix(first).split(".")[0] for key in weights if key.startswith(first)}
    return len(weights[f"{first}0.layers.0.weight"]), len(layers)


class TorchDenoiser:
    """A denoising network as a prior: score(x, sigma) = (D(x, sigma) - x) / sigma^2 (Tweedie's formula).

    path: TorchScript of a module D(images (n, 1, ny, nx), sigmas (n,)) -> (n, 1, ny, nx), the posterior mean of an
    image in noise of standard deviation sigma; real and imaginary part are two images.
    brightness: 99.9 % quantile of the magnitude of its training images; in `recon` that quantile is `ImageScale.start`.
    Use it as `recon(…, prior=TorchDenoiser(path), method="diffusion")`; the other methods need a curvature, which it
    does not have.
    """

    def __init__(self, path: str | Path, brightness: float = 1.0) -> None:
        import torch
        try:
            with warnings.catch_warnings():  # torch will replace TorchScript, in which users have their networks today.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"weights {path}: not a TorchScript module ({reason})") from None
        self.name, self.scale = Path(path).stem, brightness / ImageScale().start
        self.digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]

    def score(self, image: Array, sigma: float) -> Array:
        """Return grad log p_sigma(x) of images (…, ny, nx), real or complex."""
        import torch
        parts = np.stack([image.real, image.imag] if np.iscomplexobj(image) else [image])
        scaled = torch.from_numpy(np.float32(parts.reshape(-1, 1, *image.shape[-2:]) * self.scale))
        with torch.no_grad():
            clean = self.network(scaled, torch.full((len(scaled),), sigma * self.scale)).numpy() / self.scale
        clean = clean.reshape(parts.shape)
        clean = clean[0] + 1j * clean[1] if len(parts) == 2 else clean[0]
        return ((clean - image) / sigma**2).astype(image.dtype)
