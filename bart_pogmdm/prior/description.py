"""A prior in words and numbers, as `bart-pogmdm show` prints it."""

import json

import numpy as np

from .pogmdm import PoGMDM
from .shearlets import NUM_FILTERS


def describe(prior: PoGMDM) -> str:
    """Name, size, filters and provenance of a prior, as lines of text."""
    parameters = sum(np.size(array) for array in (prior.lowpass, prior.directional, prior.gains))
    parameters += NUM_FILTERS * ((prior.means.size + 1) // 2)  # the weights are symmetric
    lines = [f"{prior.name}  ({prior.digest})",
             f"{NUM_FILTERS} filters, {prior.means.size} components from {prior.means[0]:g} to {prior.means[-1]:g},"
             f" {parameters} parameters",
             f"rules  {', '.join(f'{name} {number:g}' for name, number in prior.rules.numbers.items())}",
             f"lowpass h  {' '.join(f'{value:.4f}' for value in prior.lowpass)}",
             "filter  gain    weight at 0  rms of the means"]
    spread = np.sqrt(prior.weights @ prior.means**2)
    lines += [f"{k + 1:6d}  {prior.gains[k]:.4f}  {prior.weights[k, prior.means.size // 2]:11.4f}  {spread[k]:.4f}"
              for k in range(NUM_FILTERS)]
    if prior.provenance:
        lines.append(json.dumps(prior.provenance, indent=1, ensure_ascii=False))
    return "\n".join(lines)
