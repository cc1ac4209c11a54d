"""What a rank that has run out of input does for ``DistributedDataParallel.join``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from distrt.comm.process_group import ReduceOp
from distrt.parallel.join import JoinHook

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["DataParallelJoinHook"]


class DataParallelJoinHook(JoinHook):
    """A rank without input averages zeros with the others, and takes over the model of the last one in the end."""

    def __init__(self, model: DistributedDataParallel, divides_by_all: bool) -> None:
        self._model = model
        model._divides_by_all = divides_by_all

    def main_hook(self) -> None:
        """Average zeros."""
        model = self._model
        model.reducer.rebuild()
        if model.will_sync_module_buffers():
            model._sync_buffers(has_input=False)
        flag = np.zeros(1, np.float32)
        model.process_group.all_reduce(flag, ReduceOp.SUM)
        model.require_forward_param_sync = bool(flag[0])
        if flag[0]:
            model.reducer.shadow(ReduceOp.AVG if model._divides_by_all else ReduceOp.SUM)
            model.reducer.forget_arrivals()

    def post_hook(self, is_last_joiner: bool) -> None:
        """Take over the model of the last rank."""
        model = self._model
        model._divides_by_all = True
        src = model._common_rank(is_last_joiner)
        for tensor in (*model.module.parameters(), *model.module.buffers()):
            model.process_group.broadcast(tensor._array, src)
            tensor._counter[0] += 1
