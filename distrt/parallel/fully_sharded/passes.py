"""``Passes``: when the units of a model are gathered, given back and reduced.

The policy under ``fully_shard``, shared by all units below one root. Every rank gathers in one order that all have
agreed on, and reduces in one: what comes earlier in the order is launched before what is needed now, and what is left
at the end of a pass is launched there. So ranks may run their modules in different orders, or leave some out, and yet
never wait for one another in a ring. Gathers and reductions have a group ("lane") each, because a unit's reduction may
come late while the next gather is needed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core.autograd.engine import is_running, queue_callback
from distrt.core.errors import AutogradError
from distrt.core.tensor import Tensor
from distrt.parallel.fully_sharded.lanes import Lanes, wait_on
from distrt.parallel.fully_sharded.slots import Batch, Slots
from distrt.parallel.fully_sharded.unit import Unit

__all__ = ["Passes"]


class Passes:
    """The passes over one model.

    Args:
        units: in the order of their modules, the root's first.
        group: the ranks.

    Attributes:
        root: the state of the module whose forward the running pass began with.
        hooked: the edge of the output that was last given a hook in this forward pass.
        depth: how many further units are on their way while one computes.
        reductions_in_flight: how many reductions may be under way at a time, each with whole gradients.
    """

    def __init__(self, units: Sequence[Unit], group: ProcessGroup) -> None:
        self.units = list(units)
        self.group = group
        self.lanes = Lanes(group)
        self.root: Any = None
        self.hooked: Any = None
        self.depth = 1
        self.reductions_in_flight = 2
        for number, unit in enumerate(self.units):
            unit.number = number
            unit.when_reached, unit.when_complete = self.begin_backward, self._when_complete
        self._order = list(self.units)
        self._is_agreed = self._is_noted = False
        self._members = self.units  # of the running pass
        self._seen: list[Unit] = []  # in the first pass, in the order of their first use
        self._kept: set[Unit] = set()  # used several times in a pass: whole until its end
        self._again: set[Unit] = set()
        self._schedule: list[Unit] = []
        self._position = 0
        self._is_forward = self._is_backward = False
        self._slots: Slots | None = None  # once the order is agreed on
        self._reductions: list[Batch] = []
        self._batch_of: dict[Unit, Batch] = {}
        self._next_reduction = self._handed_out = 0
        self._complete: set[Unit] = set()
        self._in_flight: list[Batch] = []
        # Whether all ranks are known to have handed out the gradients of the pass before: slots are free.
        self._is_clear = True

    # -- forward

    @property
    def is_forward(self) -> bool:
        """Whether a forward pass of the root runs."""
        return self._is_forward

    @property
    def is_backward(self) -> bool:
        """Whether a backward pass runs that has come to this model."""
        return self._is_backward

    @property
    def device(self) -> Any:
        """The GPU that computes; None on the CPU."""
        return self.units[0].memory.device if self.units else None

    def bring(self, tensor: Tensor) -> Tensor:
        """A tensor where the model computes, as PyTorch brings what the root gets."""
        return tensor.to(self.device)

    def begin_forward(self, members: Sequence[Unit] | None = None) -> None:
        """The root's forward begins; or that of a module below it, which needs ``members`` only."""
        if self._is_backward:
            self.abandon()
        if not self._is_agreed and self._seen:
            self._agree()
        for unit in self.units:
            unit.be_born()
            if unit.is_stale:
                unit.give_back()
        self._members = self.units if members is None else list(members)
        self._begin_schedule([unit for unit in self._order if unit in self._members])
        self._is_noted = members is None and not self._is_agreed
        self._again = set()
        self._is_forward = True

    def _begin_schedule(self, order: Sequence[Unit]) -> None:
        self._schedule = [unit for unit in order if not (unit.is_whole or unit.is_gathering)]
        self._position = 0

    def _agree(self) -> None:
        """Take rank 0's order of use for all, and keep whole what any rank uses several times."""
        order = [unit.number for unit in self._seen]
        order += [unit.number for unit in self.units if unit not in self._seen]
        numbers = np.array(order, np.int64)
        self.lanes.gathers.broadcast(numbers, src=0).wait()
        again = np.array([unit in self._kept for unit in self.units], np.uint8)
        self.lanes.gathers.all_reduce(again, ReduceOp.MAX)
        self._order = [self.units[number] for number in numbers]
        self._kept = {unit for unit, flag in zip(self.units, again, strict=True) if flag}
        self._is_agreed = True
        # Room for as many gradients as are computed and reduced at a time.
        self._slots = Slots(self._order[::-1], self.group, 2 * self.reductions_in_flight + 1)

    def use(self, unit: Unit) -> None:
        """A module needs the whole parameters of ``unit`` now."""
        if self._is_noted:
            if unit not in self._seen:
                self._seen.append(unit)
            elif self._is_forward and unit in self._again:
                self._kept.add(unit)
            self._again.add(unit)
        if not unit.is_whole:
            self._launch_until(unit, is_awaited=not self._in_flight)
            unit.finish(self._wait_for_gather)
        self._prefetch()

    def launch(self, unit: Unit) -> None:
        """Start to gather ``unit``, and what comes before it, unless that has begun."""
        self._launch_until(unit)

    def _launch_until(self, unit: Unit, is_awaited: bool = False) -> None:
        while not (unit.is_whole or unit.is_gathering):
            if unit in self._schedule[self._position :]:
                self._launch_next(unit if is_awaited else None)
            else:
                # Beside the schedule; all ranks do the same.
                unit.launch(self.lanes.gathers, self._is_backward)

    def _launch_next(self, awaited: Unit | None = None) -> None:
        unit = self._schedule[self._position]
        self._position += 1
        if unit.is_whole or unit.is_gathering:
            return
        # What the ranks have together takes no memory: one message says that all of it may be read.
        company = self._take_company() if unit.is_together and not self._is_backward else []
        unit.launch(self.lanes.gathers, self._is_backward, company, is_awaited=unit is awaited)

    def _take_company(self) -> list[Unit]:
        """The units that come next in the schedule, as far as the ranks have them together."""
        start = self._position
        while self._position < len(self._schedule) and self._schedule[self._position].is_together:
            self._position += 1
        units = self._schedule[start : self._position]
        return [unit for unit in units if not (unit.is_whole or unit.is_gathering)]

    def _prefetch(self) -> None:
        if self._position == len(self._schedule):
            return
        # To gather what the ranks have together takes no memory: the sooner the others know, the less they wait.
        while self._position < len(self._schedule) and self._schedule[self._position].is_together:
            self._launch_next()
        if self._position == len(self._schedule):
            return
        under_way = sum(unit.is_gathering and not unit.is_together for unit in self.units)
        while self._position < len(self._schedule) and under_way < self.depth:
            self._launch_next()
            under_way += 1

    def after_use(self, unit: Unit, records: bool) -> None:
        """A module of ``unit`` has computed."""
        if self._is_backward and is_running():
            return  # it was computed anew for backward, which gives it back
        if self._is_agreed and self._is_forward and unit in self._kept:
            return
        if unit.reshards_after_forward or not records:
            unit.give_back()

    def end_forward(self, records: bool) -> None:
        """The root's forward has ended: launch what others may have needed, and give back."""
        if self._is_backward and is_running():
            return
        self._end_schedule()
        self._is_clear = self._is_clear or bool(self._schedule)  # who gathers has handed out
        for unit in self._members:
            if unit.reshards_after_forward or not records:
                unit.drop()
                unit.give_back()
            else:
                unit.finish(self._wait_for_gather)  # on all ranks, or on none
        self._meet()
        self._is_forward = False
        self.hooked = None

    def _meet(self) -> None:
        """Outside of passes a script may change this rank's parts: not while others compute with that very memory."""
        if any(unit.is_together for unit in self.units):
            self._come_together()

    def _end_schedule(self) -> None:
        while self._position < len(self._schedule):
            unit = self._schedule[self._position]
            self._launch_next()
            if unit.reshards_after_forward or self._is_backward:
                unit.drop()

    # -- backward

    def before_backward(self, unit: Unit) -> None:
        """Backward has come to the outputs of ``unit``."""
        self.begin_backward()
        if _gathers(unit):
            self.use(unit)
        self._lend(unit)

    def begin_backward(self) -> None:
        """The pass that runs has come to this model."""
        if self._is_backward:
            return
        self._is_backward, self._is_forward = True, False
        backwards = self._order[::-1]
        self._begin_schedule([unit for unit in backwards if _gathers(unit)])
        for unit in self.units:
            unit.begin()
        self._plan([unit for unit in backwards if unit.reduces and unit.trained])
        queue_callback(self._end_backward)
        if self._uses_slots and not self._is_clear:
            self._come_together("before backward")
        for batch in self._reductions:
            for unit in batch.units if batch.is_first else ():
                unit.lend(batch.places[unit])

    def _plan(self, units: Sequence[Unit]) -> None:
        """What is reduced in this pass."""
        before = self._reductions
        if self._slots is None:
            self._reductions = [Batch([unit], {}, -1) for unit in units]
        else:
            self._reductions = self._slots.batches(units)
        if self._reductions is not before:
            self._batch_of = {unit: batch for batch in self._reductions for unit in batch.units}
            for unit in self.units:
                unit.is_expected = unit in self._batch_of and self._batch_of[unit].is_first
        self._next_reduction = self._handed_out = 0
        self._complete, self._in_flight = set(), []

    @property
    def _uses_slots(self) -> bool:
        return self._slots is not None and self._slots.count > 0

    def after_inputs(self, unit: Unit) -> None:
        """Backward has computed the gradients of the inputs of ``unit``; of one that is not trained, that is all."""
        unit.awaited_inputs -= 1
        if (
            self._is_backward
            and not unit.awaited_inputs
            and not unit.trained
            and unit.reshards_after_backward
        ):
            unit.give_back()

    def _when_complete(self, unit: Unit) -> None:
        """This pass has delivered all gradients of ``unit``."""
        if unit in self._complete and unit.reduces:
            raise AutogradError(
                f"rank {self.group.rank()}: the gradient of a parameter of a sharded module was completed a second "
                f"time, after it had been reduced: {', '.join(each.name for each in unit.parameters)}. A parameter of "
                "a checkpointed part was used several times: pass use_reentrant=False to checkpoint, or use it once"
            )
        self._complete.add(unit)
        if (batch := self._batch_of.get(unit)) is not None:
            batch.missing.discard(unit)
        if unit.reshards_after_backward:
            unit.give_back()
        # The last one waits for the end of the pass: who has come to it has computed all.
        self._reduce_complete(len(self._reductions) - 1)
        self.lanes.reductions.progress()
        self.lanes.gathers.progress()

    def _reduce_complete(self, end: int) -> None:
        """Start to reduce what is complete, up to the batch of this number."""
        while self._next_reduction < end and not self._reductions[self._next_reduction].missing:
            batch = self._reductions[self._next_reduction]
            self._next_reduction += 1
            self._hand_out(self._most_in_flight() - 1)
            lane = self.lanes.reductions
            if batch.places:
                reducing = [unit.reduce_in(batch.places[unit]) for unit in batch.units]
                work = lane.barrier(async_op=True, what=batch.what, nbytes=batch.nbytes)
                for each in reducing:
                    each.work = work
            else:
                for unit in batch.units:
                    unit.reduce(lane)
            self._in_flight.append(batch)

    def _hand_out(self, left: int) -> None:
        """Hand out gradients until that many reductions are left under way."""
        while len(self._in_flight) > left:
            for unit in self._in_flight[0].units:
                if unit.reduction is not None:
                    self._wait_for_reduction(unit.reduction)
                unit.hand_out()
            del self._in_flight[0]
            self._handed_out += 1

    def _most_in_flight(self) -> int:
        """So few that a slot is free again, on all ranks, when the next reduction comes to it."""
        count = 0 if self._slots is None else self._slots.count
        if not count:
            return self.reductions_in_flight
        if len(self._reductions) <= count:
            return len(self._reductions)  # each may have a slot of its own: to wait would save no memory
        return max(1, min(self.reductions_in_flight, count // 2))

    def _lend(self, unit: Unit) -> None:
        """Have backward put the gradients of a unit where they are reduced, if that place is known to be free.

        The reduction before it in its slot must be over on all ranks. A rank begins a reduction when it has handed out
        all but a few of those before; so all have handed out what lies that far before one that is complete.
        """
        batch = self._batch_of.get(unit)
        if batch is None or not batch.places or batch.is_first or unit in self._complete:
            return
        while (
            self._in_flight
            and (work := self._in_flight[0].units[-1].reduction) is not None
            and work.is_completed()
        ):
            self._hand_out(len(self._in_flight) - 1)
        if batch.before < self._handed_out - self._most_in_flight():
            unit.lend(batch.places[unit])

    def _come_together(self, what: str = "") -> None:
        if self._in_flight:
            self._wait_for_gather(self.lanes.gathers.barrier(async_op=True, what=what))
        else:
            self.lanes.gathers.barrier(async_op=False, what=what)

    def _wait_for_gather(self, work: Work) -> None:
        if self._in_flight:
            wait_on(work, self.group.timeout_s, self.lanes.reductions.progress)
        else:
            work.wait()

    def _wait_for_reduction(self, work: Work) -> None:
        """Another rank may come to it only after gathers that this one has yet to launch, or to go on with."""
        if self._position == len(self._schedule) and not any(unit.is_gathering for unit in self.units):
            work.wait()
            return

        def go_on() -> None:
            if self._position < len(self._schedule):
                self._launch_next()
            self.lanes.gathers.progress()

        wait_on(work, self.group.timeout_s, go_on)

    def _end_backward(self) -> None:
        """The pass is over: launch what others may need, and wait for all."""
        if not self._is_backward:
            return
        try:
            self._end_schedule()
            for batch in self._reductions[self._next_reduction :]:
                batch.missing.clear()  # those that this pass did not reach count as zero
                self._complete.update(batch.units)
            self._reduce_complete(len(self._reductions))
            self._hand_out(0)
        except BaseException:
            self.abandon()
            raise
        for unit in self.units:
            unit.drop()
            unit.has_begun = False
            unit.awaited_inputs = 0
            if unit.reshards_after_backward:
                unit.give_back()
        self._is_clear = False
        if not self._reductions:
            self._meet()  # else all have come to the last reduction, when they had computed all
        self._is_backward = False
        for unit in self.units:  # only now: hooks may change parameters, as optimizers in backward do
            unit.run_hooks()

    # -- what goes wrong

    def abandon(self) -> None:
        """Give up the pass that was broken off: its gradients are lost, and every unit is in parts again."""
        self._is_forward = self._is_backward = False
        self.hooked = None
        self._in_flight, self._schedule, self._position = [], [], 0
        for unit in self.units:
            unit.abandon()


def _gathers(unit: Unit) -> bool:
    """Whether backward has to; what ranks have together is where forward has read it."""
    return unit.gathers_in_backward and not unit.is_together
