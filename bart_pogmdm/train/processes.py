"""The processes of torchrun, which share each batch."""

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist


def join_processes(device: str) -> tuple[int, str]:
    """Join the other processes if torchrun started this one, and return (rank, device).

    On cuda each process gets its own GPU.  Raises ValueError for a device that does not exist.
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


def leave_processes() -> None:
    """Leave the other processes: the opposite of `join_processes`."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank_and_count() -> tuple[int, int]:
    """Return the rank of this process and the number of processes: (0, 1) without torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def sum_over_processes(loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    """Return the sum of the losses of all processes, and replace the gradients of the parameters by their sums."""
    if not dist.is_initialized():
        return loss
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([loss.detach().reshape(1), *(gradient.reshape(-1) for gradient in gradients)])
    dist.all_reduce(flat)
    loss, *sums = flat.split([1, *(gradient.numel() for gradient in gradients)])
    for gradient, total in zip(gradients, sums):
        gradient.copy_(total.reshape(gradient.shape))
    return loss
