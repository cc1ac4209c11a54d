"""``DistributedDataParallel`` under uneven inputs, and what a rank that has run out of them does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.device import device as Device
from distrt.parallel.join import Join, Joinable, JoinHook
from distrt.parallel.sharding.option import require_even

if TYPE_CHECKING:
    from distrt.parallel.ddp import DistributedDataParallel

__all__ = ["DataParallelJoinHook", "UnevenInputs"]


class UnevenInputs(Joinable):
    """A part of ``DistributedDataParallel``."""

    device: Device
    process_group: ProcessGroup
    _has_joined = False
    _require_not_reproducible: Callable[[str, str], None]

    def join(
        self,
        divide_by_initial_world_size: bool = True,
        enable: bool = True,
        throw_on_early_termination: bool = False,
    ) -> Join:
        """A context in which ranks may have different numbers of batches; those that run out take part with zeros.

        Args:
            divide_by_initial_world_size: divide gradients by the size of the group, whoever has input; else by the
                number of ranks that have.
            enable: False where inputs are known to be even.
            throw_on_early_termination: raise on all ranks as soon as one has run out.
        """
        self._require_not_reproducible("join()", "give every rank as many batches")
        self._has_joined = True
        return Join(
            [self],
            enable,
            throw_on_early_termination,
            divide_by_initial_world_size=divide_by_initial_world_size,
        )

    def join_hook(self, **kwargs: Any) -> JoinHook:
        """What a rank without input does.

        Raises:
            UnsupportedError: the model cannot be trained with uneven inputs.
        """
        model: Any = self
        require_even(model)
        return DataParallelJoinHook(model, kwargs.get("divide_by_initial_world_size", True))

    @property
    def join_device(self) -> Device:
        """Where gradients are averaged."""
        return self.device

    @property
    def join_process_group(self) -> ProcessGroup:
        """The ranks that average."""
        return self.process_group

    def _tell_whether_to_average(self, is_averaging: bool) -> None:
        flag = np.array([is_averaging], np.float32)
        self.process_group.all_reduce(flag, ReduceOp.SUM)

    def _common_rank(self, has_input: bool) -> int:
        """The highest rank that has input, whose buffers count."""
        highest = np.array([self.process_group.rank() if has_input else -1], np.int64)
        self.process_group.all_reduce(highest, ReduceOp.MAX)
        if highest[0] < 0:
            raise ValueError("BUG! Expected rank_cond to be true for at least one process.")
        return int(highest[0])


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

    def _take_step(self) -> None:
        """Take part in a step of a sharded optimizer."""
        update = self._model._update
        assert update is not None, "no other wrapper announces steps"
        update.stand_by()

    def post_hook(self, is_last_joiner: bool) -> None:
        """Take over the model of the last rank."""
        model = self._model
        model._divides_by_all = True
        src = model._common_rank(is_last_joiner)
        # Ranks that share their parameters have those of the last one already.
        parameters = () if model.shard_optimizer else model.module.parameters()
        for tensor in (*parameters, *model.module.buffers()):
            model.process_group.broadcast(tensor._array, src)
            tensor._counter[0] += 1
