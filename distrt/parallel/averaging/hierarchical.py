"""``HierarchicalModelAverager``: averages a model often within small groups, and seldom within large ones.

Source: Lin et al. 2020, "Don't Use Large Mini-Batches, Use Local SGD", section 5.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from distrt.comm.functions.subgroups import new_subgroups
from distrt.comm.process_group import ProcessGroup
from distrt.core.tensor import Tensor
from distrt.parallel.averaging.parameters import average_parameters_or_parameter_groups
from distrt.parallel.averaging.periodic import ModelAverager, warn_of_each_step

__all__ = ["HierarchicalModelAverager"]

_log = logging.getLogger("distrt.distributed.algorithms.model_averaging.hierarchical_model_averager")


class HierarchicalModelAverager(ModelAverager):
    """Averages a model within groups of several sizes, each with a period of its own.

    Args:
        period_group_size_dict: steps from one averaging to the next -> size of the groups that do, both rising; the
            last group is all of ``process_group``. Where several periods end, only the largest counts.
        warmup_steps: steps before the first averaging.
        process_group: the ranks; all of the world where None.
    """

    def __init__(
        self,
        period_group_size_dict: Mapping[int, int] | None = None,
        warmup_steps: int = 0,
        process_group: ProcessGroup | None = None,
    ) -> None:
        super().__init__(process_group)
        if not period_group_size_dict:
            raise ValueError("Arg ``period_group_size_dict`` must not be empty.")
        self._periods = list(period_group_size_dict)
        if self._periods[0] <= 0:
            raise ValueError("The minimum period in arg ``period_group_size_dict`` must be a positive value.")
        if self._periods[-1] == 1:
            warn_of_each_step("When the maximum period in arg ``period_group_size_dict`` is 1, ")
        size, last = self.process_group.size(), list(period_group_size_dict.values())[-1]
        if last != size:
            raise ValueError(
                f"The last value in arg ``period_group_size_dict`` {last} "
                f"must be equal to the size of arg ``process_group`` {size}."
            )
        self.period_process_group_dict: OrderedDict[int, ProcessGroup] = OrderedDict()
        _log.info("Model averaging hierarchy:")
        for period, group_size in period_group_size_dict.items():
            _log.info(
                "\tEach group that has %s processes average parameters every %s iterations, "
                "if no higher-level averaging.",
                *(group_size, period),
            )
            self.period_process_group_dict[period] = (
                self.process_group
                if group_size == size
                else new_subgroups(group_size=group_size, group=self.process_group)[0]
            )
        if warmup_steps < 0:
            raise ValueError("Arg ``warmup_steps`` must be a non-negative number.")
        self.warmup_steps = warmup_steps

    def _find_process_group(self) -> ProcessGroup | None:
        """The largest group whose period ends now."""
        due = [period for period in self._periods if self.step % period == 0]
        return self.period_process_group_dict[due[-1]] if due else None

    def average_parameters(self, params: Iterable[Tensor] | Iterable[dict[str, Any]]) -> None:
        """After each step: average the parameters, or those of an optimizer's groups, if it is time."""
        group = self._find_process_group() if self.step >= self.warmup_steps else None
        if group is not None:
            average_parameters_or_parameter_groups(params, group)
        self.step += 1
