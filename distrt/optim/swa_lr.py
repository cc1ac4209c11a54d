"""The learning-rate schedule of weight averaging: from the present rate to a constant one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from distrt.optim.lr_scheduler.base import LRScheduler, for_each_group
from distrt.optim.optimizer import Optimizer

__all__ = ["SWALR"]


class SWALR(LRScheduler):
    """Anneals each group's rate to ``swa_lr`` over ``anneal_epochs`` steps, and keeps it there.

    Args:
        optimizer: whose rates are set.
        swa_lr: the last rate, for all groups or one for each.
        anneal_epochs: the number of steps on the way.
        anneal_strategy: "cos" or "linear".
        last_epoch: the last step that was made, when a run is continued.
    """

    anneal_func: Callable[[float], float]

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = for_each_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._set_anneal_func(anneal_strategy)
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _set_anneal_func(self, anneal_strategy: str) -> None:
        self._anneal_strategy = anneal_strategy
        self.anneal_func = self._cosine_anneal if anneal_strategy == "cos" else self._linear_anneal

    @staticmethod
    def _linear_anneal(t: float) -> float:
        return t

    @staticmethod
    def _cosine_anneal(t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        """The rates of this step, one a group: a share of ``swa_lr``, the rest of what the run began with."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = (self.anneal_func(self._progress(each)) for each in (step - 1, step))
        groups = self.optimizer.param_groups
        starts = [_started(group["lr"], group["swa_lr"], before) for group in groups]
        return [
            group["swa_lr"] * now + start * (1 - now) for group, start in zip(groups, starts, strict=True)
        ]

    def _progress(self, step: int) -> float:
        return max(0, min(1, step / max(1, self.anneal_epochs)))

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the curve, which has a name in it."""
        return {
            name: value for name, value in self.__dict__.items() if name not in ("optimizer", "anneal_func")
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what another one's ``state_dict`` gave."""
        self.__dict__.update(state_dict)
        self._set_anneal_func(self._anneal_strategy)


def _started(lr: Any, swa_lr: Any, share: float) -> Any:
    """The rate that the run began with, of which ``lr`` still holds ``1 - share``."""
    return swa_lr if share == 1 else (lr - share * swa_lr) / (1 - share)
