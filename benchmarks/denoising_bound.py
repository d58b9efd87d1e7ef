"""An upper bound of denoising by one Tweedie step with 20 shearlets and any experts.

usage: denoising_bound.py [SIGMA] [STEPS] [SHARED_DATA_FOLDER]    (default: 0.05, 2000; a step takes 0.5 s on a core)

It trains x - sum_k K_k^T f_k(K_k x) at one noise level.  The K_k are the 20 shearlets of h and P, both learned and
normalised as in the prior; each f_k is a free odd function, piecewise linear on 97 nodes.  Every prior of this
structure is a special case at this noise level, so the printed PSNR of the validation images is about the best that
such a prior can reach.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from bart_pogmdm.prior import shearlets
from bart_pogmdm.prior.rules import PriorRules
from bart_pogmdm.train.images import load_series
from bart_pogmdm.train.initial_prior import initial_prior
from bart_pogmdm.train.patches import draw_batch
from bart_pogmdm.train.recipe import Config
from bart_pogmdm.train.validation import validation_images

PATCH, NODES, REACH = 128, 97, 1.5
RATES = {"lowpass": 1e-3, "directional": 5e-4, "factors": 1e-2}


class Shrinkage(torch.nn.Module):
    def __init__(self, sigma):
        super().__init__()
        start = initial_prior()
        self.lowpass, self.directional = (torch.nn.Parameter(torch.tensor(np.array(array), dtype=torch.float32))
                                          for array in (start.lowpass, start.directional))
        self.factors = torch.nn.Parameter(torch.sigmoid(torch.linspace(4, -12, NODES)).repeat(20, 1))
        self.width = 0.2 * sigma  # The nodes are equispaced in asinh(u / width), so that they are dense at zero.

    def forward(self, noisy):
        filters = shearlets.filter_bank(self.lowpass, self.directional)
        ny, nx = noisy.shape[1:]
        padded = torch.nn.functional.pad(filters, (0, nx - shearlets.SUPPORT, 0, ny - shearlets.SUPPORT))
        spectra = torch.fft.fft2(torch.roll(padded, (-shearlets.HALF, -shearlets.HALF), (1, 2)))
        spectra = spectra * shearlets.frame_weight(spectra, shearlets.overlap(filters), PriorRules().ridge)
        responses = torch.view_as_real(torch.fft.ifft2(spectra * torch.fft.fft2(noisy)[:, None]))
        last = NODES - 1
        per_step = last / np.arcsinh(REACH / self.width)
        place = (torch.asinh(responses.abs() / self.width) * per_step).clamp(max=last - 1e-3)
        node = place.detach().long()
        index = torch.arange(20)[:, None, None, None] * NODES + node
        left, right = self.factors.flatten()[index], self.factors.flatten()[index + 1]
        shrunk = torch.view_as_complex(responses * (left + (place - node) * (right - left)))
        return noisy - torch.fft.ifft2((spectra.conj() * torch.fft.fft2(shrunk)).sum(1))


def validate(model, held_out, sigma):
    rng = np.random.default_rng(0)
    errors = []
    for image in held_out:
        noisy = torch.tensor((image + sigma * rng.standard_normal(image.shape)).astype(np.complex64))
        errors.append(np.mean((model(noisy[None])[0].real.numpy() - image) ** 2))
    return float(np.mean(-10 * np.log10(errors)))


def main(sigma=0.05, steps=2000, folder=None):
    sigma, steps = float(sigma), int(steps)
    folder = Path(folder or Path(__file__).resolve().parents[2] / "shared" / "data") / "train"
    series, held_out = (load_series([folder / name], PATCH)[0] for name in ("train.h5", "validation.h5"))
    held_out, model = validation_images(held_out), Shrinkage(sigma)
    optimizer = torch.optim.Adam([{"params": [getattr(model, name)], "lr": rate} for name, rate in RATES.items()])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, 2 * (1 - step / steps)))
    config = Config(steps=steps, patch=PATCH, sigma_min=sigma, sigma_max=sigma)
    for step in range(steps):
        clean, noise, _ = draw_batch(series, config, step)
        loss = torch.view_as_real(model(clean + sigma * noise) - clean).square().mean() / sigma**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.lowpass /= model.lowpass.sum()
            model.directional /= model.directional.abs().sum()
            if (step + 1) % 200 == 0:
                print(f"step {step + 1}: loss {loss.item():.4f}, {validate(model, held_out, sigma):.2f} dB", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
