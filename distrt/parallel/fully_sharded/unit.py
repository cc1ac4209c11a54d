"""``Unit``: the parameters of some modules, which are gathered, given back and reduced together.

The mechanism under ``fully_shard``; ``passes.py`` is the policy. Between uses a rank has a row of bytes, with its part
of each parameter. The whole parameters lie in an arena, which is empty between uses.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.core import dtype as dt
from distrt.core.arrays import Array
from distrt.core.errors import DtypeError
from distrt.parallel.fully_sharded.memory import Arena, aligned
from distrt.parallel.fully_sharded.policies import MixedPrecisionPolicy
from distrt.parallel.fully_sharded.sharded_parameter import ShardedParameter

__all__ = ["Unit"]

#: By how many bytes rows of equal units are made different, at most. Groups compare the lengths that the ranks come
#: with, so a rank that gathers another unit is told so, instead of taking one's parameters for the other's.
_SLACK_BYTES = 512
_STEP_BYTES = 8


class Unit:
    """Parameters that travel together.

    Attributes:
        reshards_after_forward, reshards_after_backward: whether the whole parameters go when a pass needs them no more.
        gathers_in_backward: whether backward needs them.
        reduces: whether gradients are reduced; else they add up on each rank.
        reduces_over_replicas: whether over replicas, too; else they add up on each.
        divisor: what sums of gradients are divided by; the number of ranks where None.
        after_reduce: called with the reduced row.
        missing: how many gradients the running pass has not delivered.
        awaited_inputs: of how many inputs backward has yet to compute the gradients.
    """

    def __init__(
        self,
        parameters: Sequence[ShardedParameter],
        group: ProcessGroup,
        replicas: ProcessGroup | None,
        policy: MixedPrecisionPolicy,
    ) -> None:
        self.parameters, self.group, self.replicas, self.policy = list(parameters), group, replicas, policy
        self.reshards_after_forward = self.reshards_after_backward = self.gathers_in_backward = True
        self.reduces = self.reduces_over_replicas = True
        self.divisor: float | None = None
        self.after_reduce: Callable[[Any], object] | None = None
        self.when_complete: Callable[[Unit], object] = lambda unit: None
        self.number = 0  # among the units of a model, counted from its root
        self._lay_out()
        self._gathering: tuple[Work, Array] | None = None
        self._reducing: tuple[Work, Array, Array] | None = None
        self._partial: Array | None = None  # reduced over the shards, and not yet over the replicas
        self.is_whole = False
        self.missing = self.awaited_inputs = 0
        self._arrived: set[int] = set()
        for position, each in enumerate(self.parameters):
            each.cut(group.rank(), self._home(position))
            if each.whole.is_floating_point() or each.whole.is_complex():
                self._hook(position, each)
        self._place_whole()

    def _lay_out(self) -> None:
        """Take memory for parameters of the present dtypes."""
        self._own = _laid_out([each.largest * each.own.itemsize for each in self.parameters])
        self._used = _laid_out([each.largest * each.used.itemsize for each in self.parameters])
        self._whole = _laid_out([_elements(each) * each.used.itemsize for each in self.parameters])
        self._row = np.zeros(self._own[-1] + _SLACK_BYTES, np.uint8)
        self._arena = Arena(self._whole[-1])

    def _place_whole(self) -> None:
        for position, each in enumerate(self.parameters):
            each.whole._array = self._whole_home(position).view(each.used).reshape(each.layout.shape)
            each.give_back()

    def _home(self, position: int) -> Array:
        each, start = self.parameters[position], self._own[position]
        rank = self.group.rank()
        return self._row[start : start + each.sizes[rank] * each.own.itemsize].view(each.own)

    def _whole_home(self, position: int) -> Array:
        each, start = self.parameters[position], self._whole[position]
        return self._arena.bytes[start : start + _elements(each) * each.used.itemsize]

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

    def launch(self, lane: ProcessGroup) -> None:
        """Start to gather the whole parameters; all ranks do so."""
        if self.is_whole:
            self.give_back()
        self._bring_home()
        casts = any(each.used != each.own for each in self.parameters)
        row = self._cast_row() if casts else self._row
        sent = row[: (self._used[-1] if casts else self._own[-1]) + self._spread()]
        rows = np.empty((self.group.size(), sent.size), np.uint8)
        self._gathering = lane.all_gather(rows, sent, async_op=True), rows

    def _bring_home(self) -> None:
        """Have the parts lie in the row, whatever scripts have done with them."""
        found = [each.current() for each in self.parameters]
        if any(part._array.dtype != each.own for part, each in zip(found, self.parameters, strict=True)):
            for part, each in zip(found, self.parameters, strict=True):
                each.become(part._array.dtype, self.policy.param_dtype)
            self._lay_out()
            self._place_whole()
        for position, each in enumerate(self.parameters):
            each.bring_home(self._home(position))

    def _spread(self) -> int:
        return self.number * _STEP_BYTES % _SLACK_BYTES

    def _cast_row(self) -> Array:
        row = np.zeros(self._used[-1] + _SLACK_BYTES, np.uint8)
        rank = self.group.rank()
        for position, each in enumerate(self.parameters):
            start, size = self._used[position], each.sizes[rank]
            row[start : start + size * each.used.itemsize].view(each.used)[...] = self._home(position)
        return row

    def finish(self, wait: Callable[[Work], object] = lambda work: work.wait()) -> None:
        """Wait for the whole parameters, and have the modules hold them."""
        if self._gathering is None:
            return
        work, rows = self._gathering
        wait(work)
        self._gathering = None
        for position, each in enumerate(self.parameters):
            start, end = self._used[position], self._used[position] + each.largest * each.used.itemsize
            each.take(self._whole_home(position), [row[start:end] for row in rows])
        self.is_whole = True

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
                each.give_back()
            self._arena.release()

    # -- gradients

    @property
    def reduction(self) -> Work | None:
        """The reduction that is on its way."""
        return None if self._reducing is None else self._reducing[0]

    @property
    def trained(self) -> list[ShardedParameter]:
        """The parameters that get gradients."""
        return [each for each in self.parameters if each.part.requires_grad]

    def begin(self) -> None:
        """A backward pass begins."""
        self._arrived = set()
        self.missing = len(self.trained)

    def _arrive(self, position: int) -> None:
        if position not in self._arrived:
            self._arrived.add(position)
            self.missing -= 1
        if self.missing <= 0:
            self.when_complete(self)

    def reduce(self, lane: ProcessGroup) -> None:
        """Start to reduce the gradients; parameters without one count as zero. All ranks do so."""
        trained = self.trained
        dtype = self._reduced_dtype(trained)
        starts = np.cumsum([0, *(each.largest for each in trained)])
        length = int(starts[-1]) + len(trained) + self._spread() // _STEP_BYTES
        rows = np.zeros((self.group.size(), length), dtype)
        for number, each in enumerate(trained):
            gradient = each.gradient()
            if gradient is None:
                continue
            rows[:, starts[-1] + number] = 1  # somebody has used it
            for row, place, size in zip(rows, each.slices, each.sizes, strict=True):
                start = starts[number]
                row[start : start + size] = gradient._array[place].reshape(-1)
            each.forget()
        reduced = np.empty(length, dtype)
        averages = self.replicas is None and self.divisor is None
        work = lane.reduce_scatter(reduced, rows, ReduceOp.AVG if averages else ReduceOp.SUM, async_op=True)
        self._reducing = work, reduced, rows

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
        (work, reduced, _), self._reducing = self._reducing, None
        work.wait()
        if self.replicas is not None:
            if self._partial is not None:
                reduced += self._partial
            self._partial = None if self.reduces_over_replicas else reduced
            if self._partial is not None:
                return
            self.replicas.all_reduce(reduced, ReduceOp.SUM).wait()
        if self.replicas is not None or self.divisor is not None:
            ranks = self.group.size() * (1 if self.replicas is None else self.replicas.size())
            np.divide(reduced, np.asarray(self.divisor or ranks, reduced.dtype), out=reduced)
        trained = self.trained
        starts = np.cumsum([0, *(each.largest for each in trained)])
        if self.after_reduce is not None:
            self.after_reduce(reduced[: starts[-1]])
        for number, each in enumerate(trained):
            if reduced[starts[-1] + number]:
                each.add_gradient(reduced[starts[number] : starts[number + 1]])

    def abandon(self) -> None:
        """Forget about a pass that was broken off; what was launched may fail, too."""
        for pending in (self._gathering, self._reducing):
            if pending is not None:
                with suppress(
                    Exception
                ):  # the pass has an error already; a group that has failed tells so again
                    pending[0].wait()
        self._gathering = self._reducing = self._partial = None
        self.missing = self.awaited_inputs = 0
        for each in self.parameters:
            each.forget()
        self.give_back()


def _elements(each: ShardedParameter) -> int:
    return sum(each.sizes)


def _laid_out(sizes_bytes: Sequence[int]) -> list[int]:
    """Where each begins, and where the last one ends."""
    starts = [0]
    for size in sizes_bytes:
        starts.append(starts[-1] + aligned(size))
    return starts
