"""Small networks that are trained for a minute or less; they show the use of the learned baselines, not their quality.

usage: networks.py IMAGES OUT [STEPS]    needs the extras fastmri and compare

IMAGES: magnitude images, as `bart-pogmdm train` takes them.  Writes OUT/unet.pt (fastMRI U-Net), OUT/varnet.pt
(end-to-end VarNet) and OUT/denoiser.pt (TorchScript, for Algorithm 1), then say

    bart-pogmdm compare scan.npz --methods zero-filled fastmri-unet fastmri-varnet score-network pogmdm \\
        --weights fastmri-unet=OUT/unet.pt fastmri-varnet=OUT/varnet.pt score-network=OUT/denoiser.pt --out DIR
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from fastmri.models import Unet, VarNet
from torch import nn

from bart_pogmdm.evaluate import masks, simulate
from bart_pogmdm.physics.fourier import ifft2c
from bart_pogmdm.train import images, patches

SIZE, COILS = 96, 4


class Denoiser(nn.Module):
    """The posterior mean of noisy images: a U-Net on scaled images (T. Karras et al., arXiv 2206.00364)."""

    def __init__(self, spread=0.25):
        super().__init__()
        self.unet, self.spread = Unet(2, 1, 16, 3), spread

    def forward(self, x, sigma):
        sigma = sigma.reshape(-1, 1, 1, 1)
        scale = torch.sqrt(sigma**2 + self.spread**2)
        level = (torch.log(sigma) / 4).expand_as(x)
        keep = self.spread**2 / scale**2
        return keep * x + sigma * self.spread / scale * self.unet(torch.cat([x / scale, level], 1))


def train(network, example, steps, rate=1e-3):
    """Train a network on the loss of random examples, example(network)."""
    optimiser = torch.optim.Adam(network.parameters(), rate)
    network.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss = example(network)
        loss.backward()
        optimiser.step()
    print(f"{type(network).__name__}: loss {loss.item():.4f}")
    return network.eval()


def main(folder, out, steps=400):
    out, rng = Path(out), np.random.default_rng(0)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    series, _ = images.load_series([folder], SIZE)

    def scan(coils):
        image = np.abs(patches.random_patch(series, rng, SIZE, 0))
        mask = masks.cartesian(image.shape, 3, rng.integers(1 << 30))
        kspace = simulate.kspace(image, coils, 0.005, rng.integers(1 << 30))
        return image, np.ascontiguousarray(kspace * mask), mask

    def of_unet(network):
        image, kspace, _ = scan(1)
        zero_filled = np.abs(ifft2c(kspace))[0]
        mean, std = zero_filled.mean(), zero_filled.std()
        inputs, target = (torch.from_numpy((a - mean) / std).float()[None, None] for a in (zero_filled, image))
        return nn.functional.l1_loss(network(inputs), target)

    def of_varnet(network):
        image, kspace, mask = scan(COILS)
        samples, sampled = torch.view_as_real(torch.from_numpy(kspace)), torch.from_numpy(mask)
        found = network(samples[None], sampled[None, None, ..., None])
        return nn.functional.l1_loss(found[0], torch.from_numpy(image).float())

    def of_denoiser(network):
        drawn = np.stack([patches.random_patch(series, rng, SIZE, 0.5) for _ in range(4)])
        clean = torch.from_numpy(drawn).float()[:, None]
        sigma = torch.exp(torch.empty(len(clean)).uniform_(np.log(0.01), np.log(10)))
        noise = sigma[:, None, None, None] * torch.randn_like(clean)
        weight = 1 / sigma**2 + 16
        return (weight * ((network(clean + noise, sigma) - clean) ** 2).mean((1, 2, 3))).mean()

    torch.save(train(Unet(1, 1, 8, 3), of_unet, steps).state_dict(), out / "unet.pt")
    torch.save(train(VarNet(2, 4, 2, 6, 2), of_varnet, steps).state_dict(), out / "varnet.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of TorchScript.
        torch.jit.script(train(Denoiser(), of_denoiser, steps)).save(out / "denoiser.pt")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.split("\n\n")[1])
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
