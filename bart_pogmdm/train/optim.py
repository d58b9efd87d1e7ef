"""Projected AdaBelief: adaptive steps whose second moment is shared by a group, so that projections stay orthogonal."""

import torch

DECAYS = (0.95, 0.999)
EPSILON = 1e-12


def simplex(points):
    """Euclidean projection of each row onto {w >= 0, sum w = 1}.

    J. Duchi et al., ICML 2008, doi 10.1145/1390156.1390191.
    """
    ordered = points.sort(-1, descending=True).values
    excess = (ordered.cumsum(-1) - 1) / torch.arange(1, points.shape[-1] + 1, device=points.device)
    last = (ordered > excess).sum(-1, keepdim=True) - 1
    return (points - excess.gather(-1, last)).clamp(min=0)


@torch.no_grad()
def project(twin):
    """Put the parameters of a twin back where they belong.

    sum h = 1; |P| on the simplex, signs kept; gains >= 0; weights symmetric and on the simplex.
    """
    twin.lowpass += (1 - twin.lowpass.sum()) / twin.lowpass.numel()
    directional = twin.directional
    directional.copy_(directional.sign() * simplex(directional.abs().reshape(1, -1)).reshape(directional.shape))
    twin.gains.clamp_(min=0)
    twin.weights.copy_(simplex((twin.weights + twin.weights.flip(-1)) / 2))


class AdaBelief(torch.optim.Optimizer):
    """AdaBelief steps theta -= lr m / (sqrt(s) + eps), m and s decayed means of g and (g - m)^2, bias corrected.

    Each parameter group says by `shared` how many of its trailing axes share one second moment (its mean over
    them): 0 is the published method (J. Zhuang et al., NeurIPS 2020, arXiv 2010.07468).
    """

    def __init__(self, groups):
        super().__init__(groups, {"lr": 1e-3, "shared": 0})

    @torch.no_grad()
    def step(self, factor=1.0):
        """One step; `factor` scales all step sizes."""
        first, second = DECAYS
        for group in self.param_groups:
            axes = tuple(range(-group["shared"], 0))
            for parameter in group["params"]:
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state.update(steps=0, mean=torch.zeros_like(parameter), belief=torch.zeros_like(
                        parameter.mean(axes, keepdim=True) if axes else parameter))
                state["steps"] += 1
                state["mean"].lerp_(gradient, 1 - first)
                deviation = (gradient - state["mean"]) ** 2
                state["belief"].lerp_(deviation.mean(axes, keepdim=True) if axes else deviation, 1 - second)
                mean = state["mean"] / (1 - first ** state["steps"])
                belief = state["belief"] / (1 - second ** state["steps"])
                parameter -= factor * group["lr"] * mean / (belief.sqrt() + EPSILON)
