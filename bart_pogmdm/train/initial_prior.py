"""The prior from which training starts."""

from pathlib import Path

import numpy as np

from ..prior.pogmdm import NUM_FILTERS, PoGMDM
from .recipe import DEFAULT_RECIPE, InitialPriorRules

FILTERS = Path(__file__).parents[1] / "prior" / "data" / "shearlet_start.npz"


def initial_prior(rules: InitialPriorRules = DEFAULT_RECIPE.initial) -> PoGMDM:
    """Return the prior before training: dmaxflat-4 shearlets, equal gains, weights ~ (1 + (mu / width)^2)^(-3/2)."""
    with np.load(FILTERS) as file:
        lowpass, directional = file["lowpass"], file["directional"]
    means = rules.means
    weights = (1 + (means / rules.width) ** 2) ** -1.5
    return PoGMDM(lowpass / lowpass.sum(), directional / np.abs(directional).sum(), np.full(NUM_FILTERS, rules.gain),
                  np.tile(weights / weights.sum(), (NUM_FILTERS, 1)), means, rules.base_std * (means[1] - means[0]))
