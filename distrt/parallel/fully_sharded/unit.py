"""``Unit``: the parameters of some modules, which are gathered, given back and reduced together.

The mechanism under ``fully_shard``; ``passes.py`` is the policy. How whole parameters come and go is told in
``whole_parameters.py``; here is how gradients are found, reduced over the ranks and handed to the parts.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Reduction
from distrt.core.arrays import Array, filled
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.reductions import ReducedRow, RowReduction, SlotReduction, SlotViews
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter
from distrt.parallel.fully_sharded.slots import SlotPlace
from distrt.parallel.fully_sharded.whole_parameters import Memory, WholeParameters

__all__ = ["Unit"]


class Unit(WholeParameters):
    """Parameters that travel together.

    Attributes:
        reshards_after_forward, reshards_after_backward: whether the whole parameters go when a pass needs them no more.
        gathers_in_backward: whether backward needs them.
        reduces: whether gradients are reduced; else they add up on each rank.
        reduces_over_replicas: whether over replicas, too; else they add up on each.
        divisor: what sums of gradients are divided by; the number of ranks where None.
        after_reduce: called with the reduced row.
        is_expected: whether its gradients have their place from the beginning of a backward pass.
        has_begun: whether a backward pass runs.
        missing: how many gradients it has not delivered.
        awaited_inputs: of how many inputs backward has yet to compute the gradients.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        group: ProcessGroup,
        replicas: ProcessGroup | None,
        policy: MixedPrecisionPolicy,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(parameters, group, policy, memory)
        self.replicas = replicas
        self.reshards_after_forward = self.reshards_after_backward = self.gathers_in_backward = True
        self.reduces = self.reduces_over_replicas = True
        self.divisor: float | None = None
        self.after_reduce: Callable[[Any], object] | None = None
        self.when_reached: Callable[[], object] = lambda: None
        self.when_complete: Callable[[Unit], object] = lambda unit: None
        self._reducing: RowReduction | SlotReduction | None = None
        self._reduced: ReducedRow | None = None  # by the last reduction
        self._views_in_slots: dict[tuple[int, int], SlotViews] = {}
        self._reductions: dict[tuple[ReduceOp, np.dtype[Any]], Reduction] = {}
        self._partial: Array | None = None  # reduced over the shards, and not yet over the replicas
        self.is_expected = self.has_begun = False
        self.missing = self.awaited_inputs = 0
        self._arrived: set[int] = set()
        self._training: list[ShardedParameter] = []  # in the running pass
        self._hooked: list[ShardedParameter] = []  # they have gradients, and hooks that wait for these
        for position, each in enumerate(self.parameters):
            if each.whole.is_floating_point() or each.whole.is_complex():
                self._hook(position, each)

    def _hook(self, position: int, each: ShardedParameter) -> None:
        was_trained = each.whole.requires_grad
        each.whole.requires_grad_(True)  # a frozen one may be trained later, and keeps its hooks
        itself = weakref.ref(self)

        def arrived(_: object) -> None:
            unit = itself()
            if unit is not None:
                unit._arrive(position)

        each.whole.register_post_accumulate_grad_hook(arrived)
        each.whole.requires_grad_(was_trained)

    @property
    def reduction(self) -> Work | None:
        """The reduction that is on its way."""
        return None if self._reducing is None else self._reducing.work

    @property
    def trained(self) -> list[ShardedParameter]:
        """The parameters that get gradients."""
        return [each for each in self.parameters if each.part._edge is not None]

    @property
    def is_trained(self) -> bool:
        """Whether any does."""
        return any(each.part._edge is not None for each in self.parameters)

    def begin(self) -> None:
        """A backward pass begins."""
        if self.is_together:  # what the graph has kept lies where it did, and is not gathered
            for each in self.parameters:
                each.expire()
        self.has_begun = True
        self._training = self.trained
        self._arrived = set()
        self.missing = len(self._training)

    def _arrive(self, position: int) -> None:
        if not self.has_begun:
            self.when_reached()
        if position not in self._arrived:
            self._arrived.add(position)
            self.missing -= 1
        if self.missing <= 0:
            self.when_complete(self)

    def lend(self, slot: SlotPlace) -> None:
        """Have backward put gradients into a slot."""
        mine = self._in_slot(slot).mine
        for each in self._training:
            if each.whole._grad is None:
                each.whole._grad_slot = mine[each]

    def _in_slot(self, slot: SlotPlace) -> SlotViews:
        key = slot.number, slot.start_bytes
        found = self._views_in_slots.get(key)
        if found is None:
            rows = slot.rows[:, slot.start_bytes : slot.start_bytes + self.slot_bytes]
            found = SlotViews(self.parameters, self._whole, rows, self.group.rank())
            self._views_in_slots[key] = found
        return found

    def reduce(self, lane: ProcessGroup) -> None:
        """Start to reduce the gradients, which travel; parameters without one count as zero. All ranks do so."""
        trained = self._training
        self._reducing = RowReduction(
            trained, lane, self._reduce_op, self._reduced_dtype(trained), self._surplus(), self.memory
        )

    def reduce_in(self, slot: SlotPlace) -> SlotReduction:
        """Have the gradients lie where all ranks see them, to be reduced when all ranks' do."""
        trained = self._training
        op, dtype = self._reduce_op, self._reduced_dtype(trained)
        reduction = self._reductions.get((op, dtype))
        if reduction is None:
            reduction = self._reductions[op, dtype] = Reduction(op, dtype, self.group.size())
        row = self._reduced
        if row is None or not row.fits(trained, dtype):
            row = self._reduced = ReducedRow(trained, dtype)
        found = self._reducing = SlotReduction(trained, self._in_slot(slot), reduction, row)
        return found

    @property
    def _reduce_op(self) -> ReduceOp:
        averages = self.replicas is None and self.divisor is None
        return ReduceOp.AVG if averages else ReduceOp.SUM

    def _reduced_dtype(self, trained: Sequence[ShardedParameter]) -> np.dtype[Any]:
        if len({each.own for each in trained}) > 1:
            dtypes = {dt.known(each.own) for each in trained}
            raise DtypeError(f"FSDP expects uniform original parameter dtype but got {dtypes}")
        asked = self.policy.reduce_dtype
        return trained[0].used if asked is None else dt.to_numpy(asked)

    def hand_out(self) -> None:
        """Wait for the reduced gradients, and give them to the parts."""
        if self._reducing is None:
            return
        reducing, self._reducing = self._reducing, None
        reducing.work.wait()
        row = reducing.result()
        if self.replicas is not None:
            if self._partial is not None:
                row.whole += self._partial
            self._partial, self._reduced = None, None
            if not self.reduces_over_replicas:
                self._partial = row.whole
                return
            self.replicas.all_reduce(row.whole, ReduceOp.SUM).wait()
        if self.replicas is not None or self.divisor is not None:
            ranks = self.group.size() * (1 if self.replicas is None else self.replicas.size())
            divisor = filled((), self.divisor or ranks, row.whole.dtype, row.whole)
            np.divide(row.whole, divisor, out=row.whole)
        if self.after_reduce is not None:
            self.after_reduce(row.values)
        marks = reducing.uses()
        parts = row.parts_in(self.memory.brought(row.whole)) if self.memory.is_apart else row.parts
        for each, part, mark in zip(self._training, parts, marks, strict=True):
            if mark:
                each.add_gradient(part)
                if each.hooks:
                    self._hooked.append(each)

    def run_hooks(self) -> None:
        """Call what users have registered on parts, to be called when these have their gradients."""
        hooked, self._hooked = self._hooked, []
        for each in hooked:
            for hook in each.hooks:
                hook(each.part)

    def abandon(self) -> None:
        """Forget about a pass that was broken off; what was launched may fail, too."""
        gathering = None if self._gathering is None else self._gathering[0]
        for pending in (gathering, self.reduction):
            if pending is not None:
                # The pass has an error already; a group that has failed tells so again.
                with suppress(Exception):
                    pending.wait()
        self._gathering = self._reducing = self._partial = None
        self._hooked = []
        self.has_begun = False
        self.missing = self.awaited_inputs = 0
        for each in self.parameters:
            each.forget()
        self.give_back()
