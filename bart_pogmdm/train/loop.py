"""Denoising score matching: minimise E (1 + sigma / SIGMA_HALF) ||sigma score(x + sigma n, sigma) + n||^2."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from ..files.atomic import write_file
from ..prior.pogmdm import NUM_FILTERS, PoGMDM
from .images import patch
from .optim import AdaBelief, project
from .twin import PARAMETERS, Twin

LEVELS = (0.025, 0.05, 0.1, 0.2)  # of the validation
SIGMA_HALF = 0.3                  # strong noise counts more, but so little that fine detail is not lost (MODEL_CARD.md)
EMA = 0.999
ANNEALED = 0.5                    # this part of the steps, at the end, falls along a cosine
STEP_SIZES = {"lowpass": (1e-3, 1), "directional": (1e-3, 2),  # and how many axes share a second moment
              "gains": (3e-3, 0), "weights": (3e-3, 1)}
START = Path(__file__).parents[1] / "prior" / "data" / "shearlet_start.npz"
MEANS = np.linspace(-0.5, 0.5, 125)
BASE_STD = 0.75                   # in distances of the means (MODEL_CARD.md)
START_GAIN, START_WIDTH = 0.6, 0.1
INTERVAL = 500                    # steps between validations, each with a checkpoint and a row of the log


@dataclass(frozen=True)
class Config:
    """What is to be learned: with the same images, the same Config gives the same prior on the same device."""

    steps: int = 100_000
    batch: int = 8       # patches in a step; two make one complex image, at one noise level
    patch: int = 128
    seed: int = 0
    sigma_min: float = 0.005
    sigma_max: float = 0.5
    phase: float = 0.0   # this part of the patches gets a smooth random phase


def start():
    """The prior before training: dmaxflat-4 shearlets, equal gains, weights of Student-t shape."""
    with np.load(START) as file:
        lowpass, directional = file["lowpass"], file["directional"]
    weights = (1 + (MEANS / START_WIDTH) ** 2) ** -1.5
    return PoGMDM(lowpass / lowpass.sum(), directional / np.abs(directional).sum(), np.full(NUM_FILTERS, START_GAIN),
                  np.tile(weights / weights.sum(), (NUM_FILTERS, 1)), MEANS, BASE_STD * (MEANS[1] - MEANS[0]))


def batch_of(series, config, step, rank=0, processes=1):
    """This process' part of the batch of a step: images x, noise n (B, ny, nx) complex64, noise levels (B,).

    Everything is drawn from (seed, step, index), so that neither resuming nor the number of processes matters.
    The levels are stratified: one from each of as many parts of the range as there are images.
    """
    count, shape = config.batch // 2, (2, config.patch, config.patch)
    rng = np.random.default_rng((config.seed, step))
    fractions = (rng.permutation(count) + rng.random(count)) / count
    levels = config.sigma_min * (config.sigma_max / config.sigma_min) ** fractions
    mine = range(rank, count, processes)
    clean, noise = np.empty((2, len(mine), *shape), np.float32)
    for place, index in enumerate(mine):
        rng = np.random.default_rng((config.seed, step, index))
        clean[place] = [patch(series, rng, config.patch, config.phase) for _ in range(2)]
        noise[place] = rng.standard_normal(shape, np.float32)
    images, noises = (torch.from_numpy(parts[:, 0] + 1j * parts[:, 1]) for parts in (clean, noise))
    return images, noises, torch.from_numpy(levels[list(mine)].astype(np.float32))


def loss_of(twin, images, noise, sigmas, *, dense=False):
    """Sum over the batch of the weighted mean square error per pixel and part."""
    levels = sigmas[:, None, None]
    error = torch.view_as_real(levels * twin.score(images + levels * noise, sigmas, dense=dense) + noise)
    return ((1 + sigmas / SIGMA_HALF) * (error**2).mean((1, 2, 3))).sum()


def validate(prior, images):
    """Mean PSNR in dB of denoised images, to maximum 1, for each of LEVELS."""
    rng, scores = np.random.default_rng(0), []
    for sigma in LEVELS:
        errors = []
        for image in images:
            noisy = image + sigma * rng.standard_normal(image.shape)
            errors.append(np.mean((prior.denoise(noisy, sigma) - image) ** 2))
        scores.append(float(np.mean(-10 * np.log10(errors))))
    return scores


def sentence(psnr):
    """The validation in words."""
    return "PSNR " + ", ".join(f"{value:.2f} dB at {level}" for level, value in zip(LEVELS, psnr))


def validation_images(series):
    """Every sixth image of each series, from its third, at most six."""
    return [image for one in series for image in one.images[2::6] or one.images[:1]][:6]


def join_processes(device):
    """(rank, device): join the processes of torchrun, if that runs us, each with its own GPU on cuda.

    Raises ValueError for a device that is not there.
    """
    rank = 0
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        rank = dist.get_rank()
    if device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("--device: no CUDA device is available to torch")
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    elif device != "cpu":
        raise ValueError(f"--device: expected cpu or cuda, got {device}")
    return rank, device


def leave_processes():
    """Undo `join_processes`."""
    if dist.is_initialized():
        dist.destroy_process_group()


class Run:
    """The state of a training run: twin, its moving average, optimiser, step, log."""

    def __init__(self, config, device):
        self.config, self.step, self.rows = config, 0, []
        self.twin, self.average = (Twin(start(), device=device) for _ in range(2))
        self.optimizer = AdaBelief([{"params": [getattr(self.twin, name)], "lr": rate, "shared": shared}
                                    for name, (rate, shared) in STEP_SIZES.items()])

    def save(self, path):
        """Write everything that the run depends on."""
        state = {"config": asdict(self.config), "step": self.step, "rows": self.rows,
                 "twin": self.twin.state_dict(), "average": self.average.state_dict(),
                 "optimizer": self.optimizer.state_dict()}
        write_file(path, lambda file: torch.save(state, file))

    def load(self, path):
        """Continue from `path`; ValueError for a damaged checkpoint or one of another configuration."""
        try:
            state = torch.load(path, weights_only=True, map_location="cpu")
            config = state["config"]
        except Exception as error:
            raise ValueError(f"resume: {path} is no readable checkpoint ({error})") from None
        if differing := [key for key, value in asdict(self.config).items() if config.get(key) != value]:
            listed = ", ".join(f"{key} {config.get(key)} there, {getattr(self.config, key)} here" for key in differing)
            raise ValueError(f"resume: {path} is of another configuration ({listed})")
        self.step, self.rows = state["step"], state["rows"]
        self.twin.load_state_dict(state["twin"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def advance(self, series, device):
        """One step; returns the mean loss."""
        config, distributed = self.config, dist.is_initialized()
        place = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
        batch = [part.to(device) for part in batch_of(series, config, self.step, *place)]
        loss = loss_of(self.twin, *batch) / (config.batch // 2)
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [getattr(self.twin, name) for name in PARAMETERS]
        if distributed:
            flat = torch.cat([loss.detach().reshape(1), *(p.grad.reshape(-1) for p in parameters)])
            dist.all_reduce(flat)
            loss, *gradients = flat.split([1, *(p.numel() for p in parameters)])
            for parameter, gradient in zip(parameters, gradients):
                parameter.grad.copy_(gradient.reshape(parameter.shape))
        left = (config.steps - self.step) / (ANNEALED * config.steps)
        self.optimizer.step(0.5 - 0.5 * np.cos(np.pi * min(left, 1)))
        project(self.twin)
        self.step += 1
        with torch.no_grad():
            decay = min(EMA, self.step / (10 + self.step))
            for mean, parameter in zip(self.average.parameters(), self.twin.parameters()):
                mean.lerp_(parameter, 1 - decay)
        return loss.item()


def train(config, series, validation, checkpoint, log, *, name, resume=False, device="cpu", callback=None):
    """Train a prior; returns it with the mean PSNR for each of LEVELS.

    Every INTERVAL steps `checkpoint` and the table `log` (csv) are written, whole or not at all.
    `callback(step, loss, psnr)` is called after each step, psnr None except after a validation.
    Under torchrun all processes share each batch.
    """
    torch.set_num_threads(1)  # `twin` has its own threads
    run, held_out = Run(config, device), validation_images(validation)
    if resume:
        run.load(checkpoint)
    main = not dist.is_initialized() or dist.get_rank() == 0
    losses = []
    while run.step < config.steps:
        losses.append(run.advance(series, device))
        psnr = None
        if run.step % INTERVAL == 0 or run.step == config.steps:
            psnr = validate(run.average.prior(name), held_out)
            run.rows.append([run.step, float(np.mean(losses)), *psnr])
            losses = []
            if main:
                run.save(checkpoint)
                _write_log(log, run.rows)
        if callback:
            callback(run.step, run.rows[-1][1] if psnr else losses[-1], psnr)
    return run.average.prior(name), run.rows[-1][2:]


def _write_log(path, rows):
    lines = [",".join(["step", "loss", *(f"psnr_{level}" for level in LEVELS)]),
             *(",".join([str(step), *(f"{value:.4f}" for value in values)]) for step, *values in rows)]
    write_file(path, lambda file: file.write("".join(f"{line}\n" for line in lines).encode()))
