"""The training loop: denoising score matching with projected AdaBelief steps."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from ..files.atomic import write_bytes
from ..prior.pogmdm import PoGMDM
from .adabelief import AdaBelief
from .checkpoint import check_like, read_checkpoint
from .constraints import project_parameters
from .images import Series
from .initial_prior import initial_prior
from .patches import Batch, draw_batch
from .processes import rank_and_count, sum_over_processes
from .recipe import DEFAULT_RECIPE, Config, Recipe
from .twin import LEARNED, Twin
from .validation import sentence, validate, validation_images

Callback: TypeAlias = Callable[[int, float, dict[float, float] | None], object]


def loss_of(twin: Twin, batch: Batch, recipe: Recipe = DEFAULT_RECIPE, *, dense: bool = False) -> torch.Tensor:
    """Return sum_b (1 + sigma_b / sigma_doubled) ||sigma_b score(x_b + sigma_b n_b, sigma_b) + n_b||^2.

    The squared norm is the mean over pixels, real and imaginary part.  `dense` is that of `Twin.score`.
    """
    levels = batch.sigmas[:, None, None]
    scores = twin.score(batch.images + levels * batch.noise, batch.sigmas, dense=dense)
    error = torch.view_as_real(levels * scores + batch.noise)
    return ((1 + batch.sigmas / recipe.sigma_doubled) * (error**2).mean((1, 2, 3))).sum()


class TrainingRun:
    """The state of a training run: the twin, the moving average of its parameters, the optimiser, the step and the log.

    A row of the log is [step, mean loss since the last row, PSNR at each validation level].
    """

    def __init__(self, config: Config, device: str = "cpu", recipe: Recipe = DEFAULT_RECIPE) -> None:
        self.config, self.recipe, self.device = config, recipe, device
        self.step = 0
        self.rows: list[list[float]] = []
        start = initial_prior(recipe.initial)
        self.twin, self.average = Twin(start, device=device), Twin(start, device=device)
        sizes = {name: getattr(recipe.optimiser, name) for name in LEARNED}
        self.optimizer = AdaBelief([{"params": [getattr(self.twin, name)], "lr": size.rate, "shared": size.shared_axes}
                                    for name, size in sizes.items()], recipe.optimiser.adabelief)

    def save(self, path: Path) -> None:
        """Write a checkpoint with the configuration, the recipe and the state of the run."""
        state = {"config": asdict(self.config), "recipe": asdict(self.recipe), "step": self.step, "rows": self.rows,
                 "twin": self.twin.state_dict(), "average": self.average.state_dict(),
                 "optimizer": self.optimizer.state_dict()}
        write_bytes(path, _saved(state))

    def load(self, path: Path) -> None:
        """Continue from a checkpoint; one without a recipe is of the default recipe.

        Raises ValueError for a damaged checkpoint or one of another configuration or recipe.
        """
        try:
            state = read_checkpoint(path)
        except (OSError, ValueError) as error:
            raise ValueError(f"resume: {error}") from None
        recipe = state.get("recipe", asdict(DEFAULT_RECIPE))
        for name, there, here in (("configuration", state["config"], self.config), ("recipe", recipe, self.recipe)):
            if listed := ", ".join(_differences(there, asdict(here))):
                raise ValueError(f"resume: {path} is of another {name} ({listed})")
        try:
            self._check(state)
        except ValueError as error:
            raise ValueError(f"resume: {path} is damaged ({error})") from None
        self.step, self.rows = state["step"], state["rows"]
        self.twin.load_state_dict(state["twin"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _check(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError unless the parts of a checkpoint have the form and the size of those of this run."""
        check_like(state["step"], 0, "step")
        for name, twin in (("twin", self.twin), ("average", self.average)):
            check_like(state[name], twin.state_dict(), name)
        mine, found = self.optimizer.state_dict(), state["optimizer"]
        if not isinstance(found, Mapping) or found.get("param_groups") != mine["param_groups"]:
            raise ValueError("optimizer: expected the parameters and step sizes of this run")
        check_like(found.get("state"), self.optimizer.initial_states() if state["step"] else {}, "optimizer")
        length = 2 + len(self.recipe.validation.levels)
        rows = state["rows"]
        if not (isinstance(rows, list) and all(isinstance(row, list) and len(row) == length for row in rows)
                and all(isinstance(value, (int, float)) and np.isfinite(value) for row in rows for value in row)
                and (rows[-1][0] if rows else 0) == state["step"]):
            raise ValueError(f"rows: expected a log of finite numbers up to step {state['step']}")

    def advance(self, series: Sequence[Series]) -> float:
        """Take one step, and return the mean loss.  Raises ValueError if it is not finite."""
        config, rules = self.config, self.recipe.optimiser
        batch = draw_batch(series, config, self.step, *rank_and_count(), self.recipe.patches).to(self.device)
        loss = loss_of(self.twin, batch, self.recipe) / (config.batch // 2)
        self.optimizer.zero_grad()
        loss.backward()
        loss = sum_over_processes(loss, [getattr(self.twin, name) for name in LEARNED])
        if not loss.isfinite():
            raise ValueError(f"training diverged: the loss of step {self.step + 1} is {loss.item()}")
        left = (config.steps - self.step) / (rules.annealed * config.steps)
        self.optimizer.update(0.5 - 0.5 * np.cos(np.pi * min(left, 1)))
        project_parameters(self.twin)
        self.step += 1
        with torch.no_grad():
            decay = min(rules.average_decay, self.step / (rules.average_delay + self.step))
            for mean, parameter in zip(self.average.parameters(), self.twin.parameters()):
                mean.lerp_(parameter, 1 - decay)
        return loss.item()


def train_prior(config: Config, series: Sequence[Series], validation: Sequence[Series], checkpoint: Path, *,
                resume: bool = False, device: str = "cpu", callback: Callback | None = None,
                recipe: Recipe = DEFAULT_RECIPE) -> tuple[PoGMDM, dict[float, float]]:
    """Train a prior, and return it with {noise level: mean PSNR in dB} of the last validation.

    After each validation `checkpoint` and beside it the log (.csv) are written atomically.
    resume: continue from `checkpoint`.
    callback(step, loss, psnr) is called after each step; psnr is None except after a validation.
    Under torchrun all processes share each batch.
    """
    torch.set_num_threads(1)  # The compiled functions of the twin bring their own threads.
    levels, interval = recipe.validation.levels, recipe.validation.interval
    run, held_out = TrainingRun(config, device, recipe), validation_images(validation, recipe.validation)
    if resume:
        run.load(checkpoint)
    is_main = rank_and_count()[0] == 0
    losses: list[float] = []
    while run.step < config.steps:
        losses.append(run.advance(series))
        loss, psnr = losses[-1], None
        if run.step % interval == 0 or run.step == config.steps:
            psnr = validate(run.average.prior(), held_out, levels)
            if not all(map(np.isfinite, psnr.values())):
                raise ValueError(f"training diverged: step {run.step} has {sentence(psnr)}")
            loss, losses = float(np.mean(losses)), []
            run.rows.append([run.step, loss, *psnr.values()])
            if is_main:
                run.save(checkpoint)
                _write_log(checkpoint.with_suffix(".csv"), levels, run.rows)
        if callback:
            callback(run.step, loss, psnr)
    return run.average.prior(), dict(zip(levels, run.rows[-1][2:]))


def _saved(state: dict[str, Any]) -> bytes:
    """Return a state as torch saves it; written by torch itself, a full disk would be a RuntimeError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield each setting of this run that differs from that of another run, as text."""
    for key, value in here.items():
        other = there.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _differences(other, value, f"{prefix}{key}.")
        elif other != value:
            yield f"{prefix}{key} {other} there, {value} here"


def _write_log(path: Path, levels: Sequence[float], rows: list[list[float]]) -> None:
    lines = [",".join(["step", "loss", *(f"psnr_{level}" for level in levels)]),
             *(",".join([str(step), *(f"{value:.4f}" for value in values)]) for step, *values in rows)]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
