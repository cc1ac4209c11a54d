"""How the ranks' gradients of one unit are added up: each rank gets the sum of its part.

``RowReduction`` sends rows through a group, whatever carries it. ``SlotReduction`` reads all ranks' gradients where
backward has put them, in memory that the ranks have together, and adds up in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.process_group import COMPLETED, ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Reduction, SetsOfArrays
from distrt.core.arrays import Array
from distrt.parallel.fully_sharded.memory import HostMemory
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter

if TYPE_CHECKING:
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

__all__ = ["ReducedRow", "RowReduction", "SlotReduction", "SlotViews"]


class ReducedRow:
    """Where this rank's parts of some gradients are added up, and then lie as gradients of the parts.

    Used again when no gradient lies there any more: fresh memory costs a fault a page.

    Args:
        parameters: those that are trained.
        dtype: of the row.
        zeros: makes it.

    Attributes:
        whole: all parts, then a mark for each parameter, which is 0 where no rank has used it, and perhaps more.
        marks: of these, the marks.
        parts: this rank's part of each gradient.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        dtype: np.dtype[np.generic],
        surplus: int = 0,
        zeros: Callable[[int, Any], Array] = np.zeros,
    ) -> None:
        self._parameters = list(parameters)
        starts = [0]
        for each in parameters:
            starts.append(starts[-1] + each.largest)
        self.starts = starts
        self.whole = zeros(starts[-1] + len(starts) - 1 + surplus, dtype)
        self.values = self.whole[: starts[-1]]
        self.marks = self.whole[starts[-1] : starts[-1] + len(parameters)]
        self.parts = self.parts_in(self.whole)
        self.sums: dict[SlotViews, SetsOfArrays] = {}
        self._unseen: list[int] = []

    def parts_in(self, row: Array) -> list[Array]:
        """This rank's part of each gradient, in a row of the same."""
        return [
            row[start : start + each.sizes[each.rank]].reshape(each.part_shapes[each.rank])
            for each, start in zip(self._parameters, self.starts, strict=False)
        ]

    def settle(self) -> None:
        """All that refers to the parts by now, but for gradients, does so for good."""
        self._unseen = self._references()

    def fits(self, parameters: Sequence[ShardedParameter], dtype: np.dtype[np.generic]) -> bool:
        """Whether it can be used now, for these."""
        is_right = self._parameters == parameters and self.whole.dtype == dtype
        return is_right and self._references() == self._unseen

    def _references(self) -> list[int]:
        return [getrefcount(self.whole), getrefcount(self.values), *map(getrefcount, self.parts)]


class RowReduction:
    """Begun as it is made; all ranks do so.

    Args:
        parameters: those that are trained. One without a gradient counts as zero.
        lane: the ranks.
        op: how rows are reduced.
        dtype: in which.
        surplus: how many elements rows are longer than they need be.
        memory: what rows are made of.

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
        memory: HostMemory | DeviceMemory,
    ) -> None:
        self._row = ReducedRow(parameters, dtype, surplus, memory.zeros)
        self._parameters = parameters
        starts = self._row.starts
        rows = memory.zeros((lane.size(), self._row.whole.size), dtype)
        self._is_all_used = True
        for number, each in enumerate(parameters):
            gradient = each.gradient()
            if gradient is None:
                self._is_all_used = False
                continue
            rows[:, starts[-1] + number] = 1  # somebody has used it
            for row, place, size in zip(rows, each.slices, each.sizes, strict=True):
                start = starts[number]
                row[start : start + size] = gradient._array[place].reshape(-1)
            each.forget()
        self.work: Work = lane.reduce_scatter(self._row.whole, rows, op, async_op=True)

    def result(self) -> ReducedRow:
        """All parts."""
        return self._row

    def uses(self) -> list[Any]:
        """Of each parameter, whether any rank has used it. Marks on a GPU are waited for, so only if need be."""
        return [True] * len(self._parameters) if self._is_all_used else self._row.marks.tolist()


class SlotViews:
    """The gradients of a unit's parameters in one slot, and which of them each rank has.

    Args:
        parameters: all of the unit's.
        starts_bytes: where each begins, and where the last one ends: marks of use follow there, a byte each.
        rows: the unit's part of the slot, (ranks, bytes).
        rank: this one.
    """

    def __init__(
        self, parameters: Sequence[ShardedParameter], starts_bytes: Sequence[int], rows: Array, rank: int
    ) -> None:
        self.mine: dict[ShardedParameter, Array] = {}
        self.parts: dict[ShardedParameter, list[Array]] = {}  # this rank's part of everybody's
        for each, start in zip(parameters, starts_bytes, strict=False):
            end = start + sum(each.sizes) * each.used.itemsize
            everybodys = [row[start:end].view(each.used).reshape(each.layout.shape) for row in rows]
            self.mine[each] = everybodys[rank]
            self.parts[each] = [whole[each.slices[rank]].reshape(-1) for whole in everybodys]
        self.uses = rows[:, starts_bytes[-1] :]  # (ranks, parameters and more)
        self.own_uses = self.uses[rank]


class SlotReduction:
    """Puts this rank's gradients where all ranks see them; their parts are added up in ``result``.

    Args:
        parameters: those that are trained. One without a gradient counts as zero.
        views: where backward has put their gradients, or they are put now.
        reduction: how parts are reduced.
        row: for the result.

    Attributes:
        work: to wait for: all ranks' are there. Set by who tells the others that this rank's are.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        views: SlotViews,
        reduction: Reduction,
        row: ReducedRow,
    ) -> None:
        self.work: Work = COMPLETED
        self._parameters, self._views = parameters, views
        self._reduction, self._row = reduction, row
        uses = bytearray(len(parameters))
        for number, each in enumerate(parameters):
            gradient, mine = each.whole._grad, views.mine[each]
            if gradient is None:
                mine[...] = 0
                continue
            uses[number] = 1
            if gradient._array is not mine:
                mine[...] = gradient._array
            each.whole._grad = each.whole._grad_slot = None
        views.own_uses[: len(uses)] = uses

    def result(self) -> ReducedRow:
        """All parts."""
        row, views = self._row, self._views
        sums = row.sums.get(views)
        if sums is None:
            parts = [part.reshape(-1) for part in row.parts]
            sets = [(views.parts[each], part) for each, part in zip(self._parameters, parts, strict=True)]
            sums = row.sums[views] = SetsOfArrays(self._reduction, sets)
            row.settle()
        row.marks[:] = views.uses[:, : len(self._parameters)].any(axis=0)
        sums.reduce()
        return row

    def uses(self) -> list[Any]:
        """Of each parameter, whether any rank has used it."""
        marks: list[Any] = self._row.marks.tolist()
        return marks
