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
    def initial_states(self) -> dict[int, dict[str, Any]]:
        """Return {number of a parameter: its state before the first step}, as in `state_dict`."""
        pairs = [(parameter, _axes(group)) for group in self.param_groups for parameter in group["params"]]
        return {number: _initial_state(*pair) for number, pair in enumerate(pairs)}

    @torch.no_grad()
    def update(self, factor: float = 1.0) -> None:
        """Take one step; `factor` scales all step sizes."""
        first, second = self.rules.mean_decay, self.rules.variance_decay
        for group in self.param_groups:
            axes = _axes(group)
            for parameter in group["params"]:
                gradient, state = parameter.grad, self.state[parameter]
                if not state:
                    state.update(_initial_state(parameter, axes))
                state["steps"] += 1
                state["mean"].lerp_(gradient, 1 - first)
                deviation = (gradient - state["mean"]) ** 2
                state["belief"].lerp_(deviation.mean(axes, keepdim=True) if axes else deviation, 1 - second)
                mean = state["mean"] / (1 - first ** state["steps"])
                belief = state["belief"] / (1 - second ** state["steps"])
                parameter -= factor * group["lr"] * mean / (belief.sqrt() + self.rules.epsilon)


def _axes(group: dict[str, Any]) -> tuple[int, ...]:
    """Return the axes over which the parameters of a group share their second moment."""
    return tuple(range(-group["shared"], 0))


def _initial_state(parameter: torch.Tensor, axes: tuple[int, ...]) -> dict[str, Any]:
    belief = parameter.mean(axes, keepdim=True) if axes else parameter
    return {"steps": 0, "mean": torch.zeros_like(parameter), "belief": torch.zeros_like(belief)}
