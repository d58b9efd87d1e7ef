"""`bart-pogmdm show`: a prior as a picture and as text."""

import json

import numpy as np

from ..prior.pogmdm import EXPONENT, NUM_FILTERS

LEVELS = (0.0, 0.025, 0.05, 0.1, 0.2)
REACH = 12  # half side of the part of a filter that is shown
COLUMNS = NUM_FILTERS // 2


def figure(prior):
    """Filters with their gains, potentials -log psi_k at LEVELS, and weights of a prior, as a matplotlib Figure.

    One column for each shear and scale; the vertical cone above the horizontal one.  After figure 1 of the paper.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("show needs matplotlib: pip install 'bart_pogmdm[plot]'") from None
    responses = np.linspace(prior.means[0], prior.means[-1], 401)
    energies = [-prior.experts.log_density(np.tile(responses, (NUM_FILTERS, 1)), level) for level in LEVELS]
    colours = colormaps["viridis"](np.linspace(0, 0.9, len(LEVELS)))
    filters = np.fft.fftshift(np.fft.ifft2(prior.spectra((64, 64))).real, (1, 2))
    filters = filters[:, 32 - REACH:33 + REACH, 32 - REACH:33 + REACH]
    picture = Figure(figsize=(16, 9.5), layout="constrained")
    axes = picture.subplots(6, COLUMNS, squeeze=False)
    for k in range(NUM_FILTERS):
        column = axes[3 * (k // COLUMNS):, k % COLUMNS]
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


def text(prior):
    """A prior in words and numbers."""
    parameters = sum(np.size(array) for array in (prior.lowpass, prior.directional, prior.gains))
    parameters += NUM_FILTERS * ((prior.means.size + 1) // 2)
    lines = [f"{prior.name}  ({prior.digest})",
             f"{NUM_FILTERS} filters, {prior.means.size} components from {prior.means[0]:g} to {prior.means[-1]:g},"
             f" {parameters} parameters, exponent {EXPONENT:g}",
             f"lowpass h  {' '.join(f'{value:.4f}' for value in prior.lowpass)}",
             "filter  gain    weight at 0  rms of the means"]
    spread = np.sqrt(prior.weights @ prior.means**2)
    lines += [f"{k + 1:6d}  {prior.gains[k]:.4f}  {prior.weights[k, prior.means.size // 2]:11.4f}  {spread[k]:.4f}"
              for k in range(NUM_FILTERS)]
    if prior.provenance:
        lines.append(json.dumps(prior.provenance, indent=1, ensure_ascii=False))
    return "\n".join(lines)
