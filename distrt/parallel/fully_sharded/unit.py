"""``Unit``: the parameters of some modules, which are gathered, given back and reduced together.

The mechanism under ``fully_shard``; ``passes.py`` is the policy. Ranks of one machine have the whole parameters in one
memory, and each of them its part there: to gather them is to hear that all ranks have come. Else a rank has a row of
bytes between uses, with its part of each parameter, and the whole ones lie in an arena, which is empty between uses.
So it is on GPUs, where rows and arenas are the GPU's (`Unit.memory`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from distrt.comm.process_group import COMPLETED, ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Reduction
from distrt.core.arrays import Array, filled, is_on_gpu, line_bounds
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.storage.sealed import ReleaseToCopy, seal
from distrt.parallel.fully_sharded.memory import HostMemory, one_copy
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.reductions import ReducedRow, RowReduction, SlotReduction, SlotViews
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter
from distrt.parallel.fully_sharded.slots import SlotPlace

if TYPE_CHECKING:
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

__all__ = ["Unit"]

Memory: TypeAlias = "HostMemory | DeviceMemory"

#: By how many bytes rows of equal units are made different, at most. Groups compare the lengths that the ranks come
#: with, so a rank that gathers another unit is told so, instead of taking one's parameters for the other's.
_SLACK_BYTES = 1024
_STEP_BYTES = 16  # the largest element, to whose multiples GPUs want addresses


class Unit:
    """Parameters that travel together.

    Attributes:
        is_unborn: whether it has no memory yet, since parameters were on the meta device.
        is_together: whether the ranks have the whole parameters in one memory, and gather them without a copy.
        reshards_after_forward, reshards_after_backward: whether the whole parameters go when a pass needs them no more.
        gathers_in_backward: whether backward needs them.
        reduces: whether gradients are reduced; else they add up on each rank.
        reduces_over_replicas: whether over replicas, too; else they add up on each.
        divisor: what sums of gradients are divided by; the number of ranks where None.
        after_reduce: called with the reduced row.
        part_bytes: the size of this rank's parts, in the dtype to compute in.
        slot_bytes: how much room its gradients need in memory that ranks have together; 0 where they lie elsewhere.
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
        self.memory: Memory = HostMemory() if memory is None else memory
        self.parameters, self.group, self.replicas, self.policy = list(parameters), group, replicas, policy
        self.reshards_after_forward = self.reshards_after_backward = self.gathers_in_backward = True
        self.reduces = self.reduces_over_replicas = True
        self.divisor: float | None = None
        self.after_reduce: Callable[[Any], object] | None = None
        self.when_reached: Callable[[], object] = lambda: None
        self.when_complete: Callable[[Unit], object] = lambda unit: None
        self.number = 0  # among the units of a model, counted from its root
        self._gathering: tuple[Work, Array | None] | None = None
        self._reducing: RowReduction | SlotReduction | None = None
        self._reduced: ReducedRow | None = None  # by the last reduction
        self._views_in_slots: dict[tuple[int, int], SlotViews] = {}
        self._reductions: dict[tuple[ReduceOp, np.dtype[Any]], Reduction] = {}
        self._partial: Array | None = None  # reduced over the shards, and not yet over the replicas
        self.is_whole = self.is_expected = self.has_begun = False
        self.missing = self.awaited_inputs = 0
        self._arrived: set[int] = set()
        self._training: list[ShardedParameter] = []  # in the running pass
        self._hooked: list[ShardedParameter] = []  # they have gradients, and hooks that wait for these
        self.is_together = False
        self.is_unborn = any(each.whole.is_meta for each in self.parameters)
        if not self.is_unborn:
            self._take_memory()
        for position, each in enumerate(self.parameters):
            each.cut(group.rank(), None if self.is_unborn else self._home(position))
            if each.whole.is_floating_point() or each.whole.is_complex():
                self._hook(position, each)
        if self.is_unborn:
            for each in self.parameters:
                each.give_back(is_gone=False)
        else:
            self._place_whole()

    def _take_memory(self) -> None:
        may_be_together = self.memory.device is None and all(
            each.used == each.own and not each.layout.dim for each in self.parameters
        )
        self._lay_out(one_copy(self.group, self._whole_bytes()) if may_be_together else None)

    def be_born(self) -> None:
        """Take memory, where the module was on the meta device when it was sharded; all ranks call.

        Raises:
            RuntimeError: parameters are on the meta device still.
        """
        if not self.is_unborn:
            return
        parts = [each.current() for each in self.parameters]
        left = [each.name for each, part in zip(self.parameters, parts, strict=True) if part.is_meta]
        if left:
            raise RuntimeError(
                "FSDP parameters should be materialized from meta device before training, but the following were "
                f"still on meta device: {left}. For example, call module.to_empty(device) to materialize to device "
                "and call module.reset_parameters() on each module to initialize values."
            )
        self.is_unborn = False
        for part, each in zip(parts, self.parameters, strict=True):
            each.become(part._array.dtype, self.policy.param_dtype)
        self._take_memory()
        for position, each in enumerate(self.parameters):
            each.bring_home(self._home(position))
        self._place_whole()

    def _whole_bytes(self) -> int:
        return max(1, line_bounds([_elements(each) * each.used.itemsize for each in self.parameters])[-1])

    def _lay_out(self, together: Array | None = None) -> None:
        """Take memory for parameters of the present dtypes."""
        self._own = line_bounds([each.largest * each.own.itemsize for each in self.parameters])
        self._used = line_bounds([each.largest * each.used.itemsize for each in self.parameters])
        self._whole = line_bounds([_elements(each) * each.used.itemsize for each in self.parameters])
        rank = self.group.rank()
        self.part_bytes = sum(each.sizes[rank] * each.used.itemsize for each in self.parameters)
        self._together, self.is_together = together, together is not None
        is_in_slot = together is not None and self.policy.reduce_dtype is None
        self.slot_bytes = self._whole[-1] + line_bounds([len(self.parameters)])[1] if is_in_slot else 0
        self._row = self.memory.row(0 if self.is_together else self._own[-1] + _SLACK_BYTES, np.uint8)
        self._arena = self.memory.arena(self._whole[-1])
        # Sealed: a module that changes its whole parameter gets a copy, and the other ranks see nothing of it. It is
        # lost when the parameter is given back, as in PyTorch.
        self._views = (
            [
                seal(view, ReleaseToCopy(each.whole)) if view.size else view
                for each, view in zip(self.parameters, self._whole_views(together), strict=True)
            ]
            if together is not None
            else []
        )

    def _place_whole(self) -> None:
        self._outlines = self._views or [
            self._arena.outline(self._whole_place(position), each.used, each.layout.shape)
            for position, each in enumerate(self.parameters)
        ]
        for each, outline in zip(self.parameters, self._outlines, strict=True):
            each.whole._array = outline
            each.give_back(is_gone=True)

    def _home(self, position: int) -> Array:
        """Where this rank's part belongs."""
        each, rank = self.parameters[position], self.group.rank()
        if self._together is not None:
            place = self._whole_place(position)
            whole = self._together[place].view(each.own).reshape(each.layout.shape)
            return whole[each.slices[rank]].reshape(-1)
        start = self._own[position]
        return self._row[start : start + each.sizes[rank] * each.own.itemsize].view(each.own)

    def _whole_place(self, position: int) -> slice:
        each, start = self.parameters[position], self._whole[position]
        return slice(start, start + _elements(each) * each.used.itemsize)

    def _whole_views(self, memory: Array) -> list[Array]:
        places = map(self._whole_place, range(len(self.parameters)))
        return [
            memory[place].view(each.used).reshape(each.layout.shape)
            for each, place in zip(self.parameters, places, strict=True)
        ]

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

    # -- whole parameters

    @property
    def is_gathering(self) -> bool:
        """Whether the whole parameters are on their way."""
        return self._gathering is not None

    @property
    def is_stale(self) -> bool:
        """Whether the whole parameters are there, and no longer those of the parts."""
        return self.is_whole and any(each.is_stale for each in self.parameters)

    def launch(
        self,
        lane: ProcessGroup,
        is_backward: bool = False,
        company: Sequence[Unit] = (),
        is_awaited: bool = False,
    ) -> None:
        """Start to gather the whole parameters, for a backward pass or another one; all ranks do so.

        Args:
            lane: the ranks.
            is_backward: for a backward pass.
            company: units that are gathered with it, all of them such that ranks have them together.
            is_awaited: it is needed at once, so that the ranks may as well meet here.
        """
        for unit in (self, *company):
            if unit.is_whole:
                unit.give_back()
            unit._bring_home()
        if self.is_together and is_backward:
            # All have come to the forward pass, and none may change its part before backward is over.
            self._gathering = COMPLETED, None
            return
        with_it = [unit for unit in company if unit.is_together and self.is_together]
        if self.is_together:
            what = f"units {[unit.number for unit in (self, *with_it)]}"
            brought = sum(unit.part_bytes for unit in (self, *with_it))
            work, rows = lane.barrier(async_op=not is_awaited, what=what, nbytes=brought), None
        else:
            sent = self._sent()
            rows = self.memory.empty((self.group.size(), sent.size), np.uint8)
            work = lane.all_gather(rows, sent, async_op=True)
        self._gathering = work, rows
        for unit in company:
            if unit in with_it:
                unit._gathering = work, None
            else:  # its dtype has changed since
                unit.launch(lane)

    def _sent(self) -> Array:
        """This rank's parts in the dtype to compute in, and a surplus that tells units apart."""
        if self._together is not None or any(each.used != each.own for each in self.parameters):
            return self._copied_row()[: self._used[-1] + self._spread()]
        return self.memory.fetched(self._row[: self._own[-1] + self._spread()])

    def part_ways(self) -> None:
        """Gather copies from now on: what one rank has gathered stays when another changes its part."""
        self.is_together = False

    def _bring_home(self) -> None:
        """Have the parts lie in the row, whatever scripts have done with them."""
        self.be_born()
        if all(each.is_settled for each in self.parameters):
            return
        found = [each.current() for each in self.parameters]
        is_moved = is_on_gpu(found[0]._array) is (self.memory.device is None) and not self.memory.is_apart
        if is_moved:
            self.memory = _memory_of(found[0]._array)
        if is_moved or any(
            part._array.dtype != each.own for part, each in zip(found, self.parameters, strict=True)
        ):
            for part, each in zip(found, self.parameters, strict=True):
                each.become(part._array.dtype, self.policy.param_dtype)
            self._lay_out()
            self._place_whole()
        for position, each in enumerate(self.parameters):
            if not each.is_home:
                each.bring_home(self._home(position))

    def _spread(self) -> int:
        return self.number * _STEP_BYTES % _SLACK_BYTES

    def _surplus(self) -> int:
        """By how many elements messages of this unit are longer than they need be."""
        return self._spread() // _STEP_BYTES

    def _copied_row(self) -> Array:
        row = self.memory.zeros(self._used[-1] + _SLACK_BYTES, np.uint8)
        rank = self.group.rank()
        for position, each in enumerate(self.parameters):
            start, size = self._used[position], each.sizes[rank]
            home = self.memory.fetched(self._home(position))
            row[start : start + size * each.used.itemsize].view(each.used)[...] = home
        return row

    def finish(self, wait: Callable[[Work], object] = lambda work: work.wait()) -> None:
        """Wait for the whole parameters, and have the modules hold them."""
        if self._gathering is None:
            return
        work, rows = self._gathering
        wait(work)
        self._gathering = None
        self.is_whole = True
        if rows is None:
            for each, view in zip(self.parameters, self._views, strict=True):
                each.take(view)
            return
        memory = self._arena.acquire()
        for position, each in enumerate(self.parameters):
            start, end = self._used[position], self._used[position] + each.largest * each.used.itemsize
            home = memory[self._whole_place(position)]
            each.take(each.put_together(home, [row[start:end] for row in rows]))

    def drop(self) -> None:
        """Wait for what is on its way, without taking it."""
        if self._gathering is not None:
            (work, _), self._gathering = self._gathering, None
            work.wait()

    def give_back(self) -> None:
        """Have the modules hold their parts, and give back the memory of the whole parameters."""
        if self.is_whole:
            self.is_whole = False
            for each in self.parameters:
                each.give_back(is_gone=not self.is_together)
            if not self.is_together:
                for each, outline in zip(self.parameters, self._outlines, strict=True):
                    each.whole._array = outline
                self._arena.release()

    # -- gradients

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


def _memory_of(array: Array) -> Memory:
    """What a unit is made of whose parts a script has brought where this array is."""
    if not is_on_gpu(array):
        return HostMemory()
    from distrt.core.gpu.places import device_of
    from distrt.parallel.fully_sharded.device_memory import DeviceMemory

    return DeviceMemory(device_of(array))


def _elements(each: ShardedParameter) -> int:
    return sum(each.sizes)
