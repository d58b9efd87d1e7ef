"""Lines that are only numbered, one after another, as programs such as Pulseq do it without labels: which is which?"""

import numpy as np

from ..arrays.array_types import Array
from .twix_lines import COUNTERS


def number_of_echoes(heads: Array) -> int:
    """Return how many images such lines are: as many as they have matrices of equal sides; 1 for all other lines."""
    steps, samples = heads["idx"]["kspace_encode_step_1"].astype(int), int(heads["number_of_samples"].max())
    others = [name for name in COUNTERS if name != "kspace_encode_step_1"]
    if any(heads["idx"][name].any() for name in others) or (np.sort(steps) != np.arange(len(steps))).any():
        return 1
    return len(steps) // samples if len(steps) % samples == 0 else 1


def split(heads: Array, count: int, energies: Array) -> tuple[Array, str]:
    """Return the headers of `count` echoes, or repetitions, and the word for them.

    energies: of the lines.  They are largest near the centre of k-space: in neighbouring lines for echoes, which follow
    each other in every line, and once in each of the repetitions, which follow each other as a whole.
    """
    steps = heads["idx"]["kspace_encode_step_1"].astype(int)
    size = len(steps) // count
    near = size // 2 + np.arange(-1, 2)
    as_echoes = (near[:, None] * count + np.arange(count)).ravel()
    as_repetitions = (near[:, None] + size * np.arange(count)).ravel()
    by_step = energies[np.argsort(steps)]
    heads = heads.copy()
    if by_step[as_echoes].sum() >= by_step[as_repetitions].sum():
        heads["idx"]["kspace_encode_step_1"], heads["idx"]["contrast"] = np.divmod(steps, count)
        return heads, "echoes, which follow each other in every line,"
    heads["idx"]["repetition"], heads["idx"]["kspace_encode_step_1"] = np.divmod(steps, size)
    return heads, "repetitions, which follow each other,"
