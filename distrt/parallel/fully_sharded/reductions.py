"""How the ranks' gradients of one unit are added up: each rank gets the sum of its part.

``RowReduction`` sends rows through a group, whatever carries it. ``SlotReduction`` reads all ranks' gradients where
backward has put them, in memory that the ranks have together, and adds up in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Reduction
from distrt.core.arrays import Array
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter

__all__ = ["RowReduction", "SlotReduction", "SlotViews", "starts_of"]


def starts_of(parameters: Sequence[ShardedParameter]) -> list[int]:
    """Where in the result each parameter's part begins, and where the last one ends: the marks of use follow there."""
    starts = [0]
    for each in parameters:
        starts.append(starts[-1] + each.largest)
    return starts


class RowReduction:
    """Begun as it is made; all ranks do so.

    Args:
        parameters: those that are trained. One without a gradient counts as zero.
        lane: the ranks.
        op: how rows are reduced.
        dtype: in which.
        surplus: how many elements rows are longer than they need be.

    Attributes:
        work: to wait for.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        lane: ProcessGroup,
        op: ReduceOp,
        dtype: np.dtype[np.generic],
        surplus: int,
    ) -> None:
        starts = starts_of(parameters)
        length = starts[-1] + len(parameters) + surplus
        rows = np.zeros((lane.size(), length), dtype)
        for number, each in enumerate(parameters):
            gradient = each.gradient()
            if gradient is None:
                continue
            rows[:, starts[-1] + number] = 1  # somebody has used it
            for row, place, size in zip(rows, each.slices, each.sizes, strict=True):
                start = starts[number]
                row[start : start + size] = gradient._array[place].reshape(-1)
            each.forget()
        self._reduced = np.empty(length, dtype)
        self.work: Work = lane.reduce_scatter(self._reduced, rows, op, async_op=True)

    def result(self) -> Array:
        """All parts, and a mark for each parameter, which is 0 where no rank has used it."""
        return self._reduced


class SlotViews:
    """The gradients of a unit's parameters in one slot.

    Args:
        parameters: all of the unit's.
        starts_bytes: where each begins.
        rows: the slot, (ranks, bytes).
        rank: this one.
    """

    def __init__(
        self, parameters: Sequence[ShardedParameter], starts_bytes: Sequence[int], rows: Array, rank: int
    ) -> None:
        self.mine: dict[ShardedParameter, Array] = {}
        self.parts: dict[ShardedParameter, list[Array]] = {}
        for each, start in zip(parameters, starts_bytes, strict=False):
            end = start + sum(each.sizes) * each.used.itemsize
            everybodys = [row[start:end].view(each.used).reshape(each.layout.shape) for row in rows]
            self.mine[each] = everybodys[rank]
            self.parts[each] = [whole[each.slices[rank]].reshape(-1) for whole in everybodys]


class SlotReduction:
    """Begun as it is made: tells the others that this rank's gradients are there; all ranks do so.

    Args:
        parameters: those that are trained. One without a gradient counts as zero.
        views: where backward has put their gradients, or they are put now.
        lane: the ranks.
        reduction: how parts are reduced.
        target: for the result, see `result`.
        surplus: by how many bytes messages are longer than they need be.

    Attributes:
        work: to wait for.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        views: SlotViews,
        lane: ProcessGroup,
        reduction: Reduction,
        target: Array,
        surplus: int,
    ) -> None:
        self._parameters, self._views = parameters, views
        self._reduction, self._target = reduction, target
        uses = np.zeros(len(parameters) + surplus, np.uint8)
        for number, each in enumerate(parameters):
            gradient, mine = each.gradient(), views.mine[each]
            if gradient is None:
                mine[...] = 0
                continue
            uses[number] = 1
            if gradient._array is not mine:
                mine[...] = gradient._array
            each.forget()
        self._uses = np.empty((lane.size(), uses.size), np.uint8)
        self.work: Work = lane.all_gather(self._uses, uses, async_op=True)

    def result(self) -> Array:
        """All parts, and a mark for each parameter, which is 0 where no rank has used it."""
        starts, target = starts_of(self._parameters), self._target
        is_used: Array = np.any(self._uses, axis=0)
        target[starts[-1] :] = is_used[: len(self._parameters)]
        for number, each in enumerate(self._parameters):
            parts = self._views.parts[each]
            size = parts[0].size
            part = target[starts[number] : starts[number] + size]
            target[starts[number] + size : starts[number + 1]] = 0
            if size and is_used[number]:
                self._reduction.reduce(parts, part)
            else:
                part[...] = 0
        return target
