"""The picture of a prior: its filters, potentials and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays.extras import optional
from ..prior.pogmdm import PoGMDM
from ..prior.shearlets import NUM_FILTERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.0, 0.025, 0.05, 0.1, 0.2)  # Noise levels of the potentials; images have maximum about 1.
FIELD = 64  # Pixels of each side of the image on which the filters are evaluated.
REACH = 12  # The picture shows the filters up to this distance from their centre, in pixels.
NUM_COLUMNS = NUM_FILTERS // 2


def draw_prior(prior: PoGMDM) -> Figure:
    """Draw filters with gains, potentials -log psi_k at LEVELS, and weights of a prior; return the matplotlib Figure.

    Each shear and scale has one column; the vertical cone is above the horizontal one, as in figure 1 of the paper.
    Raises ImportError without matplotlib.
    """
    optional("matplotlib", "pictures need")
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    responses = np.linspace(prior.means[0], prior.means[-1], 401)
    energies = [-prior.experts.log_density(np.tile(responses, (NUM_FILTERS, 1)), level) for level in LEVELS]
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(LEVELS)))
    filters = np.fft.fftshift(np.fft.ifft2(prior.spectra((FIELD, FIELD))).real, (1, 2))
    shown = slice(FIELD // 2 - REACH, FIELD // 2 + REACH + 1)
    filters = filters[:, shown, shown]
    picture = Figure(figsize=(16, 9.5), layout="constrained")
    axes = picture.subplots(6, NUM_COLUMNS, squeeze=False)
    for k in range(NUM_FILTERS):
        column = axes[3 * (k // NUM_COLUMNS):, k % NUM_COLUMNS]
        limit = np.abs(filters[k]).max()
        column[0].imshow(filters[k], cmap="gray", vmin=-limit, vmax=limit)
        column[0].set_xlabel(f"γ = {prior.gains[k]:.2f}")
        column[0].set(xticks=[], yticks=[], title=f"$K_{{{k + 1}}}$")
        for level, energy, colour in zip(LEVELS, energies, colours):
            column[1].plot(responses, energy[k] - energy[k].min(), color=colour, label=f"σ = {level:g}")
        column[2].plot(prior.means, np.maximum(prior.weights[k], 1e-7), color="black", linewidth=0.8)
        column[2].set_yscale("log")
        for axis in column[1:]:
            axis.tick_params(labelsize=6)
            axis.locator_params(axis="x", nbins=3)
    for row, label in enumerate(("filter", r"$-\log\,\psi_k$", "weights") * 2):
        axes[row, 0].set_ylabel(label)
    picture.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LEVELS))
    picture.suptitle(f"{prior.name}  ({prior.digest})")
    return picture
