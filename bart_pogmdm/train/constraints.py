"""The constraints on the parameters of the prior, as projections onto the sets that satisfy them."""

import torch

from .twin import Twin


def project_to_simplex(points: torch.Tensor) -> torch.Tensor:
    """Project each row onto {w >= 0, sum w = 1} in the Euclidean norm.

    J. Duchi et al., ICML 2008, doi 10.1145/1390156.1390191.
    """
    ordered = points.sort(-1, descending=True).values
    excess = (ordered.cumsum(-1) - 1) / torch.arange(1, points.shape[-1] + 1, device=points.device)
    last = (ordered > excess).sum(-1, keepdim=True) - 1
    return (points - excess.gather(-1, last)).clamp(min=0)


@torch.no_grad()
def project_parameters(twin: Twin) -> None:
    """Project the parameters of a twin in place.

    lowpass: sum h = 1.  directional: sum |P| = 1, with the signs kept.  gains: gamma >= 0.
    weights: w >= 0, sum w = 1 for each filter, and w symmetric.
    """
    twin.lowpass.add_((1 - twin.lowpass.sum()) / twin.lowpass.numel())
    directional = twin.directional
    magnitudes = project_to_simplex(directional.abs().reshape(1, -1)).reshape(directional.shape)
    directional.copy_(directional.sign() * magnitudes)
    twin.gains.clamp_(min=0)
    twin.weights.copy_(project_to_simplex((twin.weights + twin.weights.flip(-1)) / 2))
