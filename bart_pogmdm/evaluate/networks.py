"""The paper's learned baselines, with weights that the user supplies; torch (and fastmri) are imported on demand."""

import contextlib
import hashlib
import warnings
from pathlib import Path

import numpy as np

from ..physics.coil_model import rss
from ..physics.fourier import ifft2c

CLAMP = 6  # fastMRI's U-Net sees images of mean 0 and std 1, not brighter than this


def _state(path, prefix):
    """The parameters in a checkpoint: a state dict, or that of a Lightning module that has them under `prefix`."""
    import torch
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # torch has no common type for what can be wrong with a file
        raise ValueError(f"weights {path}: not a checkpoint of torch ({str(error).splitlines()[0]})") from None
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise ValueError(f"weights {path}: expected a state dict, got {type(content).__name__}")
    if any(key.startswith(prefix) for key in content):
        content = {key.removeprefix(prefix): value for key, value in content.items() if key.startswith(prefix)}
    return content


def _unet_size(state, prefix=""):
    """Channels and pooling layers of the U-Net under a prefix."""
    first = f"{prefix}down_sample_layers."
    layers = {key.removeprefix(first).split(".")[0] for key in state if key.startswith(first)}
    return len(state[f"{first}0.layers.0.weight"]), len(layers)


def _load(build, path, prefix, name):
    """The network that `build` makes of the sizes in a checkpoint, with its parameters, ready to be evaluated."""
    state = _state(path, prefix)
    try:
        network = build(state)
        network.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"weights {path}: not those of a {name} of fastmri ({reason})") from None
    return network.eval()


def load_unet(path):
    """fastMRI's U-Net from a checkpoint of any number of channels and layers.

    J. Zbontar et al., arXiv 1811.08839.  Raises ValueError for other files, ImportError without fastmri.
    """
    from fastmri.models import Unet

    def build(state):
        channels, layers = _unet_size(state)
        return Unet(1, 1, channels, layers)

    return _load(build, path, "unet.", "U-Net")


def load_varnet(path):
    """The end-to-end variational network from a checkpoint of any size.

    A. Sriram et al., MICCAI 2020, doi 10.1007/978-3-030-59713-9_7.  Raises ValueError for other files, ImportError
    without fastmri.
    """
    from fastmri.models import VarNet

    def build(state):
        cascades = {key.split(".")[1] for key in state if key.startswith("cascades.")}
        sens_channels, sens_layers = _unet_size(state, "sens_net.norm_unet.unet.")
        channels, layers = _unet_size(state, "cascades.0.model.unet.")
        return VarNet(len(cascades), sens_channels, sens_layers, channels, layers)

    return _load(build, path, "varnet.", "VarNet")


def unet(kspace, mask, path):
    """Magnitude image (ny, nx): fastMRI's U-Net on the zero-filled RSS."""
    import torch
    network = load_unet(path)
    image = rss(ifft2c(kspace * mask))
    mean, std = image.mean(), image.std() + 1e-11
    normalised = np.clip((image - mean) / std, -CLAMP, CLAMP).astype(np.float32)
    with torch.no_grad():
        return network(torch.from_numpy(normalised)[None, None])[0, 0].numpy() * std + mean


def varnet(kspace, mask, path):
    """Magnitude image (ny, nx): the variational network, which estimates sensitivities from the central columns.

    Data with sampled rows are turned.
    """
    import torch
    if _central_columns(mask) < _central_columns(mask.T):
        return varnet(kspace.swapaxes(1, 2), mask.T, path).T
    network = load_varnet(path)
    samples = np.ascontiguousarray(kspace * mask, np.complex64)
    sampled = torch.from_numpy(np.ascontiguousarray(mask, bool))[None, None, ..., None]
    with torch.no_grad():
        return network(torch.view_as_real(torch.from_numpy(samples))[None], sampled, _central_columns(mask))[0].numpy()


def _central_columns(mask):
    """How many whole columns around the centre are sampled, at least 1."""
    whole, centre = mask.all(0), mask.shape[1] // 2
    left, right = (int(np.argmin(np.append(part, False))) for part in (whole[:centre][::-1], whole[centre:]))
    return max(2 * min(left, right), 1)


class TorchDenoiser:
    """A denoising network in the place of the prior: score(x, sigma) = (D(x, sigma) - x) / sigma^2.

    path: TorchScript of a module D(images (n, 1, ny, nx), sigmas (n,)) -> (n, 1, ny, nx), the mean of what lies under
    noise of a standard deviation sigma; it sees real and imaginary part as two images.  brightness: what the 99.9 %
    quantile of the magnitude of its training images was (those of `recon` have `brightness.START_BRIGHTNESS`).
    For `recon(…, prior=TorchDenoiser(path), method="diffusion")`: it has no curvature, as the other methods need it.
    """

    def __init__(self, path, brightness=1.0):
        import torch

        from ..prior.image_scale import START_BRIGHTNESS
        try:
            with _quiet():
                self.network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"weights {path}: not a TorchScript module ({reason})") from None
        self.name, self.scale = Path(path).stem, brightness / START_BRIGHTNESS
        self.digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]

    def score(self, image, sigma):
        """grad log p_sigma(x) of images (…, ny, nx), real or complex."""
        import torch
        parts = np.stack([image.real, image.imag] if np.iscomplexobj(image) else [image])
        scaled = torch.from_numpy(np.float32(parts.reshape(-1, 1, *image.shape[-2:]) * self.scale))
        with torch.no_grad():
            clean = self.network(scaled, torch.full((len(scaled),), sigma * self.scale)).numpy() / self.scale
        clean = clean.reshape(parts.shape)
        clean = clean[0] + 1j * clean[1] if len(parts) == 2 else clean[0]
        return ((clean - image) / sigma**2).astype(image.dtype)


@contextlib.contextmanager
def _quiet():
    """Without torch's announcements of what will replace TorchScript: it is what people have their networks in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
