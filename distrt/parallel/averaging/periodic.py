"""``PeriodicModelAverager``: averages a model every few steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import default_group
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.parallel.averaging.parameters import average_parameters_or_parameter_groups

__all__ = ["ModelAverager", "PeriodicModelAverager", "warn_of_each_step"]


class ModelAverager(ABC):
    """Averages a model after some of its steps.

    Args:
        process_group: the ranks; all of the world where None.
    """

    def __init__(self, process_group: ProcessGroup | None = None) -> None:
        self.process_group = process_group if process_group is not None else default_group()
        self.step = 0

    @abstractmethod
    def average_parameters(self, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> None:
        """After each step: average, if it is time."""
        raise NotImplementedError


class PeriodicModelAverager(ModelAverager):
    """Averages a model every ``period`` steps.

    Args:
        period: steps from one averaging to the next.
        warmup_steps: steps before the first.
        process_group: the ranks; all of the world where None.
    """

    def __init__(self, period: int, warmup_steps: int = 0, process_group: ProcessGroup | None = None) -> None:
        super().__init__(process_group)
        if warmup_steps < 0:
            raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
        self.warmup_steps = warmup_steps
        if period < 1:
            raise ValueError("Arg ``period`` must be a positive value.")
        if period == 1:
            warn_of_each_step("When period is 1, ")
        self.period = period

    def average_parameters(self, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> None:
        """After each step: average the parameters, or those of an optimizer's groups, if it is time."""
        if self.step >= self.warmup_steps and (self.step - self.warmup_steps) % self.period == 0:
            average_parameters_or_parameter_groups(params, self.process_group)
        self.step += 1


def warn_of_each_step(when: str) -> None:
    """Warn, in the caller's caller's place, that data parallelism does the same."""
    warn(
        f"{when}no need to use model averaging because the communication cost "
        "of all-reducing parameters will be no less than the cost of all-reducing gradients "
        "by DistributedDataParallel in the backward pass. Therefore, only "
        "DistributedDataParallel should be used for this case."
    )
