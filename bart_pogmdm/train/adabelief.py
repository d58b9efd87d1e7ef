"""The optimiser AdaBelief, in which entries of a parameter can share a second moment."""

from typing import Any

import torch

from .recipe import DEFAULT_RECIPE, AdaBeliefRules


class AdaBelief(torch.optim.Optimizer):
    """AdaBelief steps theta <- theta - lr m / (sqrt(s) + eps).

    m and s are exponentially decayed means of the gradient g and of (g - m)^2, corrected for their start at zero.
    `shared` of a parameter group is the number of trailing axes over which s is averaged; 0 is the published method:
    J. Zhuang et al., NeurIPS 2020, arXiv 2010.07468.
    """

    def __init__(self, groups: list[dict[str, Any]],
                 rules: AdaBeliefRules = DEFAULT_RECIPE.optimiser.adabelief) -> None:
        super().__init__(groups, {"lr": 1e-3, "shared": 0})
        self.rules = rules

    @torch.no_grad()
    def update(self, factor: float = 1.0) -> None:
        """Take one step; `factor` scales all step sizes."""
        first, second = self.rules.mean_decay, self.rules.variance_decay
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
                parameter -= factor * group["lr"] * mean / (belief.sqrt() + self.rules.epsilon)
