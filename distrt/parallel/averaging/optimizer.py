"""``PostLocalSGDOptimizer``: an optimizer that averages the model after some of its steps."""

from __future__ import annotations

from typing import Any

from distrt.core.process.users_code import warn
from distrt.optim.optimizer import Optimizer
from distrt.parallel.averaging.periodic import ModelAverager

__all__ = ["PostLocalSGDOptimizer"]


class PostLocalSGDOptimizer(Optimizer):
    """Steps with another optimizer, then lets an averager do its part: post-local SGD.

    Args:
        optim: the optimizer; its groups and its state are this one's.
        averager: averages the model now and then.

    Source: Lin et al. 2018, "Don't Use Large Mini-Batches, Use Local SGD".
    """

    def __init__(self, optim: Optimizer, averager: ModelAverager) -> None:
        self.optim = optim
        self.param_groups = optim.param_groups
        self.averager = averager

    @property
    def state(self) -> Any:  # type: ignore[override]
        """The other optimizer's."""
        return self.optim.state

    def __repr__(self) -> str:
        return repr(self.optim)

    def state_dict(self) -> dict[str, Any]:
        """The other optimizer's, and under "step" how many steps the averager has seen."""
        return {**self.optim.state_dict(), "step": self.averager.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the other optimizer's state, and the averager's steps."""
        self.optim.load_state_dict(state_dict)
        if "step" not in state_dict:
            warn(
                "Loaded state dict does not contain a step counter for an averager. Setting step counter to 0."
            )
        self.averager.step = state_dict.get("step", 0)

    def step(self) -> None:  # type: ignore[override]
        """Step, then average if it is time."""
        self.optim.step()
        self.averager.average_parameters(params=self.param_groups)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """As the other optimizer does."""
        self.optim.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As the other optimizer does."""
        self.optim.add_param_group(param_group)
